"""What boats and trains lie beside: harbor and train station."""

from __future__ import annotations

import math

from mgimm_plugin.data.scenes.overhead.glyphs.bends import Bend
from mgimm_plugin.data.scenes.overhead.glyphs.details import boat
from mgimm_plugin.data.scenes.overhead.glyphs.forms import Glyph, Polygon, Sketch, rect

Rect = tuple[float, float, float, float]
Berth = tuple[float, float, float]


def harbor(sketch: Sketch, shape: str) -> Glyph:
    """A harbor: piers of the shape, boats moored along them."""
    wide, length = sketch.vary(0.36, 0.42), sketch.vary(0.32, 0.38)
    gap = sketch.vary(0.19, 0.22)
    piers, berths, edge = _basin(shape, wide, length, gap)
    for x, y, angle in berths:
        if sketch.chance(0.8):
            boat(sketch, x, y, length * sketch.vary(0.76, 1.0), angle)
    for pier in piers:
        sketch.add(rect(*pier), "body", 0.07)
    for pier in piers:
        _quay(sketch, pier)
    if sketch.shows(0.06):
        for k in range(3):
            x1, y1, x2, y2 = piers[0]
            share = 0.2 + 0.24 * k
            x, y = (
                (x1 + wide * 0.55, y1 + (y2 - y1) * share) if y2 - y1 > x2 - x1 else (x1 + (x2 - x1) * share, y1 + 0.1)
            )
            sketch.add(rect(x - 0.07, y - 0.06, x + 0.07, y + 0.06), sketch.pick("roof", "car-blue", "wood"), 0.16)
    return sketch.finish(edge)


def _basin(shape: str, wide: float, length: float, gap: float) -> tuple[list[Rect], list[Berth], Polygon]:
    """Piers, berths (middle, angle of the bow) and outline."""
    left, foot = (-1.0, -1.0, wide - 1, 1.0), (-1.0, 1 - wide, 1.0, 1.0)
    middle, far = wide + length / 2, wide + length
    right_way, left_way, up = math.pi / 2, -math.pi / 2, 0.0
    rows = int((2 - far - 0.2) / gap)
    side: list[Berth] = [(middle - 1, -0.88 + gap * k, right_way) for k in range(rows)]
    if shape == "L-shaped":
        side += [(0.88 - gap * k, 1 - middle, up) for k in range(rows)]
        edge = [(-1, -1), (far - 1, -1), (far - 1, 1 - far), (1, 1 - far), (1, 1), (-1, 1)]
        return [left, foot], side, edge
    if shape == "U-shaped":
        side += [(1 - middle, y, left_way) for _, y, _ in side]
        inner = 1 - wide
        edge = [(-1, -1), (far - 1, -1), (far - 1, inner), (1 - far, inner), (1 - far, -1), (1, -1), (1, 1), (-1, 1)]
        return [left, foot, (1 - wide, -1.0, 1.0, 1.0)], side, edge
    reach, low = wide / 2 + length, wide - 1
    side = [(x * (reach - length / 2), 0.88 - gap * k, x * math.pi / 2) for x in (-1, 1) for k in range(rows)]
    edge = [(-1, -1), (1, -1), (1, low), (reach, low), (reach, 1), (-reach, 1), (-reach, low), (-1, low)]
    return [(-1.0, -1.0, 1.0, low), (-wide / 2, -1.0, wide / 2, 1.0)], side, edge


def _quay(sketch: Sketch, pier: Rect) -> None:
    """Joints across a pier, and bollards at its edge."""
    x1, y1, x2, y2 = pier
    upright = y2 - y1 > x2 - x1
    if not sketch.shows(0.05):
        return
    for k in range(1, 8):
        if upright:
            y = y1 + (y2 - y1) * k / 8
            sketch.add(rect(x1, y - 0.01, x2, y + 0.01), "dark")
        else:
            x = x1 + (x2 - x1) * k / 8
            sketch.add(rect(x - 0.01, y1, x + 0.01, y2), "dark")


def train_station(sketch: Sketch, shape: str) -> Glyph:
    """A train station along y: long roofs over its platforms, tracks and trains between them, a hall at its side."""
    bend = Bend(shape, sketch.vary(0.3, 0.4) * sketch.pick(-1, 1))
    roofs = int(sketch.pick(2, 3))
    roof, track = (0.3, 0.13) if roofs == 2 else (0.22, 0.1)
    total = roofs * roof + roofs * track
    left = x = -total / 2
    for k in range(roofs + 1):
        width = track if 0 < k < roofs else track / 2
        sketch.add(bend.strip(x, -1, x + width, 1), "ballast")
        if k < roofs:
            sketch.add(bend.strip(x + width, -1, x + width + roof, 1), "concrete")
        x += width + roof
    for k in range(1, roofs):
        _track(sketch, bend, left + k * (roof + track) - track / 2, track)
    x = left + track / 2
    for _ in range(roofs):
        sketch.add(bend.strip(x, -0.93, x + roof, 0.93), "body", 0.12, 0.06)
        sketch.add(bend.strip(x + roof / 2 - 0.01, -0.93, x + roof / 2 + 0.01, 0.93), "dark")
        if sketch.shows(0.04):
            for j in range(1, 6):
                y = -0.93 + 0.31 * j
                sketch.add(rect(x, y - 0.006, x + roof, y + 0.006), "dark")
        x += roof + track
    hall = sketch.vary(0.14, 0.2)
    sketch.add(bend.strip(left - hall, -0.36, left + track * 0.5, 0.36), "body", 0.24)
    sketch.add(bend.strip(left - hall * 0.6, -0.28, left - hall * 0.4, 0.28), "light")
    edge = bend.edge(-1, -0.36, left) + bend.edge(-0.36, 0.36, left - hall) + bend.edge(0.36, 1, left)
    return sketch.finish(edge + bend.edge(1, -1, left + total), bend.apply)


def _track(sketch: Sketch, bend: Bend, x: float, width: float) -> None:
    """A track with its left edge at x, most often with a train."""
    if sketch.shows(0.025):
        for rail in (0.3, 0.7):
            at = x + width * rail
            sketch.add(bend.strip(at - 0.01, -1, at + 0.01, 1), "steel")
    if sketch.chance(0.85):
        start = sketch.vary(-0.98, -0.4)
        role = sketch.pick("car-red", "car-blue", "pale", "car-yellow")
        for wagon in range(int(sketch.pick(3, 4))):
            y = start + wagon * 0.35
            sketch.add(bend.strip(x + width * 0.14, y, x + width * 0.86, min(y + 0.325, 1)), role, 0.06)
