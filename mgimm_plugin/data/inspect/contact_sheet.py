"""What a contact sheet shows: which records, grouped by image, with numbered boxes and what is said of them."""

from __future__ import annotations

import heapq
import math
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_MAX_PIXELS, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.images import open_image
from mgimm_plugin.data.inspect.reading import Entry, entries
from mgimm_plugin.data.records import Box, Record, Region, parse_record
from mgimm_plugin.errors import ImageError, RecordError

COLORS: Final = ("#e69f00", "#56b4e9", "#f0e442", "#009e73", "#d55e00", "#cc79a7", "#0072b2", "#ffffff")
"""Okabe and Ito's palette and white: told apart with every kind of color vision, and on most images."""

PICTURE_SIDE: Final = 800
"""Longest side of a picture on a sheet, in pixels; larger ones are made smaller when they are read."""

_HEAD = re.compile(rf"(?:\s*(?:{DEFAULT_IMAGE_TOKEN}|{DEFAULT_REGION_TOKEN}))*\s*")
_TAG_SCALES = ((12, 1.0), (40, 0.8), (math.inf, 0.65))
_MOST_HIDDEN = 0.3
"""Of one number by another; beyond that it is left out."""

_SMALL_TAGS = 12
"""A box of less than the area of so many tags would be hidden by one."""

_REGARDED = 150
"""So many boxes and numbers are kept clear of each other; among more there is no room anyway."""

_UNKNOWN_SIZE = (800, 600)
_LARGEST_SIDE = 100_000


@dataclass(frozen=True, slots=True)
class Chosen:
    """A record for the sheet, and the file it is from."""

    file: Path
    record: Record


@dataclass(frozen=True, slots=True)
class Choice:
    """Records for the sheet.

    Attributes:
        chosen: In the order of the files.
        bad: Records that were passed over because they cannot be read; of a random choice only those that would have
            been chosen when their turn came, since no others are parsed.
    """

    chosen: tuple[Chosen, ...]
    bad: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A numbered region of an image; the number is that of its color, from 1."""

    number: int
    region: Region

    @property
    def color(self) -> str:
        """Color of box and number, ``#rrggbb``."""
        return COLORS[(self.number - 1) % len(COLORS)]

    @property
    def label(self) -> str:
        """What the region is, in as many words as the record has."""
        return self.region.phrase or self.region.category or ""

    @property
    def category(self) -> str | None:
        """The region's class, where the label does not say it."""
        category = self.region.category
        return None if category is None or category.lower() in self.label.lower() else category


@dataclass(frozen=True, slots=True)
class Said:
    """A question and its answer.

    Attributes:
        marks: The regions that the question is about; none where it is about the image.
        question: Without the tokens before it; regions within it are numbers in brackets.
        answer: Empty where the record has none.
    """

    marks: tuple[Mark, ...]
    question: str
    answer: str


@dataclass
class Tile:
    """An image with all that the chosen records say of it.

    Attributes:
        title: Path of the image as the records have it; an id where there is none.
        path: The image's file; None for text alone.
        size: ``(width, height)`` of the image in pixels; where it is unknown, of a page that holds the boxes.
        picture: The image, at most ``PICTURE_SIDE`` pixels long; None where it cannot be shown.
        reason: Why it cannot be shown.
        marks: Its regions, each distinct box once.
        said: Questions and answers, in the order of the records.
    """

    title: str
    path: Path | None
    size: tuple[int, int] = _UNKNOWN_SIZE
    picture: Image.Image | None = None
    reason: str | None = None
    marks: list[Mark] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)


def choose_records(files: Iterable[str | Path], count: int, *, seed: int | None = None) -> Choice:
    """Choose records to show; a JSONL file of any size is read line by line.

    Args:
        files: JSON arrays or JSONL.
        count: How many records; all of them where there are fewer.
        seed: Choose at random, each good record with the same chance; None takes the first.

    Raises:
        RecordError: A file as a whole cannot be read.
    """
    bad = 0
    kept: list[tuple[float, int, Chosen]] = []
    source = random.Random(seed)
    for place, entry in enumerate(entry for file in files for entry in entries(file)):
        # Every entry draws a number, and the good ones with the largest are kept: bad ones change no one's chance.
        drawn = -place if seed is None else source.random()
        if len(kept) == count and drawn < kept[0][0]:
            continue
        record = _read(entry)
        if record is None:
            bad += 1
            continue
        heapq.heappush(kept, (drawn, place, Chosen(entry.file, record)))
        if len(kept) > count:
            heapq.heappop(kept)
        if seed is None and len(kept) == count:
            break
    return Choice(tuple(chosen for _, _, chosen in sorted(kept, key=lambda item: item[1])), bad)


def make_tiles(chosen: Iterable[Chosen], images: str | Path | None = None) -> list[Tile]:
    """Group records by image and number their regions.

    Args:
        chosen: Records.
        images: Folder of the images; None takes the folder of each file.

    Returns:
        Tiles in the order in which their images come first, without pictures: see :func:`load_picture`.
    """
    tiles: dict[object, Tile] = {}
    for position, item in enumerate(chosen):
        record = item.record
        folder = item.file.parent if images is None else Path(images)
        path = None if record.image is None else folder / record.image
        tile = tiles.setdefault(path or position, Tile(record.image or record.id, path))
        if tile.size == _UNKNOWN_SIZE and record.width is not None and record.height is not None:
            tile.size = (record.width, record.height)
        marks = [_mark(tile, region) for region in record.regions]
        tile.said += _said(record, marks)
    return list(tiles.values())


