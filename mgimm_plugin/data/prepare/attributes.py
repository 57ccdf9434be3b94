"""What can be told of objects from their annotation and, where the image is at hand, from its pixels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mgimm_plugin.data.measures import SIZES, position_word, size_word
from mgimm_plugin.data.prepare.annotations import AnnotatedObject
from mgimm_plugin.data.prepare.colors import dominant_color
from mgimm_plugin.data.prepare.naming import object_words, with_articles
from mgimm_plugin.data.prepare.neighbors import BoxIndex
from mgimm_plugin.data.records import Polygon

NEEDS_SIZE: Final = ("size", "position")
"""Attributes that need the image's width and height."""
NEEDS_PIXELS: Final = ("color",)
"""Attributes that need the image."""
NAMES: Final = ("category", "size", "color", "shape", "orientation", "position", "relation")

ELONGATED: Final = 2.5
"""Longer over shorter side from which on something is elongated."""
ORIENTED: Final = 1.5
"""And from which on an outline has a direction."""
OVERLAP: Final = 0.5
"""Part of the shorter of two sides that must face the other object for one to be left of, or above, it."""
NEAR: Final = 2.0
"""Gap to a neighbor, at most, in longest sides of the larger of the two."""

_DIRECTIONS: Final = ("left of", "right of", "above", "below")


def measure(
    objects: Sequence[AnnotatedObject],
    width: int | None,
    height: int | None,
    image: Image.Image | None = None,
    *,
    among: Sequence[AnnotatedObject] | None = None,
    is_complete: bool = True,
) -> list[dict[str, str]]:
    """Measure the attributes of objects; what cannot be told, or is not clear, is left out.

    Args:
        objects: Objects of one image.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        image: The image, RGB.
        among: All objects of the image, which neighbors are looked for in; ``objects`` by default.
        is_complete: Whether the image has no further objects, so that the only harbor of these is "the harbor".

    Returns:
        For each object name and value of its attributes, in the order of ``NAMES``.
    """
    neighbors = _Neighbors(objects if among is None else among, is_complete)
    return [_measured(item, width, height, image, neighbors) for item in objects]


def _measured(
    item: AnnotatedObject, width: int | None, height: int | None, image: Image.Image | None, neighbors: _Neighbors
) -> dict[str, str]:
    words = object_words(item.category) if item.category else None
    found: dict[str, str | None] = {"category": words}
    # A "large vehicle" is of a class of that name; a second word of size would contradict it or stutter.
    if width and height and not (words and words.split(" ")[0] in SIZES):
        found["size"] = size_word(item.bbox, width, height)
    if image is not None:
        found["color"] = dominant_color(image, item.bbox, item.polygon)
    if not _is_cut(item, width, height):
        outline = None if item.polygon is None else outline_of(item.polygon)
        found["shape"] = shape_word(item, outline)
        found["orientation"] = orientation_word(item, outline)
    if width and height:
        found["position"] = position_word(item.bbox, width, height)
    found["relation"] = neighbors.relation(item)
    return {name: value for name, value in found.items() if value is not None}


def _is_cut(item: AnnotatedObject, width: int | None, height: int | None) -> bool:
    """Whether an object reaches the image's edge, so that what is seen of it may have another shape than it has."""
    if not (width and height):
        return False
    x1, y1, x2, y2 = item.bbox
    # The last pixel is at width - 1 for a source that gives places of pixels.
    return x1 < 1 or y1 < 1 or x2 >= width - 1 or y2 >= height - 1


class Outline(NamedTuple):
    """An outline's smallest rectangle, in pixels; ``angle`` is that of its longer side to the x axis, radians."""

    longer: float
    shorter: float
    angle: float
    area: float
    perimeter: float

    @property
    def ratio(self) -> float:
        """Longer over shorter side."""
        return self.longer / self.shorter if self.shorter > 0 else math.inf


def outline_of(points: Polygon) -> Outline | None:
    """Measure an outline: the rectangle of smallest area, one side along an edge, around it; None where it is flat."""
    xy = np.asarray(points, dtype=np.float64)
    edges = np.roll(xy, -1, axis=0) - xy
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    directions = edges[lengths > 0] / lengths[lengths > 0, None]
    if not len(directions):
        return None
    along = xy @ directions.T
    across = xy @ np.stack([-directions[:, 1], directions[:, 0]])
    sides = np.stack([np.ptp(along, axis=0), np.ptp(across, axis=0)], axis=1)
    best = int(sides.prod(axis=1).argmin())
    (first, second), (dx, dy) = sides[best], directions[best]
    angle = math.atan2(dy, dx) if first >= second else math.atan2(dx, -dy)
    following = np.roll(xy, -1, axis=0)
    area = abs(float((xy[:, 0] * following[:, 1] - following[:, 0] * xy[:, 1]).sum())) / 2
    longer, shorter = max(first, second), min(first, second)
    return Outline(float(longer), float(shorter), angle, area, float(lengths.sum())) if shorter > 0 else None


