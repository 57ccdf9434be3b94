"""Which tensors a checkpoint holds, compared by name: PEFT warns of a missing one only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from zipfile import is_zipfile

import torch
import transformers
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.partitioned import shape_of, whole

VISION_PREFIX = "model.vision_tower."
ADAPTER_PREFIXES = ("model.mm_projector.", "model.region_encoder.", "model.image_newline")


def is_adapter_key(name: str) -> bool:
    """Is this tensor part of an adapter: projector, region encoder (buffers included), row separator."""
    return name.startswith(ADAPTER_PREFIXES)


def adapter_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers of ``model`` (not of a PEFT wrapper) that an adapter checkpoint holds."""
    return {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if is_adapter_key(name)}


def compare_keys(where: object, expected: Iterable[str], found: Iterable[str]) -> None:
    """Check that two sets of names are the same; ``vision_tower.*`` is the one allowed extra.

    Raises:
        CheckpointError: With the names that are missing and those that are unexpected.
    """
    wanted, present = set(expected), {name for name in found if "vision_tower." not in name}
    problems = [
        f"{kind} {', '.join(sorted(names)[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        for kind, names in (("missing", wanted - present), ("unexpected", present - wanted))
        if names
    ]
    if problems:
        raise CheckpointError(f"{where}: {'; '.join(problems)}")


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep transformers' own table of missing keys back, where they are compared anyway."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)


def read_tensors(file: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """Read the tensors whose names begin with ``prefix`` of a safetensors file, or of a ``.bin``, as tensors alone.

    Raises:
        CheckpointError: It is missing, truncated, or holds something else.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: missing")
    if file.suffix == ".bin":
        return {name: tensor for name, tensor in _read_bin(file).items() if name.startswith(prefix)}
    try:
        with safe_open(file, framework="pt") as tensors:
            names = [name for name in tensors.keys() if name.startswith(prefix)]  # noqa: SIM118 - not a mapping
            return {name: tensors.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: not readable, probably cut short: {error}") from error


def _read_bin(file: Path) -> dict[str, Tensor]:
    try:
        # Files of torch before 1.6 are no zip files, and cannot be mapped.
        loaded: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True, mmap=is_zipfile(file))
    except (RuntimeError, EOFError, OSError, UnpicklingError) as error:
        raise CheckpointError(f"{file}: cut short, or it holds something else than tensors; it was not read") from error
    return loaded


def compare_tensors(where: object, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Check that two sets of tensors have the same names and shapes.

    Raises:
        CheckpointError: With the names that are missing or unexpected, or with both shapes of one.
    """
    compare_keys(where, expected, found)
    for name, tensor in expected.items():
        if shape_of(tensor) != found[name].shape:
            raise CheckpointError(
                f"{where}: {name} is {list(found[name].shape)}, the model needs {list(shape_of(tensor))}"
            )


@torch.no_grad()
def copy_into(where: object, targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy tensors by name after checking names and shapes; nothing is copied when anything is wrong.

    Raises:
        CheckpointError: Names or a shape differ, or a target has no memory.
    """
    compare_tensors(where, targets, values)
    if away := [name for name, target in targets.items() if target.is_meta]:
        raise CheckpointError(f"{where}: {away[0]} was left off the devices; a copy into it would be lost")
    for name, target in targets.items():
        with whole(target, modify=True):
            target.data.copy_(values[name])
