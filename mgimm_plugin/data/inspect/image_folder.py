"""Whether a folder is the one that the records mean: a wrong one is said once, not for each image."""

from __future__ import annotations

import os
from pathlib import Path

from mgimm_plugin.data.inspect.reading import entries
from mgimm_plugin.data.wording import counted
from mgimm_plugin.errors import RecordError


def wrong_folder(file: str | Path, folder: Path) -> str | None:
    """Say that a folder has not one image of a file's records.

    Args:
        file: JSON array or JSONL. A pipe can be read only once, and is not looked at.
        folder: Where the names of the images start.

    Returns:
        What is wrong, and what may be meant; None where an image is found, or fewer than two records name one.

    Raises:
        RecordError: The file as a whole cannot be read.
    """
    if not Path(file).is_file():
        return None
    first = None
    count = 0
    for entry in entries(file):
        try:
            value = entry.load()
        except RecordError:
            continue
        name = value.get("image") if isinstance(value, dict) else None
        if not isinstance(name, str) or not name:
            continue
        if os.path.exists(folder / name):
            return None
        first, count = first or name, count + 1
    if first is None or count == 1:
        return None
    return f"none of the images that {counted(count, 'record')} name is in {folder}; {advice(folder, first)}"


def advice(folder: Path, name: str) -> str:
    """What to do about a folder that has no image ``name``: its subfolder or parent that has it may be meant."""
    inside = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
    above = os.path.join(folder, os.pardir)
    for place in [*inside, os.path.normpath(above)]:
        if os.path.exists(os.path.join(place, name)):
            return f"is it {place}?"
    return "--images is the folder where their names start"
