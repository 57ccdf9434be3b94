"""What may be in an overhead scene: the 20 categories of DIOR, how each may look, and where it may stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Kind:
    """How a category may look, and where it occurs.

    Attributes:
        shapes: Words for its shapes, which a person can tell apart; shared with other categories where possible.
        colors: Its colors, keys of ``COLORS``: the color of most of what is seen of it.
        sides: Smallest and largest side of the square of its box's area, over the frame's side.
        surfaces: What it may stand on.
    """

    shapes: tuple[str, ...]
    colors: tuple[str, ...]
    sides: tuple[float, float]
    surfaces: tuple[str, ...]


COLORS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (200, 44, 40),
    "blue": (48, 88, 205),
    "green": (52, 168, 76),
    "yellow": (238, 208, 52),
    "white": (240, 240, 238),
    "black": (34, 34, 38),
    "orange": (236, 130, 36),
    "gray": (140, 142, 146),
    "brown": (132, 86, 50),
}
"""Colors of objects as sRGB; each object varies them a little, and a style a little more."""

_PAINT: Final = ("red", "blue", "green", "yellow", "white", "black", "orange")
_ROOF: Final = ("red", "blue", "green", "white", "gray", "brown", "orange")
_COURT: Final = ("red", "blue", "green", "orange", "brown")
_PAVING: Final = ("gray", "white", "black", "brown", "red")

KINDS: Final[dict[str, Kind]] = {
    "airplane": Kind(
        ("straight-winged", "swept-winged", "delta-winged"), _PAINT, (0.06, 0.30), ("apron", "field", "sand")
    ),
    "airport": Kind(
        ("single-runway", "crossed-runway", "parallel-runway"), _PAVING, (0.30, 0.50), ("field", "sand", "grass")
    ),
    "baseball field": Kind(
        ("fan-shaped", "round", "square"),
        ("green", "brown", "red", "orange"),
        (0.10, 0.36),
        ("grass", "pavement", "field"),
    ),
    "basketball court": Kind(("rectangular", "double", "round-ended"), _COURT, (0.06, 0.22), ("pavement", "grass")),
    "bridge": Kind(("straight", "curved", "double-deck"), _PAVING, (0.10, 0.45), ("water",)),
    "chimney": Kind(
        ("round", "square", "octagonal"), ("red", "white", "gray", "brown", "black"), (0.05, 0.20), ("pavement", "sand")
    ),
    "dam": Kind(("straight", "curved", "angled"), ("gray", "white", "brown"), (0.16, 0.45), ("water",)),
    "expressway service area": Kind(
        ("L-shaped", "U-shaped", "T-shaped"), _ROOF, (0.14, 0.36), ("grass", "field", "pavement", "sand")
    ),
    "expressway toll station": Kind(("straight", "curved", "angled"), _ROOF, (0.10, 0.30), ("road",)),
    "golf field": Kind(
        ("round", "kidney-shaped", "L-shaped"), ("green", "yellow", "brown"), (0.20, 0.48), ("grass", "field", "sand")
    ),
    "ground track field": Kind(
        ("oval", "rectangular", "round"),
        ("red", "blue", "orange", "gray", "brown"),
        (0.14, 0.40),
        ("grass", "pavement", "field"),
    ),
    "harbor": Kind(
        ("L-shaped", "U-shaped", "T-shaped"), ("gray", "white", "brown", "yellow", "red"), (0.12, 0.40), ("water",)
    ),
    "overpass": Kind(
        ("cross-shaped", "T-shaped", "double-deck"), _PAVING, (0.20, 0.50), ("grass", "pavement", "field", "sand")
    ),
    "ship": Kind(("pointed", "rounded", "rectangular"), _PAINT, (0.04, 0.28), ("water",)),
    "stadium": Kind(
        ("oval", "round", "rectangular"),
        ("white", "gray", "red", "blue", "orange"),
        (0.18, 0.45),
        ("pavement", "grass", "sand"),
    ),
    "storage tank": Kind(
        ("round", "square", "octagonal"),
        ("white", "gray", "red", "blue", "green", "yellow"),
        (0.05, 0.22),
        ("pavement", "sand", "grass"),
    ),
    "tennis court": Kind(("rectangular", "double", "round-ended"), _COURT, (0.06, 0.22), ("pavement", "grass")),
    "train station": Kind(("straight", "curved", "angled"), _ROOF, (0.18, 0.45), ("pavement", "grass", "field")),
    "vehicle": Kind(
        ("rounded", "rectangular", "pointed"), _PAINT, (0.036, 0.12), ("road", "pavement", "apron", "field", "sand")
    ),
    "windmill": Kind(
        ("two-bladed", "three-bladed", "four-bladed"),
        ("white", "red", "orange", "black", "yellow"),
        (0.07, 0.28),
        ("field", "grass", "sand", "water"),
    ),
}
"""A word + "s" is its plural. 0.036 of a frame of 224 px is 8 px."""

CATEGORIES: Final = tuple(KINDS)
SHAPES: Final = tuple(dict.fromkeys(shape for kind in KINDS.values() for shape in kind.shapes))

SETTINGS: Final = ("farmland", "city", "forest", "desert", "sea", "airfield", "port", "industry")
"""Kinds of places. None of the words is that of a category."""

SURFACES: Final = ("water", "road", "apron", "grass", "field", "sand", "pavement")