def load_picture(tile: Tile, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
    """Give a tile its picture, made small, and its true size; or the reason why there is none."""
    if tile.path is None:
        return
    try:
        tile.picture = open_image(tile.path, max_pixels=max_pixels)
        tile.size = tile.picture.size
        tile.picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS)
    except ImageError as error:
        tile.reason = error.message
        if tile.size == _UNKNOWN_SIZE and tile.marks:
            right, bottom = (max(mark.region.bbox[side] for mark in tile.marks) for side in (2, 3))
            tile.size = (_side(1.05 * right), _side(1.05 * bottom))


def _side(number: float) -> int:
    return int(min(max(number, 1.0), _LARGEST_SIDE))


def tag_scale(marks: Sequence[Mark]) -> float:
    """How large the numbers of an image are, against those where it has few regions: many small ones hide less."""
    return next(scale for most, scale in _TAG_SCALES if len(marks) <= most)


def place_tags(marks: Sequence[Mark], size: tuple[int, int], height: float) -> list[tuple[float, float, float] | None]:
    """Find room for the numbers of boxes: beside their box, inside the image, and off other things where that can be.

    Args:
        marks: Regions of one image.
        size: ``(width, height)`` of the image.
        height: Height of a number's tag, in the image's pixels.

    Returns:
        ``x, y, width`` of each tag, in pixels of the image; None where it would stand on others.
    """
    # A number may lie on a large neighbor, but not on one that it would hide.
    small = [mark.region.bbox for mark in marks[:_REGARDED] if _area(mark.region.bbox) < _SMALL_TAGS * height**2]
    placed: list[tuple[float, float, float] | None] = []
    tags: list[Box] = []
    for mark in marks:
        width = height * (0.45 + 0.55 * len(str(mark.number)))
        obstacles = [*tags[-_REGARDED:], *small, mark.region.bbox]
        spots = [(x, y, x + width, y + height) for x, y in _spots(mark.region.bbox, width, height, size)]
        tag = min(spots, key=lambda spot: sum(_common(spot, other) for other in obstacles))
        if any(_common(tag, other) > _MOST_HIDDEN * width * height for other in tags[-_REGARDED:]):
            placed.append(None)
            continue
        placed.append((tag[0], tag[1], width))
        tags.append(tag)
    return placed


def _spots(box: Box, width: float, height: float, size: tuple[int, int]) -> list[tuple[float, float]]:
    """Where a tag may stand: at the corners of its box, best ones first, moved into the image."""
    x1, y1, x2, y2 = box
    corners = (
        *((x1, y1 - height), (x1, y2), (x2 - width, y1 - height), (x2 - width, y2)),
        *((x1 - width, y1), (x2, y1), (x1 - width, y2 - height), (x2, y2 - height), (x1, y1)),
    )
    limits = (max(size[0] - width, 0.0), max(size[1] - height, 0.0))
    return [(min(max(x, 0.0), limits[0]), min(max(y, 0.0), limits[1])) for x, y in corners]


def _common(one: Box, other: Box) -> float:
    """Area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def _area(box: Box) -> float:
    return _common(box, box)


def _read(entry: Entry) -> Record | None:
    try:
        return parse_record(entry.load())
    except RecordError:
        return None


def _mark(tile: Tile, region: Region) -> Mark:
    """The mark of a region; the same box has the same number in all records, and the richest of its descriptions."""
    for place, mark in enumerate(tile.marks):
        if mark.region.bbox == region.bbox:
            if not mark.region.phrase and (region.phrase or not mark.region.category):
                tile.marks[place] = Mark(mark.number, region)
            return tile.marks[place]
    tile.marks.append(Mark(len(tile.marks) + 1, region))
    return tile.marks[-1]


def _said(record: Record, marks: Sequence[Mark]) -> list[Said]:
    turns = [*record.conversations]
    left = list(marks)
    result = []
    for question, answer in zip(turns[::2], [*turns[1::2], None], strict=False):
        head = _HEAD.match(question.value)
        before = head.group() if head else ""
        split, count = before.count(DEFAULT_REGION_TOKEN), question.value.count(DEFAULT_REGION_TOKEN)
        shown, within, left = left[:split], left[split:count], left[count:]
        if DEFAULT_IMAGE_TOKEN in before:
            shown = []
        text = question.value[len(before) :].replace(DEFAULT_IMAGE_TOKEN, "").strip()
        for mark in within:
            text = text.replace(DEFAULT_REGION_TOKEN, f"[{mark.number}]", 1)
        said = Said(tuple(shown), text, answer.value.strip() if answer else "")
        if not _repeats(said):
            result.append(said)
    return result


def _repeats(said: Said) -> bool:
    """Whether an answer about one region is only the phrase that stands below the picture anyway."""
    if len(said.marks) != 1 or not said.answer:
        return False
    return said.answer.rstrip(" .") == said.marks[0].label.rstrip(" .")
