"""What spans: bridge, dam, toll station."""

from __future__ import annotations

from mgimm_plugin.data.scenes.overhead.glyphs.bends import Bend
from mgimm_plugin.data.scenes.overhead.glyphs.details import car
from mgimm_plugin.data.scenes.overhead.glyphs.forms import Glyph, Sketch, rect


def bridge(sketch: Sketch, shape: str) -> Glyph:
    """A bridge along y: its deck with lanes and railings, piers below; its ends are for the banks."""
    bend = Bend(shape, sketch.vary(0.3, 0.4) * sketch.pick(-1, 1))
    half = sketch.vary(0.17, 0.22)
    double = shape == "double-deck"
    outer = half * 1.5 if double else half
    pier = outer + 0.06
    for k in range(5):
        y = -0.8 + 0.4 * k
        sketch.add(rect(-pier, y - 0.045, pier, y + 0.045), "concrete")
    if double:
        sketch.add(rect(-outer, -1, outer, 1))
        for x in (-outer, outer - 0.03):
            sketch.add(rect(x, -1, x + 0.03, 1), "dark")
        _lanes(sketch, bend, outer * 0.62, outer * 0.84)
        car(sketch, outer * 0.78, sketch.vary(-0.8, 0.8), 0.16)
        left, right = -outer * 0.92, outer * 0.5
    else:
        left, right = -half, half
    sketch.add(bend.strip(left, -1, right, 1), "body", 0.3, 0.24 if not double else 0.0)
    rail = 0.032
    for x in (left, right - rail):
        sketch.add(bend.strip(x, -1, x + rail, 1), "dark")
    middle = (left + right) / 2
    _lanes(sketch, bend, middle - (right - left) * 0.01, middle + (right - left) * 0.01)
    if sketch.chance(0.6):
        for y in (-0.5, 0.5):
            sketch.add(bend.strip(left - 0.03, y - 0.035, right + 0.03, y + 0.035), "light", 0.6, 0.5)
    for _ in range(int(sketch.pick(2, 3, 4))):
        side = sketch.pick(-1, 1)
        car(sketch, middle + side * (right - left) * 0.24, sketch.vary(-0.85, 0.85), 0.17)
    return sketch.finish(bend.strip(-pier, -1, pier, 1), bend.apply)


def _lanes(sketch: Sketch, bend: Bend, left: float, right: float) -> None:
    if not sketch.shows(0.03):
        return
    thin = 0.022
    middle = (left + right) / 2
    for k in range(9):
        y = -0.96 + 0.22 * k
        sketch.add(bend.strip(middle - thin / 2, y, middle + thin / 2, y + 0.13), "mark")


def dam(sketch: Sketch, shape: str) -> Glyph:
    """A dam along x: the reservoir above, a road on its crest, spillway gates, white water below."""
    bend = Bend(shape, -sketch.vary(0.34, 0.46), lengthwise=False)
    top, bottom = -0.22, 0.22
    gates = int(sketch.pick(3, 4, 5))
    width = sketch.vary(0.14, 0.17)
    middle = sketch.vary(-0.25, 0.25)
    first = middle - gates * width / 2
    last = first + gates * width
    low = bottom + sketch.vary(0.2, 0.3)
    sketch.add(bend.strip(first - 0.03, bottom - 0.05, last + 0.03, low), "foam")
    sketch.add(bend.strip(-1, top, 1, bottom), "body", 0.3)
    sketch.add(bend.strip(-1, top, 1, top + 0.05), "light")
    sketch.add(bend.strip(-1, top + 0.15, 1, top + 0.18), "dark")
    sketch.add(bend.strip(-1, bottom - 0.04, 1, bottom), "dark")
    for k in range(gates):
        x = first + k * width
        sketch.add(bend.strip(x + width * 0.2, top + 0.19, x + width * 0.8, bottom + 0.02), "foam")
        if sketch.shows(0.05):
            sketch.add(bend.strip(x - 0.018, top - 0.03, x + 0.018, bottom + 0.03), "dark", 0.4)
            sketch.add(bend.strip(x + width * 0.3, bottom + 0.06, x + width * 0.45, low - 0.05), "water")
    outline = bend.strip(-1, top - 0.03, 1, bottom)
    return sketch.finish(outline[: len(outline) // 2] + bend.strip(-1, bottom, 1, low)[len(outline) // 2 :], bend.apply)


def toll_station(sketch: Sketch, shape: str) -> Glyph:
    """A toll station: a canopy across many lanes, booths on their islands, cars waiting."""
    bend = Bend(shape, -sketch.vary(0.3, 0.4), lengthwise=False)
    lanes = int(sketch.pick(6, 7, 8))
    width = 1.9 / lanes
    deep, queue = 0.3, 0.26
    sketch.add(bend.strip(-1, -deep - queue, 1, deep + queue), "asphalt")
    for k in range(lanes + 1):
        x = -0.95 + k * width
        sketch.add(rect(x - 0.022, -deep - queue * 0.8, x + 0.022, deep + queue * 0.8), "concrete")
    for k in range(lanes):
        x = -0.95 + (k + 0.5) * width
        for side in (-1, 1):
            if sketch.chance(0.55):
                car(sketch, x, side * (deep + queue * 0.52), 0.2)
    sketch.add(bend.strip(-1, -deep, 1, deep), "body", 0.3, 0.2)
    sketch.add(bend.strip(-1, -0.03, 1, 0.03), "dark")
    if sketch.shows(0.06):
        for k in range(lanes + 1):
            x = -0.95 + k * width
            sketch.add(rect(x - 0.012, -deep, x + 0.012, deep), "light")
    return sketch.finish(bend.strip(-1, -deep - queue, 1, deep + queue), bend.apply)
