"""Stadium: stands in sections around a pitch."""

from __future__ import annotations

import math
from typing import Final

from mgimm_plugin.data.scenes.overhead.glyphs.fields import pitch
from mgimm_plugin.data.scenes.overhead.glyphs.forms import TURN, Glyph, Polygon, Sketch, frame, line, scaled

_CORNERS: Final = 48
"""Points of the outline; all numbers of sections divide it."""


def stadium(sketch: Sketch, shape: str) -> Glyph:
    """A stadium: two tiers of stands with aisles between their sections, often roofed, and a pitch in the middle."""
    wide = 1.0 if shape == "round" else sketch.vary(0.72, 0.8)
    sections = sketch.pick(16, 24)
    outline = _ring(shape, wide)
    inner = sketch.vary(0.44, 0.49)
    sketch.add(scaled(outline, inner + 0.01), "track")
    fill = 0.6 if shape != "rectangular" else 0.86
    pitch(sketch, wide * inner * fill, inner * fill * 1.12)
    for k in range(0, _CORNERS, 4):
        edge = [outline[(k + j) % _CORNERS] for j in range(5)]
        sketch.add([*scaled(edge, inner), *reversed(edge)], "body", 0.26)
    sketch.add(frame(scaled(outline, 0.76), scaled(outline, 0.742)), "dark")
    roof = sketch.pick("none", "sides", "all")
    if roof != "none":
        for k in range(0, _CORNERS, 2):
            edge = [outline[(k + j) % _CORNERS] for j in range(3)]
            if roof == "all" or abs(edge[1][0]) > 0.72 * wide:
                sketch.add([*scaled(edge, 0.91), *reversed(scaled(edge, 0.98))], "light")
    if sketch.shows(0.05):
        for k in range(0, _CORNERS, _CORNERS // sections):
            x, y = outline[k]
            sketch.add(line((x * (inner + 0.02), y * (inner + 0.02)), (x * 0.97, y * 0.97), 0.01), "dark")
    return sketch.finish(outline)


def _ring(shape: str, wide: float) -> Polygon:
    """Points around the stands, at equal angles; ``wide``: half width over half length."""
    power = 5.0 if shape == "rectangular" else 2.0
    points: Polygon = []
    for k in range(_CORNERS):
        c, s = math.cos(TURN * k / _CORNERS), math.sin(TURN * k / _CORNERS)
        reach = (abs(c) ** power + abs(s) ** power) ** (-1 / power)
        points.append((wide * c * reach, s * reach))
    return points
