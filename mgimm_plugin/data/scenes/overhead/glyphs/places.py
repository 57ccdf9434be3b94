"""Places with several things on them: airport, service area, harbor, train station."""

from __future__ import annotations

import math

from mgimm_plugin.data.scenes.overhead.glyphs.bends import Bend
from mgimm_plugin.data.scenes.overhead.glyphs.details import boat, car, plane
from mgimm_plugin.data.scenes.overhead.glyphs.forms import Glyph, Pair, Polygon, Sketch, hull, line, moved, rect, turned


def _runway(sketch: Sketch, x: float, half: float, angle: float = 0.0) -> Polygon:
    """A runway through (x, 0): threshold stripes, aiming points, a broken middle line."""

    def put(points: Polygon, role: str) -> None:
        sketch.add(moved(turned(points, angle), x, 0), role)

    edge = rect(-half, -1, half, 1)
    put(edge, "body")
    if sketch.shows(0.03):
        for side in (-1, 1):
            put(line((side * (half - 0.014), -1), (side * (half - 0.014), 1), 0.016), "mark")
        for k in range(11):
            y = -0.66 + 0.12 * k
            put(rect(-0.013, y, 0.013, y + 0.07), "mark")
        for front in (-1, 1):
            for k in range(4):
                stripe = half * (-0.72 + 0.42 * k)
                top, bottom = sorted((front * 0.95, front * 0.8))
                put(rect(stripe, top, stripe + half * 0.2, bottom), "mark")
    return moved(turned(edge, angle), x, 0)


def airport(sketch: Sketch, shape: str) -> Glyph:
    """An airport: runways along y, taxiways, an apron with terminal and airplanes."""
    half = sketch.vary(0.105, 0.13)
    pieces: list[Polygon] = []
    apron_x = 0.5
    if shape == "parallel-runway":
        runways = [(-0.52, 0.0), (0.52, 0.0)]
        apron = rect(-0.26, -0.42, 0.26, 0.42)
    elif shape == "crossed-runway":
        tilt = sketch.vary(0.9, 1.25)
        runways = [(-0.3, 0.0), (-0.3, tilt)]
        apron = rect(0.0, -0.62, 0.56, -0.1)
    else:
        runways = [(-0.3, 0.0)]
        apron = rect(0.08, -0.45, 0.5, 0.45)
    low, high = apron[0], apron[2]
    _taxiways(sketch, shape, runways, low, high)
    for x, angle in runways:
        pieces.append(_runway(sketch, x, half, angle))
    sketch.add(apron)
    pieces.append(apron)
    _terminal(sketch, low, high)
    del apron_x
    return sketch.finish(hull([point for piece in pieces for point in piece]))


def _taxiways(sketch: Sketch, shape: str, runways: list[Pair], low: Pair, high: Pair) -> None:
    wide = 0.07
    if shape == "parallel-runway":
        for x, _ in runways:
            side = x * 0.62
            sketch.add(rect(side - wide / 2, -0.86, side + wide / 2, 0.86))
            for y in (-0.83, -0.28, 0.28, 0.83):
                sketch.add(
                    rect(min(x, 0), y - wide / 2, max(x, 0), y + wide / 2)
                    if abs(y) < 0.5
                    else rect(min(x, side), y - wide / 2, max(x, side), y + wide / 2)
                )
        return
    x = runways[0][0]
    side = low[0] - wide * 0.4
    reach = 0.86 if shape == "single-runway" else high[1]
    sketch.add(rect(side - wide / 2, -0.86, side + wide / 2, reach))
    for y in (-0.83, low[1] + 0.12, *((high[1] - 0.12, 0.83) if shape == "single-runway" else ())):
        sketch.add(rect(x, y - wide / 2, side, y + wide / 2))


