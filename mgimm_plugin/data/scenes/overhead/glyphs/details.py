"""Small things that several drawings have: parked cars, boats, airplanes, trees, flags, lines on roads."""

from __future__ import annotations

import math
from typing import Final

from mgimm_plugin.data.scenes.overhead.glyphs.forms import (
    Pair,
    Polygon,
    Sketch,
    disc,
    line,
    mirrored,
    moved,
    octagon,
    rect,
    scaled,
    turned,
)

CARS: Final = ("car-red", "car-blue", "car-white", "car-white", "car-black", "car-yellow")

_BOAT: Final = mirrored((0, -1), (0.34, -0.35), (0.38, 0.9), (0.3, 1))
_PLANE: Final = mirrored(
    *(
        (0, -1),
        (0.12, -0.75),
        (0.13, -0.3),
        (1, 0.25),
        (1, 0.42),
        (0.13, 0.18),
        (0.1, 0.7),
        (0.4, 0.9),
        (0.4, 1),
        (0, 1),
    )
)


def plan(shape: str, radius: float, count: int = 32) -> Polygon:
    """A round, square or octagonal outline; ``radius`` is half its width."""
    if shape == "round":
        return disc(0, 0, radius, count)
    return octagon(radius) if shape == "octagonal" else rect(-radius, -radius, radius, radius)


def car(sketch: Sketch, x: float, y: float, length: float, *, sideways: bool = False) -> None:
    """A car of some color, along y or along x."""
    long, wide = length / 2, length * 0.23
    role = sketch.pick(*CARS)
    if not sketch.shows(wide):
        return
    if sideways:
        sketch.add(rect(x - long, y - wide, x + long, y + wide), role)
    else:
        sketch.add(rect(x - wide, y - long, x + wide, y + long), role)
    if sketch.shows(length * 0.3):
        roof = length * 0.16
        sketch.add(rect(x - roof, y - roof, x + roof, y + roof), "glass")


def traffic(sketch: Sketch, lanes: tuple[float, ...], count: int, *, sideways: bool = False) -> None:
    """Cars on a road from -1 to 1, each in one of its lanes and none upon another; ``lanes``: where they are across."""
    for k in range(count):
        along = -0.9 + 1.8 * (k + sketch.vary(0.2, 0.8)) / count
        lane = sketch.pick(*lanes)
        x, y = (along, lane) if sideways else (lane, along)
        car(sketch, x, y, 0.16, sideways=sideways)


def boat(sketch: Sketch, x: float, y: float, length: float, angle: float) -> None:
    """A boat whose bow points up before it is turned by the angle."""
    role = sketch.pick("pale", "pale", "car-white", "car-blue", "car-red", "steel")
    if not sketch.shows(length * 0.3):
        return
    hull = moved(turned(scaled(_BOAT, length / 2), angle), x, y)
    sketch.add(hull, role, length * 0.12)
    if sketch.shows(length * 0.6):
        cabin = turned(rect(-length * 0.1, -length * 0.02, length * 0.1, length * 0.3), angle)
        sketch.add(moved(cabin, x, y), "wood" if role != "car-red" else "pale")


def plane(sketch: Sketch, x: float, y: float, length: float, angle: float, role: str) -> None:
    """A parked airplane whose nose points up before it is turned by the angle."""
    if sketch.shows(length * 0.2):
        sketch.add(moved(turned(scaled(_PLANE, length / 2), angle), x, y), role, length * 0.12)


def tree(sketch: Sketch, x: float, y: float, radius: float) -> None:
    """A tree crown."""
    if sketch.shows(radius):
        sketch.add(disc(x, y, radius, 9), "tree", radius * 1.6)
        if sketch.shows(radius * 0.5):
            sketch.add(disc(x - radius * 0.2, y - radius * 0.25, radius * 0.5, 7), "leaf")


def dashes(sketch: Sketch, start: Pair, end: Pair, count: int, width: float, role: str = "mark") -> None:
    """A broken line: as many dashes, as long as the gaps between them."""
    if not sketch.shows(width * 2):
        return
    step = (end[0] - start[0]) / count, (end[1] - start[1]) / count
    for k in range(count):
        first = start[0] + (k + 0.25) * step[0], start[1] + (k + 0.25) * step[1]
        last = start[0] + (k + 0.75) * step[0], start[1] + (k + 0.75) * step[1]
        sketch.add(line(first, last, width), role)


def blob(sketch: Sketch, x: float, y: float, across: float, along: float, count: int = 14) -> Polygon:
    """A closed curve without corners, never beyond an ellipse with these half axes."""
    phase, waves = sketch.vary(0, 6.3), sketch.pick(2, 3)
    points = []
    for k in range(count):
        angle = 2 * math.pi * k / count
        reach = 0.84 + 0.16 * math.sin(waves * angle + phase)
        points.append((x + across * reach * math.cos(angle), y + along * reach * math.sin(angle)))
    return points
