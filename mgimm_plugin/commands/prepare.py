"""``mgimm prepare``: a foreign dataset turned into records.

The command line calls one function, with what the user gave::

    summary = prepare(
        "dior-rsvg", [Path("DIOR_RSVG")], Path("rsvg"),
        images=None, classes=None, columns=["bbox=box"], image_size="800x800",
        joins=["mgimm=dior-gpg-train.json"], questions=None, seed=0, split_by_image=False,
    )
    typer.echo(summary)
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.data.images import check_image_folder
from mgimm_plugin.data.prepare.converting import Conversion, Prepared, convert
from mgimm_plugin.data.prepare.readers.class_lists import class_lines, is_yaml, yaml_names
from mgimm_plugin.data.prepare.reading import load_json, read_text
from mgimm_plugin.data.prepare.source import Losses, Source, get_source_format
from mgimm_plugin.errors import MgimmError, RecordError, SettingError


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
    split_by_image: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: bool = True,
) -> str:
    """Convert a dataset.

    Args:
        source_format: A name of ``source.source_formats()`` (``FORMAT``).
        inputs: Files and folders (``INPUT...``).
        output: Folder of the result (``--output``).
        images: Folder of the images (``--images``); without it nothing is read from pixels.
        classes: File of class names (``--classes``), as ``read_classes`` takes it.
        columns: ``FIELD=COLUMN`` for tables (``--column``, repeatable).
        image_size: ``WIDTHxHEIGHT`` of all images, for fractions without images (``--image-size``).
        joins: ``FORMAT=PATH`` (``--join``, repeatable): texts of another source about the same images.
        questions: Question templates (``--questions``).
        seed: Seed of splits, questions and sentence patterns (``--seed``).
        split_by_image: Split by image too, beside the source's own split (``--split-by-image``).
        max_pixels: A larger image is dropped (``--max-pixels``).
        progress: Whether to show a line of progress on standard error.

    Returns:
        A summary for the user: what was written, what was dropped and where to read why.

    Raises:
        MgimmError: A setting is wrong, a source cannot be read at all, or nothing came out.
    """
    losses = Losses()

    def source(paths: Sequence[Path]) -> Source:
        return Source(
            inputs=[Path(os.path.abspath(path)) for path in paths],
            images=None if images is None else Path(os.path.abspath(images)),
            classes=() if classes is None else read_classes(classes),
            columns=_pairs(columns, "--column", "FIELD=COLUMN"),
            image_size=None if image_size is None else _size(image_size),
            losses=losses,
        )

    get_source_format(source_format)
    check_image_folder(images)
    for path in inputs:
        if not path.exists():
            raise MgimmError(f"{path} does not exist")
    joined: dict[str, list[Path]] = {}
    for text in joins:
        name, value = _pair(text, "--join", "FORMAT=PATH")
        joined.setdefault(get_source_format(name).name, []).append(Path(value))
    conversion = Conversion(
        source_format=source_format,
        source=source(inputs),
        output=output,
        joins={name: source(paths) for name, paths in joined.items()},
        questions=questions,
        seed=seed,
        split_by_image=split_by_image,
        max_pixels=max_pixels,
        progress=progress,
    )
    return _summary(convert(conversion), output)


def read_classes(path: Path) -> list[str]:
    """Read the names of classes by their number.

    Args:
        path: One name a line, with or without its number before it (``0: ship``); or JSON: a list of names, or an
            object of numbers and names or of names and numbers; or YAML with such a list under ``names``.

    Raises:
        RecordError: The file cannot be read, or names no classes.
    """
    text = read_text(path)
    names: list[object]
    if is_yaml(path):
        names = [*yaml_names(text, path)]
        if not names:
            raise RecordError("has no list of classes under names:, as a YOLO data file has", file=path)
    elif not text.lstrip().startswith(("[", "{")):
        names = [*class_lines(text, path)]
    else:
        value = load_json(path)
        names = value if isinstance(value, list) else _by_number(value, path)
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise RecordError("is not the name of a class", file=path, index=number)
    if not names:
        raise RecordError("names no class", file=path)
    return [str(name) for name in names]


def _by_number(value: dict[str, object], path: Path) -> list[object]:
    pairs = value.items() if all(key.isdigit() for key in value) else ((v, k) for k, v in value.items())
    try:
        numbered = {int(str(number)): name for number, name in pairs}
    except ValueError as error:
        raise RecordError(f"must be an object of numbers and names: {error}", file=path) from error
    if sorted(numbered) != list(range(len(value))):
        raise RecordError("the numbers of the classes must run from 0 without a gap", file=path)
    return [numbered[number] for number in range(len(numbered))]


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise SettingError(f"{option} {text!r} is not {form}")
    return name, value


def _pairs(texts: Sequence[str], option: str, form: str) -> dict[str, str]:
    return dict(_pair(text, option, form) for text in texts)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,5})[xX]([1-9]\d{0,5})", text)
    if match is None:
        raise SettingError(f"--image-size {text!r} is not WIDTHxHEIGHT; write for example 800x800")
    return int(match[1]), int(match[2])


def _summary(prepared: Prepared, output: Path) -> str:
    card, tally = prepared.card, prepared.tally
    lines = [
        f"{entry['records']:>8} {'record ' if entry['records'] == 1 else 'records'}  {output / path}"
        for path, entry in card["files"].items()
    ]
    made = sum(counts["made"] for counts in tally.written.values())
    lines.append(
        f"{made} answers of {sum(counts.total() for counts in tally.written.values())} are made from attributes"
    )
    dropped = tally.dropped.total()
    lines.append(f"dropped: {dropped}; {output / 'report.md'} says what went in, what came out, and why")
    lines += [f"note: {note}" for note in card["notes"]]
    # A name that is no UTF-8 cannot be printed as it is.
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode()
