"""Where the folders that a checkpoint names are: beside it, where the user stands, or on the Hub."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from huggingface_hub import snapshot_download

from mgimm_plugin.errors import CheckpointError

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def resolve_folder(name: str, relative_to: str | os.PathLike[str] | None = None) -> str:
    """Find a model folder named in a config or by a user.

    Args:
        name: Relative or absolute path, or Hub id.
        relative_to: The folder whose config holds the name.

    Returns:
        An absolute path when it exists relative to ``relative_to``, or as given; else ``name``, taken as a Hub id.
    """
    if relative_to is not None and Path(relative_to).is_dir():
        beside = Path(relative_to) / name
        if beside.exists():
            return str(beside.resolve())
    given = Path(name).expanduser()
    return str(given.resolve()) if given.exists() else name


def named_folder(name: str, folder: str | os.PathLike[str], what: str) -> str:
    """Find a folder that the config in ``folder`` names, as ``resolve_folder`` does.

    Raises:
        CheckpointError: It is not there, and cannot be a Hub id; the message says ``what`` it was.
    """
    found = resolve_folder(name, folder)
    if not Path(found).exists() and not _HUB_ID.fullmatch(found):
        raise CheckpointError(
            f"{folder}: its {what} {name} is not there; it is looked for beside the checkpoint, then where you stand"
        )
    return found


def local_folder(path: str) -> Path:
    """The folder of a checkpoint; one on the Hub is downloaded.

    Pickled weights come from the Hub only where there are no others; they too are read as tensors alone.

    Raises:
        CheckpointError: There is none.
    """
    if (here := _folder_here(path)) is not None:
        return here
    folder = _downloaded(path, "*.json", "*.safetensors", "*.model", "*.txt")
    if not any(folder.glob("*.safetensors")):  # as LLaVA's own models
        _downloaded(path, "pytorch_model*.bin")
    return folder


def check_exists(path: str) -> None:
    """Ask whether there is such a folder, or such a model on the Hub; of that, only its config is downloaded.

    transformers asks a Hub that does not answer six times for each file, which takes a minute.

    Raises:
        CheckpointError: There is none.
    """
    if _folder_here(path) is None:
        _check_hub(path)


@cache
def _check_hub(name: str) -> None:
    _downloaded(name, "config.json")


def _folder_here(path: str) -> Path | None:
    found = Path(resolve_folder(path))
    if found.exists() and not found.is_dir():
        raise CheckpointError(f"{path}: is a file; a checkpoint is a folder")
    return found if found.is_dir() else None


def _downloaded(name: str, *patterns: str) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except Exception as error:  # huggingface_hub raises many kinds: offline, unknown, not a valid id
        raise CheckpointError(
            f"{name}: no such folder, and not to be had from the Hub ({type(error).__name__})"
        ) from error


def portable_name(name: str, folder: str | os.PathLike[str]) -> str:
    """Write a local folder's name relative to ``folder``, so that a tree of checkpoints can be moved; else as it is."""
    given = Path(name).expanduser()
    return os.path.relpath(given.resolve(), Path(folder).resolve()) if given.exists() else name
