"""``mgimm validate``: every problem of files of records.

The command line calls :func:`run` with what the user gave and exits with what it returns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.data.images import check_image_folder
from mgimm_plugin.data.inspect.problems import Tally, find_problems
from mgimm_plugin.data.wording import counted


def run(
    files: Sequence[Path],
    *,
    images: Path | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    as_json: bool = False,
    progress: bool = True,
) -> int:
    """List every problem on standard output, one a line, and sum up on standard error.

    Args:
        files: Records, JSON or JSONL (``FILE...``); ids are compared within a file.
        images: Open the images too, in this folder; check sizes and boxes (``--images``).
        max_pixels: Images with more pixels are a problem (``--max-pixels``).
        as_json: One JSON object a line: ``file, index, line, id, field, message`` (``--json``).
        progress: Whether to show a bar on standard error, where that is a terminal.

    Returns:
        The exit code: 1 where a file has a problem or no good record, else 0.

    Raises:
        RecordError: A file as a whole cannot be read.
        MgimmError: There is no folder of images.
    """
    check_image_folder(images)
    worst = 0
    for file in files:
        tally = Tally()
        for problem in find_problems(file, tally, images=images, max_pixels=max_pixels, progress=progress):
            # The name of a file may be what a terminal cannot show.
            text = (
                json.dumps(problem.to_json()) if as_json else str(problem).encode("utf-8", "backslashreplace").decode()
            )
            typer.echo(text)
        typer.echo(_summary(file, tally), err=True)
        if tally.problems or not tally.formats:
            worst = 1
    return worst


def _summary(file: Path, tally: Tally) -> str:
    good = ", ".join(f"{count} {name}" for name, count in sorted(tally.formats.items())) or "none"
    bad = f" in {tally.bad_records:,} of {counted(tally.records, 'record')}" if tally.problems else ""
    lines = [f"{file}: {counted(tally.problems, 'problem')}{bad}; good records: {good}"]
    if tally.clipped_boxes:
        boxes = counted(tally.clipped_boxes, "box sticks", "boxes stick")
        lines.append(f"{file}: note: {boxes} out of the image, and will be clipped to it")
    return "\n".join(lines)