def _terminal(sketch: Sketch, low: Pair, high: Pair) -> None:
    wide, tall = high[0] - low[0], high[1] - low[1]
    x1, x2 = high[0] - wide * 0.34, high[0] - wide * 0.06
    sketch.add(rect(x1, low[1] + tall * 0.08, x2, high[1] - tall * 0.08), "roof", 0.1)
    stands = 3 if tall > 0.7 else 2
    for k in range(stands):
        y = low[1] + tall * (k + 0.5) / stands
        sketch.add(rect(x1 - wide * 0.2, y - 0.025, x1, y + 0.025), "roof", 0.08)
        plane(sketch, low[0] + wide * 0.28, y, 0.24, math.pi / 2, "plane")


def service_area(sketch: Sketch, shape: str) -> Glyph:
    """A service area: a building of the shape, parked cars, a fuel canopy, a way in and a way out."""
    sketch.add(rect(-1, -1, 1, 1), "asphalt")
    if shape == "L-shaped":
        wide = sketch.vary(0.8, 0.9)
        arms = [rect(-0.95, -0.95, wide - 0.95, 0.95), rect(-0.95, 0.95 - wide, 0.95, 0.95)]
        lots = [(wide - 0.8, -0.9, 0.9, 0.82 - wide)]
    elif shape == "U-shaped":
        wide = sketch.vary(0.56, 0.62)
        arms = [rect(-0.95, -0.95, wide - 0.95, 0.95), rect(-0.95, 0.95 - wide, 0.95, 0.95)]
        arms.append(rect(0.95 - wide, -0.95, 0.95, 0.95))
        lots = [(wide - 0.86, -0.9, 0.86 - wide, 0.82 - wide)]
    else:
        wide = sketch.vary(0.8, 0.9)
        arms = [rect(-0.95, -0.95, 0.95, wide - 0.95), rect(-wide / 2, -0.95, wide / 2, 0.95)]
        lots = [(-0.92, wide - 0.8, -wide / 2 - 0.1, 0.9), (wide / 2 + 0.1, wide - 0.8, 0.92, 0.9)]
    for lot in lots:
        _parking(sketch, lot)
    for arm in arms:
        sketch.add(arm, "body", 0.22)
    for arm in arms:
        x1, y1, x2, y2 = arm[0][0], arm[0][1], arm[2][0], arm[2][1]
        middle = (x1 + x2) / 2, (y1 + y2) / 2
        inset = wide / 2
        if y2 - y1 > x2 - x1:
            sketch.add(line((middle[0], y1 + inset * 0.6), (middle[0], y2 - inset), 0.05), "dark")
        else:
            sketch.add(line((x1 + inset, middle[1]), (x2 - inset * 0.6, middle[1]), 0.05), "dark")
    return sketch.finish(rect(-1, -1, 1, 1))


def _parking(sketch: Sketch, lot: tuple[float, float, float, float]) -> None:
    x1, y1, x2, y2 = lot
    step = 0.15
    count = int((x2 - x1) / step)
    for k in range(count):
        x = x1 + (k + 0.5) * step
        if sketch.shows(0.03):
            sketch.add(rect(x - step / 2 - 0.01, y1, x - step / 2 + 0.01, y1 + 0.24), "pale")
        if sketch.chance(0.7):
            car(sketch, x, y1 + 0.13, 0.2)
        if y2 - y1 > 0.7 and sketch.chance(0.6):
            car(sketch, x, y2 - 0.13, 0.2)


