"""What boats and trains lie beside: harbor and train station."""

from __future__ import annotations

import math
from typing import NamedTuple

from mgimm_plugin.data.scenes.overhead.glyphs.bends import Bend
from mgimm_plugin.data.scenes.overhead.glyphs.details import boat
from mgimm_plugin.data.scenes.overhead.glyphs.forms import Glyph, Pair, Polygon, Sketch, rect

Rect = tuple[float, float, float, float]


class Row(NamedTuple):
    """Boats beside each other, their sterns at a pier.

    Attributes:
        boats: Middle and length of each.
        angle: How they are turned.
        edge: A line around them, from the pier and back to it.
    """

    boats: list[tuple[Pair, float]]
    angle: float
    edge: Polygon


def harbor(sketch: Sketch, shape: str) -> Glyph:
    """A harbor: piers of the shape, boats moored along them."""
    wide, length = sketch.vary(0.36, 0.42), sketch.vary(0.36, 0.44)
    piers, rows, edge = {"L-shaped": _corner, "U-shaped": _basin, "T-shaped": _jetty}[shape](sketch, wide, length)
    for row in rows:
        for (x, y), long in row.boats:
            boat(sketch, x, y, long, row.angle)
    for pier in piers:
        sketch.add(rect(*pier), "body", 0.07)
        _joints(sketch, pier, wide)
    if sketch.shows(0.06):
        x1, y1, _, y2 = piers[0]
        for k in range(3):
            x, y = x1 + wide * 0.55, y1 + (y2 - y1) * (0.2 + 0.22 * k)
            sketch.add(rect(x - 0.07, y - 0.06, x + 0.07, y + 0.06), sketch.pick("roof", "car-blue", "wood"), 0.16)
    return sketch.finish(edge)


def _corner(sketch: Sketch, wide: float, length: float) -> tuple[list[Rect], list[Row], Polygon]:
    """Piers, boats and outline of an L."""
    inner, room = 1 - wide, 1.76 - wide - length
    first = _row(sketch, (-inner, -0.88), (0, 1), (1, 0), room, length)
    second = _row(sketch, (0.88 - room, inner), (1, 0), (0, -1), room, length)
    edge = [(-1, -1), (-inner, -1), *first.edge, (-inner, inner), *second.edge, (1, inner), (1, 1), (-1, 1)]
    return [(-1.0, -1.0, -inner, 1.0), (-1.0, inner, 1.0, 1.0)], [first, second], edge


def _basin(sketch: Sketch, wide: float, length: float) -> tuple[list[Rect], list[Row], Polygon]:
    """Piers, boats and outline of a U."""
    inner, room = 1 - wide, 1.7 - wide
    left = _row(sketch, (-inner, -0.88), (0, 1), (1, 0), room, length)
    right = _row(sketch, (inner, room - 0.88), (0, -1), (-1, 0), room, length)
    edge = [(-1, -1), (-inner, -1), *left.edge, (-inner, inner), (inner, inner), *right.edge, (inner, -1)]
    piers = [(-1.0, -1.0, -inner, 1.0), (inner, -1.0, 1.0, 1.0), (-1.0, inner, 1.0, 1.0)]
    return piers, [left, right], [*edge, (1, -1), (1, 1), (-1, 1)]


def _jetty(sketch: Sketch, wide: float, length: float) -> tuple[list[Rect], list[Row], Polygon]:
    """Piers, boats and outline of a T."""
    low, half, room = wide - 1, wide / 2, 1.7 - wide
    right = _row(sketch, (half, 0.88 - room), (0, 1), (1, 0), room, length)
    left = _row(sketch, (-half, 0.88), (0, -1), (-1, 0), room, length)
    edge = [(-1, -1), (1, -1), (1, low), (half, low), *right.edge, (half, 1), (-half, 1), *left.edge]
    return [(-half, -1.0, half, 1.0), (-1.0, -1.0, 1.0, low)], [right, left], [*edge, (-half, low), (-1, low)]


