"""Overpass: roads crossing on two levels."""

from __future__ import annotations

import math

from mgimm_plugin.data.scenes.overhead.glyphs.details import dashes, traffic
from mgimm_plugin.data.scenes.overhead.glyphs.forms import Glyph, Polygon, Sketch, arc, rect

_EDGE = 0.03


def _road(sketch: Sketch, box: tuple[float, float, float, float], *, deck: float = 0.0) -> None:
    """A straight road, along its longer side; with railings and a shadow if it is a deck of some height."""
    x1, y1, x2, y2 = box
    sketch.add(rect(x1, y1, x2, y2), "body", deck, deck * 0.7)
    upright = y2 - y1 > x2 - x1
    middle = ((x1 + x2) / 2, (y1 + y2) / 2)
    role = "dark" if deck else "light"
    if upright:
        for x in (x1, x2 - _EDGE):
            sketch.add(rect(x, y1, x + _EDGE, y2), role)
        if sketch.shows(0.03):
            sketch.add(rect(middle[0] - 0.012, y1, middle[0] + 0.012, y2), "mark")
        if sketch.shows(0.018):
            for share in (0.25, 0.75):
                x = x1 + (x2 - x1) * share
                dashes(sketch, (x, y1), (x, y2), 9, 0.02)
    else:
        for y in (y1, y2 - _EDGE):
            sketch.add(rect(x1, y, x2, y + _EDGE), role)
        if sketch.shows(0.03):
            sketch.add(rect(x1, middle[1] - 0.012, x2, middle[1] + 0.012), "mark")
        if sketch.shows(0.018):
            for share in (0.25, 0.75):
                y = y1 + (y2 - y1) * share
                dashes(sketch, (x1, y), (x2, y), 9, 0.02)


def _ramp(sketch: Sketch, x: float, y: float, radius: float, start: float, end: float, width: float = 0.15) -> None:
    """A one-lane road along an arc."""
    sketch.add(arc(x, y, radius - width / 2, radius + width / 2, start, end, 14))
    if sketch.shows(0.05):
        for side in (-1, 1):
            reach = radius + side * (width / 2 - 0.015)
            sketch.add(arc(x, y, reach - 0.012, reach + 0.012, start, end, 14), "light")


def overpass(sketch: Sketch, shape: str) -> Glyph:
    """Roads on two levels: crossing, meeting, or one above the other."""
    if shape == "cross-shaped":
        return _crossing(sketch)
    return _junction(sketch) if shape == "T-shaped" else _stacked(sketch)


def _crossing(sketch: Sketch) -> Glyph:
    low, high = sketch.vary(0.2, 0.25), sketch.vary(0.2, 0.25)
    loops = sketch.pick("none", "outer", "loops")
    for k in range(4):
        sx, sy = (1, 1, -1, -1)[k], (1, -1, -1, 1)[k]
        if loops == "outer":
            far = 0.72
            _ramp(sketch, sx * far, sy * far, far - 0.14, math.atan2(-sy, -sx) - 0.72, math.atan2(-sy, -sx) + 0.72)
        elif loops == "loops":
            near = 0.42
            _ramp(sketch, sx * near, sy * near, 0.24, 0.0, 2 * math.pi, 0.12)
    _road(sketch, (-1, -low, 1, low))
    traffic(sketch, (-low * 0.5, low * 0.5), 3, sideways=True)
    _road(sketch, (-high, -1, high, 1), deck=0.3)
    traffic(sketch, (-high * 0.5, high * 0.5), 3)
    if loops == "none":
        return sketch.finish(_cross(high, low, 0))
    return sketch.finish(_cross(high, low, 0.74 if loops == "loops" else 0.66))


def _cross(wide: float, tall: float, corner: float) -> Polygon:
    """Outline of two crossing roads; ``corner``: how far what lies between them reaches."""
    points: Polygon = []
    for sx, sy in ((1, -1), (1, 1), (-1, 1), (-1, -1)):
        inner = [(sx * wide, sy * tall)]
        if corner:
            inner = [(sx * wide, sy * corner), (sx * corner, sy * corner), (sx * corner, sy * tall)]
        step = [(sx * wide, sy * 1.0), *inner, (sx * 1.0, sy * tall)]
        points += step if sx * sy < 0 else step[::-1]
    return points


def _junction(sketch: Sketch) -> Glyph:
    half, stem = sketch.vary(0.2, 0.25), sketch.vary(0.18, 0.22)
    top = -0.62
    _road(sketch, (-stem, top - half - 0.14, stem, 1))
    radius = 0.5
    for side in (-1, 1):
        x, y = side * (stem + radius - 0.06), top + half + radius - 0.06
        start = -math.pi / 2 if side < 0 else math.pi
        _ramp(sketch, x, y, radius, start, start + math.pi / 2)
    traffic(sketch, (-stem * 0.5, stem * 0.5), 3)
    _road(sketch, (-1, top - half, 1, top + half), deck=0.3)
    traffic(sketch, (top - half * 0.5, top + half * 0.5), 3, sideways=True)
    reach, low = stem + radius, top + half + radius
    right = [(stem, top - half - 0.14), (stem, top - half), (1.0, top - half), (1.0, top + half), (reach, top + half)]
    right += [(stem, low), (stem, 1.0)]
    return sketch.finish([*right, *((-x, y) for x, y in reversed(right))])


def _stacked(sketch: Sketch) -> Glyph:
    wide, upper = sketch.vary(0.42, 0.48), sketch.vary(0.22, 0.25)
    _road(sketch, (-wide, -1, wide, 1))
    traffic(sketch, (-wide * 0.78, wide * 0.78), 4)
    for k in range(5):
        y = -0.8 + 0.4 * k
        sketch.add(rect(-upper - 0.07, y - 0.04, upper + 0.07, y + 0.04), "concrete", 0.1)
    _road(sketch, (-upper, -1, upper, 1), deck=0.34)
    traffic(sketch, (-upper * 0.5, upper * 0.5), 3)
    return sketch.finish(rect(-wide, -1, wide, 1))