def harbor(sketch: Sketch, shape: str) -> Glyph:
    """A harbor: piers of the shape, boats moored along them."""
    wide = sketch.vary(0.34, 0.4)
    length = sketch.vary(0.34, 0.4)
    left, foot = rect(-1, -1, wide - 1, 1), rect(-1, 1 - wide, 1, 1)
    far = wide + length + 0.02
    berths: list[tuple[float, float, float]] = []
    if shape == "L-shaped":
        piers = [left, foot]
        berths += [(wide - 1 + length / 2, -0.86 + 0.24 * k, -math.pi / 2) for k in range(5)]
        berths += [(-0.1 + 0.24 * k, 1 - wide - length / 2, math.pi) for k in range(5)]
        edge = [(-1, -1), (far - 1, -1), (far - 1, 1 - far), (1, 1 - far), (1, 1), (-1, 1)]
    elif shape == "U-shaped":
        piers = [left, foot, rect(1 - wide, -1, 1, 1)]
        for side in (-1, 1):
            berths += [(side * (1 - wide - length / 2), -0.86 + 0.24 * k, side * math.pi / 2) for k in range(5)]
        edge = [
            (-1, -1),
            (far - 1, -1),
            (far - 1, 1 - wide),
            (1 - far, 1 - wide),
            (1 - far, -1),
            (1, -1),
            (1, 1),
            (-1, 1),
        ]
    else:
        piers = [rect(-1, -1, 1, wide - 1), rect(-wide / 2, -1, wide / 2, 1)]
        for side in (-1, 1):
            berths += [(side * (wide / 2 + length / 2), -0.4 + 0.24 * k, -side * math.pi / 2) for k in range(6)]
        reach = wide / 2 + length + 0.02
        edge = [
            (-1, -1),
            (1, -1),
            (1, wide - 1),
            (reach, wide - 1),
            (reach, 1),
            (-reach, 1),
            (-reach, wide - 1),
            (-1, wide - 1),
        ]
    for x, y, angle in berths:
        if sketch.chance(0.8):
            boat(sketch, x, y, length * 0.95, -angle)
    for pier in piers:
        sketch.add(pier, "body", 0.08)
    _quay(sketch, piers, wide)
    return sketch.finish(edge)


def _quay(sketch: Sketch, piers: list[Polygon], wide: float) -> None:
    if not sketch.shows(0.05):
        return
    for pier in piers:
        x1, y1, x2, y2 = pier[0][0], pier[0][1], pier[2][0], pier[2][1]
        if y2 - y1 > x2 - x1:
            middle = (x1 + x2) / 2
            sketch.add(rect(middle - 0.02, y1 + wide * 0.4, middle + 0.02, y2 - wide * 0.4), "dark")
        else:
            middle = (y1 + y2) / 2
            sketch.add(rect(x1 + wide * 0.4, middle - 0.02, x2 - wide * 0.4, middle + 0.02), "dark")


def train_station(sketch: Sketch, shape: str) -> Glyph:
    """A train station along y: long roofs over its platforms, tracks and trains between them."""
    bend = Bend(shape, sketch.vary(0.3, 0.4) * sketch.pick(-1, 1))
    roofs = int(sketch.pick(2, 3))
    roof, track = (0.26, 0.17) if roofs == 2 else (0.19, 0.12)
    total = roofs * roof + (roofs - 1) * track + track
    x = -total / 2
    left = x
    for k in range(roofs + 1):
        width = track if 0 < k < roofs else track / 2
        sketch.add(bend.strip(x, -1, x + width, 1), "ballast")
        if 0 < k < roofs and sketch.shows(0.03):
            for rail in (0.28, 0.72):
                at = x + width * rail
                sketch.add(bend.strip(at - 0.012, -1, at + 0.012, 1), "steel")
        if 0 < k < roofs and sketch.chance(0.8):
            start = sketch.vary(-0.9, -0.3)
            role = str(sketch.pick("car-red", "car-blue", "pale", "car-yellow"))
            for wagon in range(3):
                y = start + wagon * 0.4
                sketch.add(bend.strip(x + width * 0.2, y, x + width * 0.8, y + 0.37), role, 0.08)
        x += width + roof
    x = left + track / 2
    for _ in range(roofs):
        sketch.add(bend.strip(x, -0.94, x + roof, 0.94), "body", 0.14)
        sketch.add(bend.strip(x + roof * 0.44, -0.94, x + roof * 0.56, 0.94), "dark")
        x += roof + track
    return sketch.finish(bend.strip(left, -1, left + total, 1), bend.apply)
