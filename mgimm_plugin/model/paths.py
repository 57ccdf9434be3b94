"""Where the folders that a checkpoint names are: beside it, where the user stands, or on the Hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

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


def portable_name(name: str, folder: str | os.PathLike[str]) -> str:
    """Write a local folder's name relative to ``folder``, so that a tree of checkpoints can be moved; else as it is."""
    given = Path(name).expanduser()
    return os.path.relpath(given.resolve(), Path(folder).resolve()) if given.exists() else name
