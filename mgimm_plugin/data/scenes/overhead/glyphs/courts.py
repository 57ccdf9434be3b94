"""Courts: basketball and tennis, told apart by their lines and proportions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from mgimm_plugin.data.scenes.overhead.glyphs.forms import (
    Glyph,
    Polygon,
    Sketch,
    arc,
    disc,
    frame,
    line,
    moved,
    rect,
    rounded,
)

_LINE: Final = 0.03
"""Width of the lines on a court: much more than in truth, so that they show in a small picture."""

Draw = Callable[[str, Polygon], None]


def _laid_out(sketch: Sketch, shape: str, half: tuple[float, float], court: Callable[[float], None]) -> Glyph:
    """One court or two beside each other, on a surround of the shape; ``half``: half width, half length of one."""
    wide, long = half
    if shape == "double":
        ground = rect(-2 * wide, -long, 2 * wide, long)
    elif shape == "round-ended":
        long += wide * 0.55
        ground = rounded(wide, long, wide, 9)
    else:
        ground = rect(-wide, -long, wide, long)
    sketch.add(ground)
    if sketch.chance(0.5) and shape != "round-ended":
        edge = 2 * wide if shape == "double" else wide
        sketch.add(frame(ground, rect(-edge + 0.03, -long + 0.03, edge - 0.03, long - 0.03)), "dark")
    for x in (-wide, wide) if shape == "double" else (0.0,):
        court(x)
    return sketch.finish(ground)


def basketball_court(sketch: Sketch, shape: str) -> Glyph:
    """A basketball court: keys, three-point arcs, center circle, hoops at both ends."""
    wide = sketch.vary(0.52, 0.57)
    keys = sketch.pick("dark", "light", "body")

    def court(x: float) -> None:
        def add(role: str, points: Polygon) -> None:
            sketch.add(moved(points, x, 0), role)

        side, end, arch = wide - 0.08, 0.9, (wide - 0.08) * 0.76
        outer = rect(-side, -end, side, end)
        fine = sketch.shows(0.04)
        if fine:
            add("mark", frame(outer, rect(-side + _LINE, -end + _LINE, side - _LINE, end - _LINE)))
        for front in (-1, 1):
            if sketch.shows(0.05):
                top, bottom = sorted((front * end, front * 0.5))
                add(keys, rect(-0.15, top, 0.15, bottom))
            first = 0.0 if front < 0 else math.pi
            add("mark", arc(0, front * 0.76, arch, arch + _LINE, first, first + math.pi, 14))
            if fine:
                _key(sketch, add, front, end, arch)
        if shape != "double" or sketch.shows(0.06):
            add("mark", line((-side, 0), (side, 0), _LINE))
        if fine:
            add("mark", disc(0, 0, 0.16, 18))
            add(keys, disc(0, 0, 0.16 - _LINE, 18))
            add("mark", line((-0.13, 0), (0.13, 0), _LINE))

    return _laid_out(sketch, shape, (wide, 1.0), court)


def _key(sketch: Sketch, add: Draw, front: int, end: float, arch: float) -> None:
    """Lines of the key, the straight ends of the three-point line, backboard and hoop of one end."""
    for edge in (-1, 1):
        add("mark", line((edge * 0.15, front * (end - _LINE / 2)), (edge * 0.15, front * 0.5), _LINE))
        reach = edge * (arch + _LINE / 2)
        add("mark", line((reach, front * 0.76), (reach, front * end), _LINE))
    add("mark", line((-0.15 - _LINE / 2, front * 0.5), (0.15 + _LINE / 2, front * 0.5), _LINE))
    add("tire", line((-0.1, front * 0.845), (0.1, front * 0.845), _LINE))
    if sketch.shows(0.03):
        add("hoop", disc(0, front * 0.78, 0.045, 10))


def tennis_court(sketch: Sketch, shape: str) -> Glyph:
    """A tennis court: side lines for singles and doubles, service boxes, and the net across its middle."""
    wide = sketch.vary(0.54, 0.6)
    inner = sketch.pick("dark", "light", "body")

    def court(x: float) -> None:
        def add(role: str, points: Polygon) -> None:
            sketch.add(moved(points, x, 0), role)

        side, end = 0.31, 0.66
        outer = rect(-side, -end, side, end)
        if inner != "body":
            add(inner, outer)
        add("mark", frame(outer, rect(-side + _LINE, -end + _LINE, side - _LINE, end - _LINE)))
        for edge in (-1, 1):
            if sketch.shows(0.04):
                add("mark", line((edge * 0.22, -end), (edge * 0.22, end), _LINE))
            add("mark", line((-0.22, edge * 0.36), (0.22, edge * 0.36), _LINE))
        add("mark", line((0, -0.36), (0, 0.36), _LINE))
        sketch.add(moved(line((-side - 0.07, 0), (side + 0.07, 0), 0.05), x, 0), "tire", 0.08)
        add("pale", line((-side - 0.07, -0.012), (side + 0.07, -0.012), 0.02))

    return _laid_out(sketch, shape, (wide, 1.0), court)
