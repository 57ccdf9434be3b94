"""Objects of an overhead scene, and what makes a place fit for one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from mgimm_plugin.data.measures import POSITIONS, SIZE_LIMITS, position_word, relative_side, size_word
from mgimm_plugin.data.record_types import Box
from mgimm_plugin.data.scenes.overhead.glyphs import Glyph, placed
from mgimm_plugin.data.scenes.overhead.place.plan import turn
from mgimm_plugin.data.scenes.overhead.vocabulary import COLORS
from mgimm_plugin.data.scenes.scene import RGB, Points, SceneObject

GAP: Final = 0.014
"""Room between boxes, and to the edge of the frame."""

LONGEST_SIDE: Final = 0.6
"""No box is longer than this part of the frame."""

_SIZE_DOUBT: Final = 0.006
_POSITION_DOUBT: Final = 0.018
_CONTRAST: Final = 54.0


@dataclass(frozen=True, kw_only=True)
class OverheadObject(SceneObject):
    """An object with what is needed to draw it.

    Attributes:
        tint: Its color, sRGB.
        surface: What it stands on, one of ``vocabulary.SURFACES``.
        angle: How its glyph is turned, in degrees from x towards y.
        glyph: Its parts and outline in pixels of the scene.
    """

    tint: RGB
    surface: str
    angle: float
    glyph: Glyph


@dataclass(frozen=True)
class Pose:
    """How an object is to lie.

    Attributes:
        middle: Middle of its glyph's frame, ``[2]``, in the unit frame.
        angle: How it is turned, in degrees from x towards y.
        side: Wanted side of the square of its box's area; the glyph is scaled to it. None: ``scale`` says it all.
        scale: Half its width and half its length across and along the glyph's frame, before ``side``.
        loose: Whether it may be moved a little, into the frame and to where the word for its position is clear.
    """

    middle: Points
    angle: float
    side: float | None
    scale: tuple[float, float] = (1.0, 1.0)
    loose: bool = False


@dataclass(frozen=True)
class Candidate:
    """A glyph at a place that may or may not do, in the unit frame.

    Attributes:
        drawing: The glyph in its own frame.
        matrix: ``[2, 2]``, turns and scales it.
        offset: ``[2]``, where the middle of its frame is.
        low: Smallest coordinates of what is drawn, ``[2]``.
        high: Largest coordinates of what is drawn, ``[2]``.
        angle: How it is turned, in degrees.
    """

    drawing: Glyph
    matrix: Points
    offset: Points
    low: Points
    high: Points
    angle: float

    @property
    def box(self) -> Box:
        """Its box."""
        return (float(self.low[0]), float(self.low[1]), float(self.high[0]), float(self.high[1]))

    @property
    def side(self) -> float:
        """Side of the square of its box's area."""
        return relative_side(self.box, 1, 1)

    @property
    def outline(self) -> Points:
        """Its outline, ``[K, 2]``."""
        return self.drawing.outline @ self.matrix.T + self.offset

    @property
    def footprint(self) -> Points:
        """Points on its outline and inside it, ``[N, 2]``."""
        outline = self.outline
        before = np.concatenate([outline[-1:], outline[:-1]])
        halfway = (outline + before) / 2
        middle = (self.low + self.high) / 2
        points = [outline, halfway, (outline + middle) / 2, (halfway + middle) / 2]
        if len(outline) < 16:
            points += [(3 * outline + before) / 4, (outline + 3 * before) / 4]
        return np.concatenate(points)


class Mold:
    """A glyph that is tried at several places.

    Args:
        drawing: The glyph in its own frame.
    """

    def __init__(self, drawing: Glyph) -> None:
        self._drawing = drawing
        self._points = np.ascontiguousarray(np.concatenate([part.points for part in drawing.parts]).T)

    def at(self, pose: Pose) -> Candidate:
        """The glyph laid down; with a side in its pose, so that its box is around the pose's middle."""
        matrix = turn(pose.angle) * pose.scale
        points = matrix @ self._points
        low, high = points.min(axis=1), points.max(axis=1)
        if pose.side is None:
            return Candidate(self._drawing, matrix, pose.middle, low + pose.middle, high + pose.middle, pose.angle)
        unit = _clear_side(pose.side) / math.sqrt((high[0] - low[0]) * (high[1] - low[1]))
        half = (high - low) / 2 * unit
        offset = (_clear_middle(pose.middle, half) if pose.loose else pose.middle) - (low + high) / 2 * unit
        return Candidate(self._drawing, matrix * unit, offset, low * unit + offset, high * unit + offset, pose.angle)


