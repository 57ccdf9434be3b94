"""What is wrong with a file of records: all of it, with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.data.formats import format_of
from mgimm_plugin.data.images import open_image
from mgimm_plugin.data.inspect.collecting import problems_of
from mgimm_plugin.data.inspect.image_folder import wrong_folder
from mgimm_plugin.data.inspect.on_disk import SeenIds, temporary_database
from mgimm_plugin.data.inspect.reading import Entry, entries
from mgimm_plugin.data.records import Box, Record, Region, check_image_size, parse_record
from mgimm_plugin.errors import BoxError, ImageError, RecordError
from mgimm_plugin.geometry import clip_boxes, points_to_xyxy

LEAST_OVERLAP = 0.2
"""Intersection over union of a region's bbox and the box around its polygon; below it they are in different frames."""

_IMAGES_REMEMBERED = 4096
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a place in a file.

    Attributes:
        message: What is wrong, and what to do.
        file: The file.
        index: 0-based position of the record in the file; None where all of the file is meant.
        line: 1-based number of the line, for JSONL.
        record: Id of the record, where it has one.
        field: Path of the field, such as ``regions[2].bbox``.
    """

    message: str
    file: str
    index: int | None
    line: int | None = None
    record: str | None = None
    field: str | None = None

    def __str__(self) -> str:
        names = ("file", "line", "index", "record", "field")
        places = [f"{name} {getattr(self, name)}" for name in names if getattr(self, name) is not None]
        return f"{', '.join(places)}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """The problem as a JSON object; what is not known is null."""
        return {
            "file": self.file, "index": self.index, "line": self.line, "id": self.record, "field": self.field,
            "message": self.message,
        }  # fmt: skip


@dataclass
class Tally:
    """What is counted on the way through a file.

    Attributes:
        formats: Good records by format.
        records: All records.
        bad_records: Records with at least one problem.
        problems: Problems.
        clipped_boxes: Boxes that stick out of their image: no problem, they are clipped when they are used.
    """

    formats: Counter[str] = field(default_factory=Counter)
    records: int = 0
    bad_records: int = 0
    problems: int = 0
    clipped_boxes: int = 0


def find_problems(
    file: str | Path,
    tally: Tally,
    *,
    images: str | Path | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: bool = False,
) -> Iterator[Problem]:
    """Check a file, record by record; of JSONL one line is in memory at a time.

    Args:
        file: JSON array or JSONL of records.
        tally: Receives the counts.
        images: Folder of the images; None leaves images alone. One that has no image of the records is one problem.
        max_pixels: A larger image is a problem.
        progress: Show a bar on standard error.

    Yields:
        Each problem, in the order of the file.

    Raises:
        RecordError: The file as a whole cannot be read.
        MgimmError: The ids of the file do not fit the disk of the temporary folder.
    """
    sizes = None if images is None else _ImageSizes(Path(images), max_pixels)
    if sizes is not None and (wrong := wrong_folder(file, sizes.folder)) is not None:
        sizes.are_told_missing = True
        tally.problems += 1
        yield Problem(wrong, str(file), None, field="image")
    with temporary_database() as database:
        seen = SeenIds(database)
        block: list[_Checked] = []
        for entry in entries(file, progress=progress):
            block.append(_check(entry, sizes, tally))
            if len(block) == _BLOCK:
                yield from _problems(block, str(file), seen, tally)
                block.clear()
        yield from _problems(block, str(file), seen, tally)


@dataclass(slots=True)
class _Checked:
    """What is known of a record before its id is compared with others; a bad one may have its problem told before."""

    index: int
    line: int | None
    found: list[RecordError]
    identity: str | None = None
    format: str | None = None
    is_bad: bool = False


def _check(entry: Entry, sizes: _ImageSizes | None, tally: Tally) -> _Checked:
    checked = _Checked(entry.index, entry.line, [])
    try:
        value = entry.load()
    except RecordError as error:
        checked.found = [error]
        return checked
    try:
        record = parse_record(value)
    except RecordError:
        checked.found = problems_of(value)
        names = (error.record for error in checked.found if error.record is not None)
        checked.identity = next((str(name) for name in names), None)
        return checked
    checked.identity = record.id
    try:
        record_format = format_of(record)
        checked.format = record_format.name
        record_format.check(record)
    except RecordError as error:
        checked.found.append(error.at(record=record.id))
    checked.found += _check_image(record, sizes, tally)
    checked.is_bad = sizes is not None and sizes.are_told_missing and record.image is not None
    return checked


def _problems(block: list[_Checked], file: str, seen: SeenIds, tally: Tally) -> Iterator[Problem]:
    """The problems of records, ids that came before among them; ids are looked up many at a time, which is quicker."""
    for checked in block:
        if checked.identity is not None:
            first = seen.first_place(checked.identity, checked.index)
            if first != checked.index:
                message = f"the id is that of index {first} too"
                checked.found.insert(0, RecordError(message, record=checked.identity, field="id"))
        tally.records += 1
        tally.problems += len(checked.found)
        if checked.found or checked.is_bad:
            tally.bad_records += 1
        elif checked.format is not None:
            tally.formats[checked.format] += 1
    for checked in block:
        for error in checked.found:
            identity = None if error.record is None else str(error.record)
            yield Problem(error.message, file, checked.index, checked.line, identity, error.field)


class _ImageSizes:
    """Sizes of images that can be read to their last pixel; those met last are remembered, good or bad."""

    def __init__(self, folder: Path, max_pixels: int) -> None:
        self.folder, self.max_pixels = folder, max_pixels
        self.are_told_missing = False
        self.of = lru_cache(_IMAGES_REMEMBERED)(self._read)

    def _read(self, name: str) -> tuple[int, int] | ImageError:
        try:
            return open_image(self.folder / name, max_pixels=self.max_pixels).size
        except ImageError as error:
            return error


def told_size(record: Record) -> tuple[int, int] | None:
    """``(width, height)`` of a record's image as the record tells it."""
    return None if record.width is None or record.height is None else (record.width, record.height)


