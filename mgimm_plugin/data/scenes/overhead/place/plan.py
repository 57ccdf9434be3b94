"""What is where in a place before any object stands in it: patches of ground, strips across it, and their features.

Everything is in the unit frame: x to the right and y down, the picture is [0, 1] x [0, 1], whatever its size in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mgimm_plugin.data.scenes.scene import Points

GRID: Final = 128
"""Cells along a side of the map that tells which patch is at a place."""

_SEEN: Final = 0.02
"""Part of the frame that a patch covers if nobody can miss it."""

_ACROSS: Final = 0.96
"""How far the points within the frame of a line reach that crosses it from edge to edge."""

_SLANTED: Final = 0.5
"""The same of a line that crosses it diagonally."""

NOTHING: Final = "none"
"""Surface of what no object stands on: trees, houses, rails."""


@dataclass(frozen=True)
class Patch:
    """A piece of ground of one kind.

    Attributes:
        polygon: Its outline, ``[P, 2]``.
        surface: One of ``vocabulary.SURFACES``, or :data:`NOTHING`.
        material: Key of a style's palette.
        angle: Direction of its rows, streets or furrows in degrees, from x towards y.
        shade: Its brightness against the palette's.
    """

    polygon: Points
    surface: str
    material: str
    angle: float = 0.0
    shade: float = 1.0


@dataclass(frozen=True)
class Strip:
    """Something long: a road, a river, rails.

    Attributes:
        kind: Its word among the features of a scene.
        line: Its middle, ``[P, 2]``, in order.
        width: Its width.
    """

    kind: str
    line: Points
    width: float

    @cached_property
    def _ends(self) -> Points:
        """Length up to each point, ``[P]``."""
        steps = np.diff(self.line, axis=0)
        return np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])

    def at(self, part: float) -> tuple[Points, float]:
        """The point after ``part`` (0 to 1) of its length, and the direction there in degrees."""
        ends = self._ends
        wanted = part * float(ends[-1])
        number = min(max(int(ends.searchsorted(wanted, side="right")) - 1, 0), len(ends) - 2)
        rest = (wanted - ends[number]) / max(ends[number + 1] - ends[number], 1e-9)
        step = self.line[number + 1] - self.line[number]
        return self.line[number] + rest * step, math.degrees(math.atan2(step[1], step[0]))

    def polygon(self, scale: float = 1.0) -> Points:
        """Its outline, ``[2 * P, 2]``; ``scale`` widens it."""
        return ribbon(self.line, self.width * scale)


@dataclass(frozen=True)
class Mark:
    """A thin line on the ground.

    Attributes:
        line: ``[P, 2]``.
        material: Key of a style's palette.
        width: Its width.
        dash: Length of its dashes and of the gaps between them; 0 for none.
        level: Number of the patches under it; later ones cover it.
    """

    line: Points
    material: str
    width: float
    dash: float
    level: int


class Feature(NamedTuple):
    """Something to see; ``patch`` is the number of its patch where it may be covered or out of the frame."""

    kind: str
    direction: str | None
    patch: int | None


@dataclass
class Plan:
    """A place.

    Attributes:
        setting: One of ``vocabulary.SETTINGS``.
        patches: The ground from the lowest to the highest; the first fills the frame.
        strips: Roads, rivers and the like, in their order of drawing; each has patches too.
        marks: Thin lines on the ground.
        features: What there is to see.
    """

    setting: str
    patches: list[Patch] = field(default_factory=list)
    strips: list[Strip] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    features: list[Feature] = field(default_factory=list)

    def add(self, polygon: Points, surface: str, material: str, *, angle: float = 0.0, shade: float = 1.0) -> None:
        """Put a patch over what is there."""
        self.patches.append(Patch(polygon, surface, material, angle, shade))

    def mark(self, line: Points, material: str, width: float, dash: float = 0.0) -> None:
        """Draw a line on what is there."""
        self.marks.append(Mark(line, material, width, dash, len(self.patches)))

    def see(self, kind: str, line: Points | None = None, *, last: bool = False) -> None:
        """Note a feature, once a kind and direction.

        Args:
            kind: What it is.
            line: What it lies along, ``[P, 2]``, if it has a direction.
            last: It is the patch added last, and is seen only where that is; otherwise it cannot be missed.
        """
        direction = None if line is None else direction_word(line)
        if all((feature.kind, feature.direction) != (kind, direction) for feature in self.features):
            self.features.append(Feature(kind, direction, len(self.patches) - 1 if last else None))

    def visible_features(self) -> list[dict[str, Any]]:
        """The features that a person surely sees, as JSON: ``kind`` and ``direction`` (null for none)."""
        areas = np.bincount(self.patch_map().ravel(), minlength=len(self.patches)) / GRID**2
        return [
            {"kind": feature.kind, "direction": feature.direction}
            for feature in self.features
            if feature.patch is None or areas[feature.patch] >= _SEEN
        ]

    def of_kind(self, *kinds: str) -> list[Strip]:
        """Its strips of some kinds."""
        return [strip for strip in self.strips if strip.kind in kinds]

    def patch_map(self) -> NDArray[np.uint8]:
        """Number of the highest patch at each cell, ``[GRID, GRID]``."""
        return draw_map(self.patches, GRID)


def draw_map(patches: list[Patch], size: int) -> NDArray[np.uint8]:
    """Number of the highest patch at each pixel, ``[size, size]``."""
    image = Image.new("L", (size, size))
    pen = ImageDraw.Draw(image)
    for number, patch in enumerate(patches[:255]):
        pen.polygon((patch.polygon * size - 0.5).ravel().tolist(), fill=number)
    return np.asarray(image)


def ribbon(line: Points, width: float) -> Points:
    """Outline ``[2 * P, 2]`` of a line ``[P, 2]`` drawn with a width."""
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * width / 2
    return np.concatenate([line + across, (line - across)[::-1]])


def rectangle(middle: Points, length: float, width: float, angle: float) -> Points:
    """Corners ``[4, 2]`` of a rectangle, its length along ``angle`` (degrees)."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (length / 2, width / 2)
    return corners @ turn(angle).T + middle


