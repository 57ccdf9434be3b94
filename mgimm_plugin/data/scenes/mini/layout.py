"""What is in a scene and where, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from mgimm_plugin.data.scenes.mini.glyphs import Part, bounds, glyph, placed
from mgimm_plugin.data.scenes.mini.vocabulary import (
    CATEGORIES,
    COLORS,
    SETTINGS,
    SHAPES,
    SIZE_LIMITS,
    SIZES,
    Box,
    position_word,
    relative_side,
    size_word,
)
from mgimm_plugin.data.scenes.scene import SceneObject

SIDES = {"small": (0.145, 0.175), "medium": (0.193, 0.235), "large": (0.257, 0.33)}
"""Wanted sides per size word, clear of the limits between the words."""

LONGEST_SIDE = 0.42
"""No box is longer than this part of the frame."""

_MARGIN = 0.015
_TRIES = 40


@dataclass(frozen=True, kw_only=True)
class MiniObject(SceneObject):
    """An object with its color as sRGB and its polygons in the scene's pixels."""

    tint: tuple[int, int, int]
    parts: tuple[Part, ...]


def lay_out(rng: Generator, setting: str, size: int) -> tuple[MiniObject, ...]:
    """Three to eight objects that do not overlap, in reading order.

    Every category in the scene occurs at least twice, each time with another color or shape: what is true of one
    object cannot be said without knowing which one is meant.
    """
    while True:
        found: list[MiniObject] = []
        for category, color, shape in draw_kinds(rng, setting):
            added = _find_place(rng, category, color, shape, found, size)
            if added is not None:
                found.append(added)
        counts = {category: sum(item.category == category for item in found) for category in CATEGORIES}
        kept = [item for item in found if counts[item.category] > 1]
        if len(kept) >= 3:
            return tuple(sorted(kept, key=lambda item: _reading_order(item.box, size)))


def _reading_order(box: Box, size: int) -> tuple[int, float]:
    return int(3 * (box[1] + box[3]) / 2 / size), box[0] + box[2]


def draw_kinds(rng: Generator, setting: str) -> list[tuple[str, str, str]]:
    """Distinct (category, color, shape) triples; every category at least twice."""
    count = int(rng.integers(3, 9))
    different = int(rng.integers(1, min(3, count // 2) + 1))
    chosen = [CATEGORIES[i] for i in rng.choice(len(CATEGORIES), different, replace=False)]
    categories = [chosen[i % different] for i in range(2 * different)]
    categories += [chosen[i] for i in rng.integers(different, size=count - 2 * different)]
    kinds: list[tuple[str, str, str]] = []
    for category in categories:
        colors, shapes = SETTINGS[setting], SHAPES[category]
        while True:
            kind = (category, colors[rng.integers(len(colors))], shapes[rng.integers(len(shapes))])
            if kind not in kinds:
                kinds.append(kind)
                break
    return kinds


def _find_place(
    rng: Generator, category: str, color: str, shape: str, others: list[MiniObject], size: int
) -> MiniObject | None:
    """The object at a free place, or None if none was found."""
    light, shift = rng.uniform(0.9, 1.05), rng.uniform(-6, 6, 3)
    red, green, blue = (int(value) for value in np.clip(np.array(COLORS[color]) * light + shift, 0, 255))
    for attempt in range(_TRIES):
        word = SIZES[rng.integers(3)] if attempt < _TRIES // 2 else "small"
        parts = _scaled(glyph(category, shape), rng, rng.uniform(*SIDES[word]) * size)
        low, high = bounds(parts)
        room = size - (high - low) - 2 * _MARGIN * size
        if (high - low).max() > LONGEST_SIDE * size:
            continue
        corner = _MARGIN * size + rng.uniform(0, 1, 2) * room
        box: Box = tuple(np.round([*corner, *(corner + high - low)], 1).tolist())
        if _is_ambiguous(box, size) or any(_touch(box, other.box, 0.02 * size) for other in others):
            continue
        moved = tuple(placed(parts, np.eye(2), corner - low))
        return MiniObject(
            category=category, color=color, shape=shape, size=size_word(box, size), position=position_word(box, size),
            box=box, tint=(red, green, blue), parts=moved,
        )  # fmt: skip
    return None


def _scaled(parts: list[Part], rng: Generator, side: float) -> list[Part]:
    """The parts stretched and turned at random, then scaled to a box with the area ``side ** 2``."""
    angle = np.pi / 2 * rng.integers(4) + rng.uniform(-0.2, 0.2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretched = placed(parts, turn @ np.diag(np.exp(rng.uniform(-0.12, 0.12, 2))), np.zeros(2))
    low, high = bounds(stretched)
    return placed(stretched, np.eye(2) * side / np.sqrt(np.prod(high - low)), np.zeros(2))


def _is_ambiguous(box: Box, size: int) -> bool:
    """Whether the box is so near a limit between two words that a person could argue."""
    side = relative_side(box, size)
    middles = ((box[0] + box[2]) / 2 / size, (box[1] + box[3]) / 2 / size)
    return any(abs(side - limit) < 0.006 for limit in SIZE_LIMITS) or any(
        abs(middle - line) < 0.02 for middle in middles for line in (1 / 3, 2 / 3)
    )


def _touch(a: Box, b: Box, gap: float) -> bool:
    return a[0] < b[2] + gap and b[0] < a[2] + gap and a[1] < b[3] + gap and b[1] < a[3] + gap