def _check_image(record: Record, sizes: _ImageSizes | None, tally: Tally) -> list[RecordError]:
    """Check image, sizes, boxes and polygons; boxes are held against the image, or else the size the record tells."""
    if record.image is None:
        return []
    found: list[RecordError] = []
    size = told_size(record)
    if sizes is not None:
        real = sizes.of(record.image)
        if isinstance(real, ImageError):
            if not sizes.are_told_missing:
                found.append(RecordError(real.message, record=record.id, field="image"))
        else:
            size = real
            try:
                check_image_size(record, *real)
            except RecordError as error:
                found.append(error)
    clipped, misplaced = misplaced_regions(record, size)
    tally.clipped_boxes += clipped
    return found + misplaced


def misplaced_regions(record: Record, size: tuple[int, int] | None) -> tuple[int, list[RecordError]]:
    """Hold boxes and polygons against the image and each other.

    Args:
        record: The record.
        size: ``(width, height)`` of its image, where it is known.

    Returns:
        How many boxes stick out of the image, and a problem for each region that lies outside it, or whose polygon is
        not where its bbox is.
    """
    clipped = 0
    found: list[RecordError] = []
    for index, region in enumerate(record.regions):
        try:
            clipped += _is_clipped(region.bbox, size)
            _check_polygon(region, size)
        except BoxError as error:
            name = "polygon" if error.field == "polygon" else "bbox"
            found.append(BoxError(error.message, record=record.id, field=f"regions[{index}].{name}"))
    return clipped, found


def _is_clipped(box: Box, size: tuple[int, int] | None) -> bool:
    """Whether a box sticks out of its image; BoxError where nothing of it is inside."""
    if size is None or (box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]):
        return False
    return clip_boxes([box], *size)[1] > 0


def _check_polygon(region: Region, size: tuple[int, int] | None) -> None:
    """A polygon and its bbox tell the same place, or one of them is in another frame."""
    if region.polygon is None:
        return
    around: tuple[float, ...] = tuple(points_to_xyxy(region.polygon)[0].tolist())
    # A bbox that was clipped to its image is compared with what the image holds of the polygon.
    parts = [_inside(box, size) for box in (around, region.bbox)]
    if max(_overlap(around, region.bbox), _overlap(*parts)) < LEAST_OVERLAP:
        shown = ", ".join(f"{number:g}" for number in around)
        raise BoxError(
            f"the polygon spans [{shown}] and its bbox is {list(region.bbox)}: they must be in one frame",
            field="polygon",
        )


def _inside(box: tuple[float, ...], size: tuple[int, int] | None) -> tuple[float, ...]:
    if size is None:
        return box
    return tuple(min(max(value, 0.0), float(size[at % 2])) for at, value in enumerate(box))


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0.0) * max(height, 0.0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - both
    return both / union if union > 0 else 0.0
