"""Stadium: stands in sections around a pitch."""

from __future__ import annotations

import math

from mgimm_plugin.data.scenes.overhead.glyphs.fields import pitch
from mgimm_plugin.data.scenes.overhead.glyphs.forms import TURN, Glyph, Pair, Polygon, Sketch, frame, scaled


def _ring(shape: str, wide: float, count: int) -> Polygon:
    """Points around the stands, at equal angles; ``wide``: half width over half length."""
    power = 5.0 if shape == "rectangular" else 2.0
    points: list[Pair] = []
    for k in range(count):
        c, s = math.cos(TURN * k / count), math.sin(TURN * k / count)
        points.append((wide * math.copysign(abs(c) ** (2 / power), c), math.copysign(abs(s) ** (2 / power), s)))
    return points


def stadium(sketch: Sketch, shape: str) -> Glyph:
    """A stadium: sections of its stands between radial aisles, a pitch in the middle."""
    wide = 1.0 if shape == "round" else sketch.vary(0.72, 0.8)
    sections = int(sketch.pick(16, 20, 24))
    outline = _ring(shape, wide, sections * 2)
    inner = sketch.vary(0.5, 0.56)
    sketch.add(outline, "dark")
    sketch.add(scaled(outline, inner), "track")
    fill = 0.62 if shape != "rectangular" else 0.84
    pitch(sketch, wide * inner * fill, inner * fill * (1.1 if shape != "round" else 1.15))
    roofed = sketch.pick("none", "sides", "all")
    aisle = 0.9
    for k in range(sections):
        first, middle, last = (outline[(2 * k + j) % len(outline)] for j in (0, 1, 2))
        edge = [_towards(middle, first, aisle), middle, _towards(middle, last, aisle)]
        lower, upper = scaled(edge, inner + 0.03), scaled(edge, 0.74)
        sketch.add([*lower, *reversed(upper)], "body", 0.12)
        lower, upper = scaled(edge, 0.77), scaled(edge, 1.0)
        sketch.add([*lower, *reversed(upper)], "body", 0.3)
        if roofed == "all" or (roofed == "sides" and abs(middle[0]) > 0.75 * wide):
            lower, upper = scaled(edge, 0.87), scaled(edge, 0.99)
            sketch.add([*lower, *reversed(upper)], "light")
    if sketch.shows(0.06):
        sketch.add(frame(outline, scaled(outline, 0.975)), "dark")
    return sketch.finish(outline)


def _towards(middle: Pair, point: Pair, share: float) -> Pair:
    return middle[0] + (point[0] - middle[0]) * share, middle[1] + (point[1] - middle[1]) * share