def _row(sketch: Sketch, start: Pair, way: Pair, out: Pair, room: float, length: float) -> Row:
    """Boats from the start on along a pier (``way``), their bows ``out``; the first and the last are always there."""
    count = int(room / 0.19) + 1
    gap = room / (count - 1)
    boats: list[tuple[Pair, float]] = []
    edge: Polygon = []
    for k in range(count):
        long, there = length * sketch.vary(0.76, 1.0), sketch.chance(0.8)
        if not there and 0 < k < count - 1:
            continue
        x, y = start[0] + way[0] * gap * k, start[1] + way[1] * gap * k
        boats.append(((x + out[0] * long / 2, y + out[1] * long / 2), long))
        tip = (x + out[0] * long, y + out[1] * long)
        side = 0.19 * long * (1 if k else -1)
        foot = (x + way[0] * side, y + way[1] * side)
        shoulder = (foot[0] + out[0] * long * 0.68, foot[1] + out[1] * long * 0.68)
        edge += [foot, shoulder, tip] if k == 0 else [tip, shoulder, foot] if k == count - 1 else [tip]
    return Row(boats, math.atan2(out[0], -out[1]), edge)


def _joints(sketch: Sketch, pier: Rect, wide: float) -> None:
    """Joints across a pier, but none where another one meets it."""
    if not sketch.shows(0.03):
        return
    x1, y1, x2, y2 = pier
    for k in range(1, 10):
        at = -1 + 0.2 * k
        if y2 - y1 > x2 - x1:
            sketch.add(rect(x1, at - 0.009, x2, at + 0.009), "dark")
        elif abs(at) < 1 - wide:
            sketch.add(rect(at - 0.009, y1, at + 0.009, y2), "dark")


def train_station(sketch: Sketch, shape: str) -> Glyph:
    """A train station along y: long roofs over its platforms, tracks with trains beside them, a footbridge across."""
    bend = Bend(shape, sketch.vary(0.3, 0.4) * sketch.pick(-1, 1))
    roofs = sketch.pick(2, 3)
    roof, track = (0.33, 0.14) if roofs == 2 else (0.25, 0.11)
    end = sketch.vary(0.9, 0.95)
    half = roofs * (roof + track) / 2
    for k in range(roofs):
        x = -half + k * (roof + track)
        sketch.add(bend.strip(x, -1, x + track, 1), "ballast")
        sketch.add(bend.strip(x + track, -1, x + track + roof, 1), "platform")
        _track(sketch, bend, x, track)
    for k in range(roofs):
        x = -half + k * (roof + track) + track
        sketch.add(bend.strip(x + 0.012, -end, x + roof - 0.012, end), "body", 0.12, 0.06)
        if sketch.shows(0.02):
            sketch.add(bend.strip(x + roof / 2 - 0.008, -end, x + roof / 2 + 0.008, end), "dark")
    if sketch.chance(0.5):
        y = sketch.vary(-0.5, 0.5)
        sketch.add(rect(-half, y - 0.04, half, y + 0.04), "light", 0.24, 0.18)
    return sketch.finish(bend.strip(-half, -1, half, 1), bend.apply)


def _track(sketch: Sketch, bend: Bend, x: float, width: float) -> None:
    """A track with its left edge at x, most often with a train."""
    if sketch.shows(0.025):
        for rail in (0.28, 0.72):
            at = x + width * rail
            sketch.add(bend.strip(at - 0.01, -1, at + 0.01, 1), "steel")
    if sketch.chance(0.75):
        start = sketch.vary(-0.96, -0.4)
        role = sketch.pick("car-red", "car-blue", "pale", "car-yellow")
        for wagon in range(sketch.pick(3, 4)):
            y = start + wagon * 0.34
            sketch.add(bend.strip(x + width * 0.14, y, x + width * 0.86, min(y + 0.31, 1)), role, 0.06)
