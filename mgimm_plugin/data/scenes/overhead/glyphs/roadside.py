"""What stands at and across an expressway: service area and toll station."""

from __future__ import annotations

from mgimm_plugin.data.scenes.overhead.glyphs.bends import Bend
from mgimm_plugin.data.scenes.overhead.glyphs.details import car, dashes
from mgimm_plugin.data.scenes.overhead.glyphs.forms import Glyph, Pair, Polygon, Sketch, line, rect

Rect = tuple[float, float, float, float]


def toll_station(sketch: Sketch, shape: str) -> Glyph:
    """A toll station: a canopy across many lanes, islands between them, cars waiting."""
    bend = Bend(shape, -sketch.vary(0.3, 0.4), lengthwise=False)
    lanes = sketch.pick(6, 7, 8)
    width = 1.92 / lanes
    deep, queue = sketch.vary(0.42, 0.46), 0.25
    end = deep + queue
    sketch.add(bend.strip(-1, -end, 1, end), "asphalt")
    for k in range(lanes + 1):
        x = -0.96 + k * width
        sketch.add(rect(x - 0.02, -end + 0.05, x + 0.02, end - 0.05), "concrete")
    for k in range(lanes):
        x = -0.96 + (k + 0.5) * width
        for side in (-1, 1):
            if sketch.chance(0.6):
                car(sketch, x, side * (deep + queue * 0.55), 0.2)
    sketch.add(bend.strip(-1, -deep, 1, deep), "body", 0.24, 0.16)
    sketch.add(bend.strip(-1, -0.02, 1, 0.02), "dark")
    if sketch.shows(0.05):
        for k in range(lanes + 1):
            x = -0.96 + k * width
            sketch.add(rect(x - 0.01, -deep, x + 0.01, deep), "light")
    if sketch.shows(0.07):
        for k in range(lanes):
            # A signal over each lane: open or closed.
            x = -0.96 + (k + 0.5) * width
            sketch.add(rect(x - 0.03, -deep + 0.01, x + 0.03, -deep + 0.06), sketch.pick("go", "go", "flag"))
    return sketch.finish(bend.strip(-1, -end, 1, end), bend.apply)


def service_area(sketch: Sketch, shape: str) -> Glyph:
    """A service area: a building of the shape, parked cars, a fuel canopy, a way in and a way out on the right."""
    # The slip road beside it leaves the expressway below and joins it above.
    ground: Polygon = [(-1, -1), (0.7, -1), (1.06, -1.2), (1.22, -1.2), (1.22, 1.2), (1.06, 1.2), (0.7, 1), (-1, 1)]
    island = [(1, -0.92), (1.08, -0.98), (1.08, 0.98), (1, 0.92)]
    sketch.add([*ground, ground[0], island[0], *reversed(island)], "asphalt")
    dashes(sketch, (1.15, -1.15), (1.15, 1.15), 9, 0.02, "pale")
    wide = sketch.vary(0.82, 0.9) if shape != "U-shaped" else sketch.vary(0.54, 0.6)
    arms, ridges, lots, canopy = _wings(shape, wide)
    for lot in lots:
        _parking(sketch, lot)
    for arm in arms:
        sketch.add(rect(*arm), "body", 0.2)
    sketch.add(rect(*canopy), "body", 0.14, 0.1)
    x1, y1, x2, y2 = canopy
    sketch.add(rect((x1 + x2) / 2 - 0.025, y1, (x1 + x2) / 2 + 0.025, y2), "mark")
    for start, end in ridges:
        sketch.add(line(start, end, 0.045), "dark")
    if sketch.shows(0.025):
        for x1, y1, x2, y2 in arms:
            for _ in range(3):
                x, y = sketch.vary(x1 + 0.08, x2 - 0.16), sketch.vary(y1 + 0.08, y2 - 0.16)
                sketch.add(rect(x, y, x + 0.09, y + 0.09), "light")
    return sketch.finish(ground)


def _wings(shape: str, wide: float) -> tuple[list[Rect], list[tuple[Pair, Pair]], list[Rect], Rect]:
    """Wings of the building, ridges of its roofs, where cars park, and the fuel canopy."""
    low, high, half = -0.94, 0.94, wide / 2
    left, foot = (low, low, low + wide, high), (low, high - wide, high, high)
    base = high - half
    if shape == "L-shaped":
        ridges = [((low + half, low + half * 0.6), (low + half, base)), ((low + half, base), (high - half * 0.6, base))]
        return (
            [left, foot],
            ridges,
            [(low + wide + 0.1, -0.9, 0.9, high - wide - 0.42)],
            (0.2, high - wide - 0.32, 0.8, high - wide - 0.12),
        )
    if shape == "U-shaped":
        ridges = [((x, low + half * 0.6), (x, base)) for x in (low + half, high - half)]
        ridges.append(((low + half, base), (high - half, base)))
        lots = [(low + wide + 0.06, -0.9, high - wide - 0.06, 0.0)]
        return (
            [left, foot, (high - wide, low, high, high)],
            ridges,
            lots,
            (-0.26, high - wide - 0.3, 0.26, high - wide - 0.1),
        )
    beam = low + half
    ridges = [((low + half * 0.6, beam), (high - half * 0.6, beam)), ((0, beam), (0, high - half * 0.6))]
    lots = [(-0.94, low + wide + 0.08, -half - 0.08, 0.9), (half + 0.08, low + wide + 0.08, 0.94, 0.48)]
    return [(low, low, high, low + wide), (-half, low, half, high)], ridges, lots, (half + 0.06, 0.6, 0.88, 0.8)


def _parking(sketch: Sketch, lot: Rect) -> None:
    """Stalls along the top and, where there is room, the bottom of the lot."""
    x1, y1, x2, y2 = lot
    count = max(1, int((x2 - x1) / 0.15))
    step = (x2 - x1) / count
    rows = [y1 + 0.13, y2 - 0.13] if y2 - y1 > 0.6 else [y1 + 0.13]
    for y in rows:
        for k in range(count):
            x = x1 + (k + 0.5) * step
            if k and sketch.shows(0.04):
                sketch.add(rect(x - step / 2 - 0.009, y - 0.11, x - step / 2 + 0.009, y + 0.11), "pale")
            if sketch.chance(0.7):
                car(sketch, x, y, 0.19)