def _clear_side(side: float) -> float:
    """The side, or the next larger one whose word leaves no doubt."""
    for limit in SIZE_LIMITS:
        if abs(side - limit) < _SIZE_DOUBT:
            return limit + 1.2 * _SIZE_DOUBT
    return side


def _clear_middle(middle: Points, half: Points) -> Points:
    """The middle ``[2]`` of a box of these half sides, moved into the frame and away from the limits between words."""
    found = []
    for value, reach in zip(middle.tolist(), half.tolist(), strict=True):
        value = min(max(value, reach + 1.1 * GAP), 1 - reach - 1.1 * GAP)
        for line in (1 / 3, 2 / 3):
            if abs(value - line) < _POSITION_DOUBT:
                value = line + (1.1 if value > line else -1.1) * _POSITION_DOUBT
        found.append(value)
    return np.array(found)


def is_clear(box: Box, others: list[Box]) -> bool:
    """Whether a box of the unit frame lies in the frame, is apart from others, and its words leave no doubt."""
    x1, y1, x2, y2 = box
    if min(x1, y1) < GAP or max(x2, y2) > 1 - GAP or max(x2 - x1, y2 - y1) > LONGEST_SIDE:
        return False
    if is_doubtful(box):
        return False
    return not any(x1 < b[2] + GAP and b[0] < x2 + GAP and y1 < b[3] + GAP and b[1] < y2 + GAP for b in others)


def is_doubtful(box: Box) -> bool:
    """Whether a box of the unit frame is so near a limit between two words that a person could argue."""
    side = relative_side(box, 1, 1)
    middles = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return any(abs(side - limit) < _SIZE_DOUBT for limit in SIZE_LIMITS) or any(
        abs(middle - line) < _POSITION_DOUBT for middle in middles for line in (1 / 3, 2 / 3)
    )


def stands_out(color: str, ground: RGB) -> bool:
    """Whether an object of a color is seen at a glance on ground of a color."""
    red, green, blue = (a - b for a, b in zip(COLORS[color], ground, strict=True))
    return (red * red + green * green + blue * blue) ** 0.5 >= _CONTRAST


def make_object(
    found: Candidate, *, category: str, color: str, shape: str, surface: str, size: int, rng: Generator
) -> OverheadObject:
    """The object of a candidate in a scene of ``size`` px; its box and polygon are rounded to 0.1 px."""
    light, shift = rng.uniform(0.94, 1.04), rng.uniform(-5, 5, 3)
    red, green, blue = (int(value) for value in np.clip(np.array(COLORS[color]) * light + shift, 0, 255))
    drawn = placed(found.drawing, found.matrix * size, found.offset * size)
    x1, y1, x2, y2 = (round(value * size, 1) for value in found.box)
    box = (x1, y1, x2, y2)
    outline = np.clip(drawn.outline, (x1, y1), (x2, y2)).round(1)
    return OverheadObject(
        category=category, color=color, shape=shape, size=size_word(box, size, size),
        position=position_word(box, size, size), box=box,
        polygon=tuple((x, y) for x, y in outline.tolist()),
        facts={"surface": surface}, tint=(red, green, blue), surface=surface, angle=round(found.angle % 360, 1),
        glyph=drawn,
    )  # fmt: skip


def reading_order(item: SceneObject) -> tuple[int, float]:
    """Key that sorts objects by row of the grid of positions, then from left to right."""
    row = next(number for number, words in enumerate(POSITIONS) if item.position in words)
    return row, item.box[0] + item.box[2]
