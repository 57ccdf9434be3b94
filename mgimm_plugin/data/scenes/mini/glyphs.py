"""How each category looks from above: lists of polygons, drawn in order.

The frame of a glyph is about [-1, 1] x [-1, 1], x to the right, y down, its front up. Everything is a polygon, so that
the exact box of a turned and stretched glyph follows from its points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from mgimm_plugin.data.scenes.scene import Points

Pair = tuple[float, float]


class Part(NamedTuple):
    """One polygon of a glyph: ``points [P, 2]`` and the role that gives its color (``draw.role_color``)."""

    points: Points
    role: str


def _poly(*points: Pair) -> Points:
    return np.asarray(points, dtype=np.float64)


def _rect(x1: float, y1: float, x2: float, y2: float) -> Points:
    return _poly((x1, y1), (x2, y1), (x2, y2), (x1, y2))


def _disc(x: float, y: float, radius: float, count: int = 28) -> Points:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def _mirrored(*points: Pair) -> Points:
    """A polygon symmetric in x from its right half, given from top to bottom."""
    right = _poly(*points)
    return np.concatenate([right, right[::-1] * (-1, 1)])


def _capsule(half_width: float, half_length: float) -> Points:
    angle = np.linspace(0, np.pi, 12)
    cap = np.stack([half_width * np.cos(angle), half_width * np.sin(angle)], axis=1)
    offset = (0, half_length - half_width)
    return np.concatenate([cap + offset, -cap - offset])


def _airplane(shape: str) -> list[Part]:
    wings = {
        "straight-winged": _rect(-1, -0.38, 1, 0.0),
        "swept-winged": _mirrored((0, -0.55), (1, 0.42), (1, 0.74), (0, 0.12)),
        "delta-winged": _mirrored((0, -0.85), (0.95, 0.7), (0.95, 0.85), (0, 0.85)),
    }[shape]
    parts = [Part(wings, "body")]
    if shape != "delta-winged":
        parts.append(Part(_mirrored((0, 0.7), (0.42, 0.78), (0.42, 0.98), (0, 0.98)), "body"))
    parts.append(Part(_mirrored((0, -1.05), (0.12, -0.85), (0.15, -0.5), (0.12, 1), (0, 1.05)), "body"))
    parts.append(Part(_mirrored((0, -0.95), (0.09, -0.8), (0.09, -0.66)), "dark"))
    parts += [Part(_rect(x - 0.07, 0.0, x + 0.07, 0.3), "dark") for x in (-0.5, 0.5)]
    return parts


def _hull(shape: str, half_width: float) -> Points:
    if shape == "pointed":
        return _mirrored((0, -1), (half_width, -0.3), (half_width, 1))
    if shape == "rounded":
        return _capsule(half_width, 1)
    return _rect(-half_width, -1, half_width, 1)


def _ship(shape: str) -> list[Part]:
    hull = _hull(shape, 0.44)
    cargo = [Part(_rect(-0.24, y, 0.24, y + 0.2), "dark") for y in (-0.42, -0.12)]
    bridge = [Part(_rect(-0.3, 0.3, 0.3, 0.62), "light"), Part(_rect(-0.3, 0.3, 0.3, 0.38), "glass")]
    return [Part(hull, "dark"), Part(hull * (0.8, 0.9), "body"), *cargo, *bridge]


def _vehicle(shape: str) -> list[Part]:
    wheels = [
        Part(_rect(min(x, x * 1.3), y - 0.2, max(x, x * 1.3), y + 0.2), "tire")
        for x in (-0.5, 0.5)
        for y in (-0.52, 0.58)
    ]
    windshield = Part(_mirrored((0, -0.5), (0.36, -0.42), (0.4, -0.12), (0, -0.18)), "glass")
    rear = Part(_rect(-0.34, 0.62, 0.34, 0.8), "glass")
    return [*wheels, Part(_hull(shape, 0.52), "body"), windshield, rear]


def _outline(shape: str) -> Points:
    if shape == "round":
        return _disc(0, 0, 1)
    if shape == "square":
        return _rect(-0.9, -0.9, 0.9, 0.9)
    return _poly((-1, -0.88), (1, -0.88), (0, 0.98))


def _storage_tank(shape: str) -> list[Part]:
    outline = _outline(shape)
    middle = np.array((0, -0.26)) if shape == "triangular" else np.zeros(2)
    rings = [
        Part(middle + (outline - middle) * scale, role) for scale, role in ((1, "body"), (0.78, "dark"), (0.6, "body"))
    ]
    return [*rings, Part(_disc(middle[0], middle[1], 0.17), "dark")]


def _baseball_field(shape: str) -> list[Part]:
    home = {"round": 0.92, "square": 0.85, "triangular": 0.9}[shape]

    def diamond(half: float, lift: float = 0.0) -> Points:
        bottom = home - lift
        return _poly((0, bottom), (half, bottom - half), (0, bottom - 2 * half), (-half, bottom - half))

    bases = [Part(_disc(x, home - y, 0.09, 8), "mark") for x, y in ((0, 0.16), (0.38, 0.52), (0, 0.9), (-0.38, 0.52))]
    return [Part(_outline(shape), "body"), Part(diamond(0.56), "soil"), Part(diamond(0.3, 0.26), "body"), *bases]


def _strips(shape: str, width: float) -> list[Points]:
    """The arms of an L, U or T, as rectangles of the given width in [-1, 1]."""
    left, foot, right = _rect(-1, -1, width - 1, 1), _rect(-1, 1 - width, 1, 1), _rect(1 - width, -1, 1, 1)
    if shape == "L-shaped":
        return [left, foot]
    if shape == "U-shaped":
        return [left, foot, right]
    return [_rect(-1, -1, 1, width - 1), _rect(-width / 2, -1, width / 2, 1)]


def _building(shape: str) -> list[Part]:
    arms = _strips(shape, 0.62)
    ridges = []
    for arm in arms:
        middle, half = (arm.max(axis=0) + arm.min(axis=0)) / 2, np.ptp(arm, axis=0) / 2
        ridges.append(
            Part(_rect(*(middle - np.maximum(half - 0.25, 0.05)), *(middle + np.maximum(half - 0.25, 0.05))), "dark")
        )
    return [*(Part(arm, "body") for arm in arms), *ridges]


def _harbor(shape: str) -> list[Part]:
    piers = [Part(arm, "body") for arm in _strips(shape, 0.3)]
    places = {
        "L-shaped": [(-0.4, -0.7), (-0.4, -0.15), (0.35, 0.3), (0.8, 0.3)],
        "U-shaped": [(-0.4, -0.65), (-0.4, 0.0), (0.4, -0.65), (0.4, 0.0)],
        "T-shaped": [(-0.5, -0.3), (-0.5, 0.4), (0.5, -0.3), (0.5, 0.4)],
    }[shape]
    boats = []
    for x, y in places:
        boat, place = _mirrored((0, -0.24), (0.13, -0.05), (0.13, 0.24)), np.array((x, y))
        boats += [Part(boat + place, "dark"), Part(boat * 0.6 + place, "mark")]
    return [*piers, *boats]


def _windmill(shape: str) -> list[Part]:
    count = {"two-bladed": 2, "three-bladed": 3, "four-bladed": 4}[shape]
    blade = _poly((-0.05, -0.1), (-0.19, -0.35), (-0.06, -1.1), (0.06, -1.1), (0.08, -0.1))
    parts = []
    for angle in np.arange(count) * 2 * np.pi / count + (np.pi / 4 if count == 2 else 0):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        parts.append(Part(blade @ turn, "body"))
    return [*parts, Part(_disc(0, 0, 0.24, 16), "dark"), Part(_disc(0, 0, 0.13, 12), "body")]


_GLYPHS: Final[dict[str, Callable[[str], list[Part]]]] = {
    "airplane": _airplane,
    "ship": _ship,
    "vehicle": _vehicle,
    "storage tank": _storage_tank,
    "baseball field": _baseball_field,
    "building": _building,
    "harbor": _harbor,
    "windmill": _windmill,
}


def glyph(category: str, shape: str) -> list[Part]:
    """Parts of an object seen from above, the lowest first.

    Args:
        category: One of ``vocabulary.CATEGORIES``.
        shape: One of that category's ``vocabulary.SHAPES``.
    """
    return _GLYPHS[category](shape)


def placed(parts: list[Part], matrix: Points, offset: Points) -> list[Part]:
    """The parts moved by ``points @ matrix.T + offset``; ``matrix [2, 2]``, ``offset [2]``."""
    return [Part(part.points @ matrix.T + offset, part.role) for part in parts]


def bounds(parts: list[Part]) -> tuple[Points, Points]:
    """Smallest and largest coordinates over all parts, each ``[2]``."""
    points = np.concatenate([part.points for part in parts])
    return points.min(axis=0), points.max(axis=0)