def turn(angle: float) -> Points:
    """Matrix ``[2, 2]`` that turns columns by ``angle`` degrees, from x towards y."""
    radians = math.radians(angle)
    cosine, sine = math.cos(radians), math.sin(radians)
    return np.array([(cosine, -sine), (sine, cosine)])


def frame() -> Points:
    """The whole frame and a little around it."""
    return np.array([(-0.1, -0.1), (1.1, -0.1), (1.1, 1.1), (-0.1, 1.1)])


def crossing_line(
    rng: Generator, angle: float, through: tuple[float, float] | Points, *, bend: float = 0.0, points: int = 16
) -> Points:
    """A line ``[points, 2]`` from one edge of the frame to another.

    Args:
        rng: Source of its bends.
        angle: Its direction in degrees.
        through: Where it passes, unless it bends.
        bend: How far it leaves the straight line.
        points: Number of points.
    """
    along = np.linspace(-0.85, 0.85, points)
    phase, count = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.4)
    across = bend * np.sin(2 * np.pi * count * along / 1.7 + phase)
    return np.stack([along, across], axis=1) @ turn(angle).T + np.asarray(through)


def direction_word(line: Points) -> str | None:
    """How a line ``[P, 2]`` crosses the frame: ``horizontal`` or ``vertical`` from edge to edge, or ``diagonal``.

    None where a person could argue, or where the line ends within the frame.
    """
    step = line[-1] - line[0]
    steep = math.degrees(math.atan2(abs(step[1]), abs(step[0])))
    places = np.linspace(0, len(line) - 1, 160)
    fine = np.stack([np.interp(places, np.arange(len(line)), line[:, axis]) for axis in (0, 1)], axis=1)
    inside = fine[((fine > 0.0) & (fine < 1.0)).all(axis=1)]
    if len(inside) < 2:
        return None
    reach = np.ptp(inside, axis=0)
    if steep < 18:
        return "horizontal" if reach[0] > _ACROSS else None
    if steep > 72:
        return "vertical" if reach[1] > _ACROSS else None
    return "diagonal" if 33 < steep < 57 and reach.min() > _SLANTED else None
