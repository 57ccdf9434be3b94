"""What a stage is to read."""

from __future__ import annotations

from pathlib import Path

from mgimm_plugin.data.mixture import DataSource
from mgimm_plugin.errors import MgimmError


def parse_source(text: str) -> DataSource:
    """Read ``FILE`` or ``FILE@WEIGHT``.

    Raises:
        MgimmError: What follows the last ``@`` is no number, and there is no file of the whole name.
    """
    path, at, weight = text.rpartition("@")
    if not at or Path(text).exists():
        return DataSource(text)
    try:
        return DataSource(path, float(weight))
    except ValueError as error:
        raise MgimmError(f"data path {text!r}: {weight!r} after the @ is no weight; write FILE@0.5, say") from error
