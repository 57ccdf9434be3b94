"""What glyphs are made of: parts, glyphs, and the polygons that the drawings of the categories are put together from.

Drawings use plain lists of pairs, which are faster than arrays of a few rows; `Sketch.finish` turns all of them into
one array at once.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

import numpy as np

from mgimm_plugin.data.scenes.scene import Points

Pair = tuple[float, float]
Polygon = list[Pair]
T = TypeVar("T")

TURN: Final = 2 * math.pi


class Part(NamedTuple):
    """One polygon of a glyph.

    Attributes:
        points: ``[P, 2]``, in the glyph's frame.
        role: What it is, which gives its color (``painting.role_color``); "body" is the object's own color.
        height: How high its top stands over the ground, in the glyph's unit; 0 casts no shadow.
        base: How high its underside is: its shadow starts that far away, as that of a rotor or a bridge does.
    """

    points: Points
    role: str
    height: float = 0.0
    base: float = 0.0


@dataclass(frozen=True, eq=False)
class Glyph:
    """An object seen from above.

    Attributes:
        parts: Its polygons, the lowest first.
        outline: ``[K, 2]``, a polygon around everything drawn of it, its shadow apart.
    """

    parts: tuple[Part, ...]
    outline: Points


class Sketch:
    """A glyph in the making: its parts so far, its source of variation, and how finely it is to be drawn.

    Args:
        source: Where its variation comes from.
        detail: Side in pixels at which it will be seen.
    """

    def __init__(self, source: random.Random, detail: float) -> None:
        self._source = source
        self._pixels = detail / 2
        self._drawn: list[tuple[Polygon, str, float, float]] = []

    def vary(self, low: float, high: float) -> float:
        """A number between the two."""
        return low + (high - low) * self._source.random()

    def pick(self, *choices: T) -> T:
        """One of the choices."""
        return choices[int(self._source.random() * len(choices))]

    def chance(self, share: float) -> bool:
        """Whether something happens that does so in this share of cases."""
        return self._source.random() < share

    def shows(self, size: float) -> bool:
        """Whether something of this size, in the glyph's unit, is at least half a pixel."""
        return size * self._pixels >= 0.5

    def room(self, size: float, pixels: float) -> int:
        """How many things of so many pixels fit into a size in the glyph's unit."""
        return int(size * self._pixels / pixels)

    def add(self, points: Polygon, role: str = "body", height: float = 0.0, base: float = 0.0) -> None:
        """Put a polygon on top of the others."""
        self._drawn.append((points, role, height, base))

    def finish(self, outline: Polygon, bend: Callable[[Points], Points] | None = None) -> Glyph:
        """The glyph of all parts, moved and scaled so that its longer side goes from -1 to 1.

        Args:
            outline: A polygon around everything drawn.
            bend: What is done to all points ``[N, 2]``, such as laying them along a curve.
        """
        everything = np.array([point for points, *_ in self._drawn for point in points] + outline)
        if bend is not None:
            everything = bend(everything)
        last = len(everything) - len(outline)
        drawn = everything[:last]
        low, high = drawn.min(axis=0), drawn.max(axis=0)
        unit = 2 / float((high - low).max())
        everything = (everything - (low + high) / 2) * unit
        parts = []
        start = 0
        for points, role, height, base in self._drawn:
            end = start + len(points)
            parts.append(Part(everything[start:end], role, height * unit, base * unit))
            start = end
        return Glyph(tuple(parts), everything[last:])


@lru_cache(maxsize=64)
def _circle(count: int) -> tuple[Pair, ...]:
    return tuple((math.cos(TURN * k / count), math.sin(TURN * k / count)) for k in range(count))


def rect(x1: float, y1: float, x2: float, y2: float) -> Polygon:
    """A rectangle between two corners."""
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def ellipse(x: float, y: float, across: float, along: float, count: int = 28) -> Polygon:
    """An ellipse with these half axes."""
    return [(x + across * c, y + along * s) for c, s in _circle(count)]


def disc(x: float, y: float, radius: float, count: int = 28) -> Polygon:
    """A circle."""
    return ellipse(x, y, radius, radius, count)


def mirrored(*points: Pair) -> Polygon:
    """A polygon symmetric in x from its right half, given from top to bottom."""
    return [*points, *((-x, y) for x, y in reversed(points) if x)]


def rounded(half_width: float, half_length: float, radius: float, count: int = 5) -> Polygon:
    """A rectangle about 0 with rounded corners; a capsule if the radius is half its width."""
    corners: Polygon = []
    for turn, (x, y) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        middle = x * (half_width - radius), y * (half_length - radius)
        for k in range(count + 1):
            angle = (turn + k / count) * math.pi / 2
            corners.append((middle[0] + radius * math.cos(angle), middle[1] + radius * math.sin(angle)))
    return corners


def octagon(radius: float, x: float = 0.0, y: float = 0.0) -> Polygon:
    """An octagon with sides at the top, the bottom, the left and the right."""
    far = radius / math.cos(math.pi / 8)
    return [(x + far * math.cos(TURN * (k + 0.5) / 8), y + far * math.sin(TURN * (k + 0.5) / 8)) for k in range(8)]


def line(start: Pair, end: Pair, width: float) -> Polygon:
    """A straight line of some width."""
    across, along = end[0] - start[0], end[1] - start[1]
    half = width / 2 / (math.hypot(across, along) or 1.0)
    dx, dy = -along * half, across * half
    return [
        (start[0] + dx, start[1] + dy),
        (end[0] + dx, end[1] + dy),
        (end[0] - dx, end[1] - dy),
        (start[0] - dx, start[1] - dy),
    ]


def arc(x: float, y: float, inner: float, outer: float, start: float, end: float, count: int = 12) -> Polygon:
    """A piece of a ring between two angles."""
    angles = [start + (end - start) * k / count for k in range(count + 1)]
    return [(x + outer * math.cos(a), y + outer * math.sin(a)) for a in angles] + [
        (x + inner * math.cos(a), y + inner * math.sin(a)) for a in reversed(angles)
    ]


def frame(points: Polygon, inner: Polygon) -> Polygon:
    """What is between two polygons of equally many corners, one inside the other."""
    return [*points, points[0], inner[0], *reversed(inner)]


def moved(points: Iterable[Pair], dx: float, dy: float) -> Polygon:
    """The points shifted."""
    return [(x + dx, y + dy) for x, y in points]


def scaled(points: Iterable[Pair], across: float, along: float | None = None) -> Polygon:
    """The points scaled about 0."""
    along = across if along is None else along
    return [(x * across, y * along) for x, y in points]


def turned(points: Iterable[Pair], angle: float) -> Polygon:
    """The points turned about 0, from x to y."""
    c, s = math.cos(angle), math.sin(angle)
    return [(x * c - y * s, x * s + y * c) for x, y in points]


def hull(points: Iterable[Pair]) -> Polygon:
    """The convex polygon around points."""
    ordered = sorted(set(points))
    halves: list[Polygon] = []
    for sequence in (ordered, ordered[::-1]):
        edge: Polygon = []
        for x, y in sequence:
            while len(edge) > 1 and (edge[-1][0] - edge[-2][0]) * (y - edge[-2][1]) <= (edge[-1][1] - edge[-2][1]) * (
                x - edge[-2][0]
            ):
                edge.pop()
            edge.append((x, y))
        halves.append(edge[:-1])
    return halves[0] + halves[1]
