"""What a box tells by itself: the words for size and place that converters and scenes share."""

from __future__ import annotations

import math
from typing import Final

from mgimm_plugin.data.record_types import Box

SIZES: Final = ("small", "medium", "large")
SIZE_LIMITS: Final = (0.1, 0.25)
"""Side of the square of a box's area over that of the image's area: below the first small, from the second on large."""

POSITIONS: Final = (
    ("top left", "top middle", "top right"),
    ("middle left", "center", "middle right"),
    ("bottom left", "bottom middle", "bottom right"),
)
"""Words of the 3 x 3 grid, by row and column. None contains another, so that a word match is unambiguous."""


def relative_side(box: Box, width: float, height: float) -> float:
    """Square root of the part of a ``width`` x ``height`` px image that a box (xyxy, px) covers."""
    x1, y1, x2, y2 = box
    return math.sqrt(max(x2 - x1, 0) * max(y2 - y1, 0) / (width * height))


def size_word(box: Box, width: float, height: float) -> str:
    """``small``, ``medium`` or ``large``, by :data:`SIZE_LIMITS`."""
    side = relative_side(box, width, height)
    return SIZES[sum(side >= limit for limit in SIZE_LIMITS)]


def position_word(box: Box, width: float, height: float) -> str:
    """Cell of the 3 x 3 grid that holds the middle of a box."""
    x1, y1, x2, y2 = box
    column, row = (min(2, max(0, math.floor(3 * middle))) for middle in ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height))
    return POSITIONS[row][column]
