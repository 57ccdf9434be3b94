"""Checkpoint folders on disk: which kind a folder is, and writing one so that it is whole or not there at all."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from mgimm_plugin.errors import CheckpointError

logger = logging.getLogger(__name__)

ADAPTER_FILE = "mgimm_adapter.safetensors"
LORA_FILE = "adapter_model.safetensors"
LORA_CONFIG = "adapter_config.json"
COMPLETE_MARK = "mgimm_complete.json"
PARTIAL_FOLDER = ".partial"
FULL_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


class CheckpointKind(StrEnum):
    """The three kinds of checkpoint."""

    ADAPTER = "adapter"
    LORA = "lora"
    FULL = "full"


def checkpoint_kind(folder: Path) -> CheckpointKind:
    """Tell the kind of a local folder from the files in it.

    Raises:
        CheckpointError: No weights are there, a LoRA folder lacks one of its parts, or the folder is half-written.
    """
    check_complete(folder)
    present = {name for name in (ADAPTER_FILE, LORA_FILE, LORA_CONFIG) if (folder / name).is_file()}
    if LORA_FILE in present or LORA_CONFIG in present:
        missing = sorted({ADAPTER_FILE, LORA_FILE, LORA_CONFIG} - present)
        if missing:
            raise CheckpointError(f"{folder}: a LoRA checkpoint without {' and '.join(missing)}: incomplete")
        return CheckpointKind.LORA
    if present:
        return CheckpointKind.ADAPTER
    if any((folder / name).is_file() for name in FULL_FILES):
        return CheckpointKind.FULL
    raise CheckpointError(
        f"{folder}: no weights here: neither {ADAPTER_FILE}, {LORA_FILE}, nor {' / '.join(FULL_FILES)}"
    )


def is_complete(folder: Path) -> bool:
    """Does the folder bear the mark that everything in it was written."""
    return (folder / COMPLETE_MARK).is_file()


def check_complete(folder: Path) -> None:
    """Compare the sizes of the files with those that were written, where the folder bears the mark.

    Raises:
        CheckpointError: A file is missing or has another size, or the mark cannot be read.
    """
    for name, size in _listed(folder).items():
        file = folder / name
        if not file.is_file():
            raise CheckpointError(f"{folder}: {name} is missing")
        if file.stat().st_size != size:
            raise CheckpointError(
                f"{folder}: {name} has {file.stat().st_size} bytes, {size} were written: cut short or replaced"
            )


def _listed(folder: Path) -> dict[str, int]:
    """The files of a folder and their sizes, by its mark; none where it bears no mark."""
    if not is_complete(folder):
        return {}
    try:
        return dict(json.loads((folder / COMPLETE_MARK).read_text())["files"])
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{folder}: {COMPLETE_MARK} is not readable: {error}") from error


def partial_name(target: Path) -> Path:
    """The folder in which ``target`` is written; the same on every rank.

    It is inside of ``target`` where that exists, as a run folder does: what is around it may be another file system,
    or not ours to write into. Beside a ``checkpoint-N`` is the run folder, which is.
    """
    is_run = target.is_dir() and not _CHECKPOINT.fullmatch(target.name)
    return (target if is_run else target.parent) / PARTIAL_FOLDER / target.name


def start_partial(target: Path) -> Path:
    """Make an empty partial folder; what an interrupted run left there is removed."""
    partial = partial_name(target)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def publish(target: Path) -> None:
    """Mark the partial folder complete and move it to its place.

    Where ``target`` exists (a run folder with its checkpoints inside), the files are moved into it one by one, the mark
    last; an older mark is removed first, so that at no moment a mixture bears a mark, and what it lists goes with it:
    the weights of another kind of checkpoint would be taken for this one's.
    """
    partial = partial_name(target)
    sizes = {str(f.relative_to(partial)): f.stat().st_size for f in sorted(partial.rglob("*")) if f.is_file()}
    mark = partial / COMPLETE_MARK
    mark.write_text(json.dumps({"files": sizes}, indent=1) + "\n")
    for name in (*sizes, COMPLETE_MARK):
        os.chmod(partial / name, mark.stat().st_mode)  # safetensors' files are for their owner alone
        _sync(partial / name)
    if not target.exists():
        os.replace(partial, target)
        _remove_if_empty(partial.parent)
        return
    try:
        outdated = _listed(target).keys() - sizes.keys()
    except CheckpointError as error:
        logger.warning("%s; what it listed stays", error)
        outdated = set()
    (target / COMPLETE_MARK).unlink(missing_ok=True)
    for name in outdated:
        (target / name).unlink(missing_ok=True)
    for name in (*sizes, COMPLETE_MARK):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial / name, target / name)
    shutil.rmtree(partial)
    _remove_if_empty(partial.parent)


def last_complete_checkpoint(run: Path) -> Path | None:
    """The newest ``checkpoint-N`` of a run folder that was written to the end, or None.

    A folder without the mark is passed over with a warning: it comes from a run that was killed while it saved.
    """
    numbered = [(int(match.group(1)), f) for f in run.glob("checkpoint-*") if (match := _CHECKPOINT.fullmatch(f.name))]
    for _, folder in sorted(numbered, reverse=True):
        if is_complete(folder):
            check_complete(folder)
            return folder
        logger.warning("%s was not written to the end; it is not used", folder)
    return None


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # another checkpoint is being written beside this one
        folder.rmdir()


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
