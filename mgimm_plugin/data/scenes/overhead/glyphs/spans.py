"""What spans water: bridge and dam."""

from __future__ import annotations

from mgimm_plugin.data.scenes.overhead.glyphs.bends import Bend
from mgimm_plugin.data.scenes.overhead.glyphs.details import traffic
from mgimm_plugin.data.scenes.overhead.glyphs.forms import Glyph, Sketch, rect


def bridge(sketch: Sketch, shape: str) -> Glyph:
    """A bridge along y: its deck with lanes and railings, piers below; its ends are for the banks."""
    bend = Bend(shape, sketch.vary(0.3, 0.4) * sketch.pick(-1, 1))
    half = sketch.vary(0.17, 0.22)
    piers = sketch.pick(4, 5, 6)
    portals = sketch.chance(0.5)
    double = shape == "double-deck"
    outer = half * 1.5 if double else half
    pier = outer + 0.06
    step = 1.7 / piers
    for k in range(piers):
        y = -0.85 + (k + 0.5) * step
        sketch.add(rect(-pier, y - 0.045, pier, y + 0.045), "concrete")
    left, right = -half, half
    if double:
        _lower_deck(sketch, bend, outer)
        left, right = -outer, outer * 0.12
    sketch.add(bend.strip(left, -1, right, 1), "body", 0.3, 0.22)
    for x in (left, right - 0.022):
        sketch.add(bend.strip(x, -1, x + 0.022, 1), "dark")
    middle = (left + right) / 2
    _dashes(sketch, bend, middle)
    if portals:
        for y in (-0.45, 0.45):
            sketch.add(bend.strip(left - 0.03, y - 0.025, right + 0.03, y + 0.025), "light", 0.5, 0.4)
    quarter = (right - left) * 0.24
    traffic(sketch, (middle - quarter, middle + quarter), sketch.pick(2, 3, 4))
    first = 0.85 - step / 2 + 0.045
    outline = [(-outer, -1.0), *bend.edge(-first, first, -pier), (-outer, 1.0)]
    outline += [(outer, 1.0), *bend.edge(first, -first, pier), (outer, -1.0)]
    return sketch.finish(outline, bend.apply)


def _lower_deck(sketch: Sketch, bend: Bend, outer: float) -> None:
    """The deck below, wider to the right, with its own lane and cars."""
    sketch.add(rect(-outer, -1, outer, 1))
    sketch.add(rect(outer - 0.022, -1, outer, 1), "dark")
    _dashes(sketch, bend, outer * 0.56)
    traffic(sketch, (outer * 0.34, outer * 0.78), 2)


def _dashes(sketch: Sketch, bend: Bend, x: float) -> None:
    if sketch.shows(0.03):
        for k in range(9):
            y = -0.96 + 0.22 * k
            sketch.add(bend.strip(x - 0.011, y, x + 0.011, y + 0.12), "mark")


def dam(sketch: Sketch, shape: str) -> Glyph:
    """A dam along x: a road on its crest, its face with spillways, white water where these end."""
    bend = Bend(shape, -sketch.vary(0.34, 0.46), lengthwise=False)
    top, bottom = -0.29, 0.29
    gates = sketch.pick(3, 4, 5)
    width = sketch.vary(0.12, 0.14)
    first = sketch.vary(-0.2, 0.2) - gates * width / 2
    last = first + gates * width
    low = bottom + sketch.vary(0.2, 0.26)
    sketch.add(bend.strip(-1, top, 1, bottom), "body", 0.2)
    sketch.add(bend.strip(-1, top, 1, top + 0.035), "light")
    sketch.add(bend.strip(-1, top + 0.115, 1, top + 0.135), "dark")
    if sketch.shows(0.06):
        for k in range(8):
            x = -0.94 + 0.27 * k
            if not first - 0.05 < x < last + 0.05:
                sketch.add(rect(x - 0.01, top + 0.13, x + 0.01, bottom), "dark")
    # The white water comes after the shadow of the wall: it must stay white.
    wide, deep = width * 0.1, 0.05
    for k in range(gates):
        x = first + k * width
        sketch.add(bend.strip(x + width * 0.22, top + 0.2, x + width * 0.78, bottom), "foam")
        reach = low - (0.07 if k % 2 and k < gates - 1 else 0.0)
        plume = [(x + wide, bottom), (x - wide, reach - deep), (x + 2 * wide, reach), (x + 8 * wide, reach)]
        sketch.add([*plume, (x + 11 * wide, reach - deep), (x + 9 * wide, bottom)], "foam")
        if sketch.shows(0.05):
            sketch.add(rect(x + width * 0.34, bottom + 0.05, x + width * 0.5, reach - 0.07), "spray")
    for k in range(gates + 1):
        x = first + k * width
        sketch.add(rect(x - 0.014, top + 0.03, x + 0.014, bottom + 0.03), "dark", 0.34)
    edge = bend.edge(-1, 1, top) + bend.edge(1, last + 0.014, bottom) + [(last + wide, low - deep)]
    edge += [*bend.edge(last - 2 * wide, first + 2 * wide, low), (first - wide, low - deep)]
    return sketch.finish(edge + bend.edge(first - 0.014, -1, bottom), bend.apply)
