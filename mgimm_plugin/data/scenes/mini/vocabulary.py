"""The words of the scenes: what an object may be, and the rules that turn a box into its size and position."""

from __future__ import annotations

import math
from typing import Final

from mgimm_plugin.data.measures import POSITIONS, SIZES
from mgimm_plugin.data.record_types import Box

SHAPES: Final[dict[str, tuple[str, ...]]] = {
    "airplane": ("straight-winged", "swept-winged", "delta-winged"),
    "ship": ("pointed", "rounded", "rectangular"),
    "vehicle": ("pointed", "rounded", "rectangular"),
    "storage tank": ("round", "square", "triangular"),
    "baseball field": ("round", "square", "triangular"),
    "building": ("L-shaped", "U-shaped", "T-shaped"),
    "harbor": ("L-shaped", "U-shaped", "T-shaped"),
    "windmill": ("two-bladed", "three-bladed", "four-bladed"),
}
"""Categories and the shapes each comes in. Pairs of categories share their shapes, so that neither tells the other."""

CATEGORIES: Final = tuple(SHAPES)
SHAPE_WORDS: Final = tuple(dict.fromkeys(word for words in SHAPES.values() for word in words))

COLORS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (205, 40, 38),
    "blue": (45, 80, 215),
    "green": (40, 190, 70),
    "yellow": (245, 215, 45),
    "white": (242, 242, 240),
    "black": (32, 32, 36),
}
"""Colors of objects as sRGB; a scene varies them a little."""

SETTINGS: Final[dict[str, tuple[str, ...]]] = {
    "farmland": ("red", "blue", "yellow", "white", "black"),
    "desert": ("red", "blue", "green", "white", "black"),
    "water": ("red", "green", "yellow", "white", "black"),
    "asphalt": ("red", "blue", "green", "yellow", "white"),
    "grassland": ("red", "blue", "yellow", "white", "black"),
}
"""Grounds, and the colors that stand out on each."""

SIZE_LIMITS: Final = (0.184, 0.246)
"""Side of the square of a box's area, as a part of the frame's: below the first is small, from the second on large."""

ATTRIBUTES: Final = ("category", "color", "shape", "size", "position")


def relative_side(box: Box, size: int) -> float:
    """Side of the square with the box's area, as a part of the frame's side ``size`` (px)."""
    x1, y1, x2, y2 = box
    return math.sqrt((x2 - x1) * (y2 - y1)) / size


def size_word(box: Box, size: int) -> str:
    """``small``, ``medium`` or ``large``, by :data:`SIZE_LIMITS`."""
    side = relative_side(box, size)
    return SIZES[sum(side >= limit for limit in SIZE_LIMITS)]


def position_word(box: Box, size: int) -> str:
    """Cell of the 3 x 3 grid that holds the middle of the box."""
    x1, y1, x2, y2 = box
    column, row = (min(2, max(0, int(3 * (low + high) / 2 / size))) for low, high in ((x1, x2), (y1, y2)))
    return POSITIONS[row][column]