def shape_word(item: AnnotatedObject, outline: Outline | None) -> str | None:
    """``elongated``; for an outline of five points or more also ``round``, ``square`` or ``rectangular``; or None.

    An upright box says nothing of the shape inside, except that what fills a long box is long. Nor does an oriented
    box of four points: a tank's is as square as a court's.
    """
    if outline is None:
        return "elongated" if _ratio(item) >= ELONGATED else None
    if outline.ratio >= ELONGATED:
        return "elongated"
    if len(item.polygon or ()) < 5:
        return None
    # 4 pi area / perimeter^2 is 1 for a circle, 0.79 for a square (isoperimetric quotient).
    if outline.ratio <= 1.2 and 4 * math.pi * outline.area >= 0.88 * outline.perimeter**2:
        return "round"
    if outline.area >= 0.9 * outline.longer * outline.shorter:
        return "square" if outline.ratio <= 1.2 else "rectangular"
    return None


def orientation_word(item: AnnotatedObject, outline: Outline | None) -> str | None:
    """``horizontal``, ``vertical`` or ``diagonal``: the direction of the longer side, where one is clearly longer."""
    if outline is None:
        x1, y1, x2, y2 = item.bbox
        if _ratio(item) < ELONGATED:
            return None
        return "horizontal" if x2 - x1 > y2 - y1 else "vertical"
    if outline.ratio < ORIENTED:
        return None
    degrees = abs(math.degrees(outline.angle)) % 180
    slope = min(degrees, 180 - degrees)
    return "horizontal" if slope <= 22.5 else "vertical" if slope >= 67.5 else "diagonal"


def _ratio(item: AnnotatedObject) -> float:
    x1, y1, x2, y2 = item.bbox
    return max(x2 - x1, y2 - y1) / min(x2 - x1, y2 - y1)


class _Neighbors:
    """Finds what an object lies beside."""

    def __init__(self, objects: Sequence[AnnotatedObject], is_complete: bool) -> None:
        self._is_complete = is_complete
        named = [item for item in objects if item.category]
        self._rows = {id(item): row for row, item in enumerate(named)}
        self._boxes: NDArray[np.float64] = np.array([item.bbox for item in named], dtype=np.float64).reshape(-1, 4)
        self._index = BoxIndex(self._boxes)
        self._words = [object_words(item.category or "") for item in named]
        self._crowds = [item.is_crowd for item in named]
        self._counts = Counter(self._words)
        # A crowd is several: beside it, one more of its kind is not "the" one.
        self._counts.update(word for word, is_crowd in zip(self._words, self._crowds, strict=True) if is_crowd)

    def relation(self, item: AnnotatedObject) -> str | None:
        """Such as ``left of a harbor``: the side of its nearest neighbor it is on, where that is beyond doubt."""
        row = self._rows.get(id(item))
        own = np.asarray(item.bbox, dtype=np.float64)
        found = self._index.nearest(own, without=row)
        if found is None:
            return None
        nearest, gaps = found
        direction = int(gaps.argmax())
        if self._crowds[nearest] or not self._is_clear(float(gaps[direction]), direction, own, self._boxes[nearest]):
            return None
        words = self._words[nearest]
        same = row is not None and self._words[row] == words
        article = "another" if same else "the" if self._is_complete and self._counts[words] == 1 else "a"
        return with_articles(f"{_DIRECTIONS[direction]} {article} {words}")

    def _is_clear(self, gap: float, direction: int, own: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
        """Whether two boxes are apart, near, and face each other."""
        sides, its_sides = own[2:] - own[:2], other[2:] - other[:2]
        if not 0 <= gap <= NEAR * max(*sides, *its_sides):
            return False
        axis = 1 if direction < 2 else 0
        facing = min(own[axis + 2], other[axis + 2]) - max(own[axis], other[axis])
        return bool(facing >= OVERLAP * min(sides[axis], its_sides[axis]))
