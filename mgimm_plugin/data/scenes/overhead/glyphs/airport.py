"""Airport: runways, taxiways, an apron with terminal and airplanes."""

from __future__ import annotations

import math
from typing import Final

from mgimm_plugin.data.scenes.overhead.glyphs.details import plane
from mgimm_plugin.data.scenes.overhead.glyphs.forms import (
    Glyph,
    Polygon,
    Sketch,
    hull,
    line,
    moved,
    rect,
    scaled,
    turned,
)

Rect = tuple[float, float, float, float]

_TAXIWAY: Final = 0.085


def airport(sketch: Sketch, shape: str) -> Glyph:
    """An airport: its (main) runways along y, taxiways, an apron with terminal and airplanes."""
    half = sketch.vary(0.12, 0.145)
    if shape == "parallel-runway":
        return _parallel(sketch, half)
    return _crossed(sketch, half) if shape == "crossed-runway" else _single(sketch, half)


def _single(sketch: Sketch, half: float) -> Glyph:
    x, apron = -0.5, (-0.02, -0.52, 0.6, 0.52)
    lane = apron[0] - _TAXIWAY / 2
    sketch.add(line((lane, -0.9), (lane, 0.9), _TAXIWAY))
    for y in (-0.86, -0.36, 0.36, 0.86):
        sketch.add(line((x, y), (lane, y), _TAXIWAY))
    runway = _runway(sketch, x, half)
    _apron(sketch, apron)
    return sketch.finish(hull([*runway, *rect(lane, -0.9, lane + _TAXIWAY / 2, 0.9), *rect(*apron)]))


def _crossed(sketch: Sketch, half: float) -> Glyph:
    tilt = sketch.vary(0.95, 1.2)
    apron = (0.3, 0.16, 0.86, 0.72)
    lane = apron[0]
    sketch.add(line((lane, 0.16), (lane, 0.9), _TAXIWAY))
    for y in (0.86, 0.3):
        sketch.add(line((0, y), (lane, y), _TAXIWAY))
    second = _runway(sketch, 0.0, half, tilt, 0.88)
    runway = _runway(sketch, 0.0, half)
    _apron(sketch, apron)
    return sketch.finish(hull([*runway, *second, *rect(*apron), (lane + _TAXIWAY / 2, 0.9)]))


def _parallel(sketch: Sketch, half: float) -> Glyph:
    x, apron = 0.68, (-0.34, -0.5, 0.34, 0.5)
    for side in (-1, 1):
        lane = side * (apron[2] + 0.01)
        sketch.add(line((lane, -0.88), (lane, 0.88), _TAXIWAY))
        for y in (-0.84, -0.3, 0.3, 0.84):
            sketch.add(line((side * x, y), (lane, y), _TAXIWAY))
    runways = [*_runway(sketch, -x, half), *_runway(sketch, x, half)]
    _apron(sketch, apron)
    return sketch.finish(hull(runways))


def _runway(sketch: Sketch, x: float, half: float, angle: float = 0.0, size: float = 1.0) -> Polygon:
    """A runway through (x, 0): threshold stripes, aiming points, a broken middle line; its outline."""

    def put(points: Polygon, role: str) -> None:
        sketch.add(moved(turned(scaled(points, 1, size), angle), x, 0), role)

    edge = rect(-half, -1, half, 1)
    put(edge, "body")
    if sketch.shows(0.03):
        for k in range(9):
            y = -0.58 + 0.135 * k
            put(rect(-0.014, y, 0.014, y + 0.075), "mark")
        for front in (-1, 1):
            top, bottom = sorted((front * 0.96, front * 0.82))
            for k in range(4):
                stripe = half * (-0.78 + 0.44 * k)
                put(rect(stripe, top, stripe + half * 0.24, bottom), "mark")
            top, bottom = sorted((front * 0.72, front * 0.62))
            for side in (-1, 1):
                put(line((side * half * 0.5, top), (side * half * 0.5, bottom), 0.04), "mark")
    return moved(turned(scaled(edge, 1, size), angle), x, 0)


def _apron(sketch: Sketch, box: Rect) -> None:
    """A paved rectangle with a terminal along its right side, and airplanes at its gates."""
    x1, y1, x2, y2 = box
    wide, tall = x2 - x1, y2 - y1
    sketch.add(rect(*box))
    front = x2 - wide * 0.24
    sketch.add(rect(front, y1 + tall * 0.06, x2 - wide * 0.04, y2 - tall * 0.06), "roof", 0.1)
    sketch.add(rect(front + wide * 0.08, y1 + tall * 0.12, front + wide * 0.12, y2 - tall * 0.12), "steel")
    stands = 3 if tall > 0.8 else 2
    for k in range(stands):
        y = y1 + tall * (k + 0.5) / stands
        sketch.add(rect(front - wide * 0.14, y - 0.025, front, y + 0.025), "roof", 0.08)
        if sketch.chance(0.85):
            plane(sketch, x1 + wide * 0.36, y, 0.26, math.pi / 2, "mark")
    if sketch.chance(0.7):
        for k in range(1, stands):
            y = y1 + tall * k / stands
            sketch.add(rect(x1 + wide * 0.1, y - 0.008, front - wide * 0.1, y + 0.008), "mark")
