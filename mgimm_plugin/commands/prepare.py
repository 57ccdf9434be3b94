"""``mgimm prepare``: a foreign dataset turned into records.

The command line calls one function, with what the user gave::

    summary = prepare(
        "dior-rsvg", [Path("DIOR_RSVG")], Path("rsvg"),
        images=None, classes=None, columns=["bbox=box"], image_size="800x800",
        joins=["mgimm=dior-gpg-train.json"], questions=None, seed=0,
    )
    typer.echo(summary)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def prepare(
    source_format: str,
    inputs: Sequence[Path],
    output: Path,
    *,
    images: Path | None = None,
    classes: Path | None = None,
    columns: Sequence[str] = (),
    image_size: str | None = None,
    joins: Sequence[str] = (),
    questions: Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> str:
    """Convert a dataset.

    Args:
        source_format: A name of ``source.source_formats()`` (``FORMAT``).
        inputs: Files and folders (``INPUT...``).
        output: Folder of the result (``--output``).
        images: Folder of the images (``--images``); without it nothing is read from pixels.
        classes: File of class names (``--classes``): one a line, or a JSON list or object of number and name.
        columns: ``FIELD=COLUMN`` for tables (``--column``, repeatable).
        image_size: ``WIDTHxHEIGHT`` of all images, for fractions without images (``--image-size``).
        joins: ``FORMAT=PATH`` (``--join``, repeatable): texts of another source about the same images.
        questions: Question templates (``--questions``).
        seed: Seed of splits, questions and sentence patterns (``--seed``).
        progress: Whether to show a line of progress on standard error.

    Returns:
        A summary for the user: what was written, what was dropped and where to read why.

    Raises:
        MgimmError: A setting is wrong, a source cannot be read at all, or nothing came out.
    """
    raise NotImplementedError
