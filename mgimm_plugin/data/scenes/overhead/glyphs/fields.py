"""Grounds for games: baseball field, ground track field, golf field."""

from __future__ import annotations

import math
from itertools import pairwise

from mgimm_plugin.data.scenes.overhead.glyphs.details import blob, tree
from mgimm_plugin.data.scenes.overhead.glyphs.forms import (
    TURN,
    Glyph,
    Pair,
    Polygon,
    Sketch,
    arc,
    disc,
    frame,
    line,
    mirrored,
    moved,
    rect,
    rounded,
    scaled,
)


def pitch(sketch: Sketch, wide: float, long: float) -> None:
    """A lawn with the lines of a football pitch; half width and half length."""
    sketch.add(rect(-wide, -long, wide, long), "turf")
    if sketch.shows(long / 4):
        step = long / 4
        for k in range(4):
            y = -long + 2 * k * step
            sketch.add(rect(-wide, y, wide, y + step), "mown")
    if not sketch.shows(0.04):
        return
    thin = 0.022
    side, end = wide * 0.9, long * 0.93
    sketch.add(frame(rect(-side, -end, side, end), rect(-side + thin, -end + thin, side - thin, end - thin)), "pale")
    sketch.add(line((-side, 0), (side, 0), thin), "pale")
    ring = min(wide, long) * 0.28
    sketch.add(frame(disc(0, 0, ring, 16), disc(0, 0, ring - thin, 16)), "pale")
    for front in (-1, 1):
        top, bottom = sorted((front * end, front * end * 0.7))
        box = rect(-side * 0.5, top, side * 0.5, bottom)
        sketch.add(frame(box, rect(-side * 0.5 + thin, top + thin, side * 0.5 - thin, bottom - thin)), "pale")


def baseball_field(sketch: Sketch, shape: str) -> Glyph:
    """A baseball field, its home plate at the bottom: infield dirt, grass diamond, bases, foul lines."""
    reach = 1.0
    if shape == "fan-shaped":
        home, spread = (0.0, 0.9), sketch.vary(0.8, 0.9)
        reach = 1.75
        angles = [-math.pi / 2 - spread + 2 * spread * k / 18 for k in range(19)]
        outline = [(home[0] + reach * math.cos(a), home[1] + reach * math.sin(a)) for a in angles]
        outline += [(0.2, home[1] + 0.1), (-0.2, home[1] + 0.1)]
        base = 0.62
    elif shape == "round":
        outline, home, base = disc(0, 0, 1, 32), (0.0, 0.78), 0.52
    else:
        outline, home, base = rect(-0.9, -0.9, 0.9, 0.9), (0.0, 0.72), 0.5
    base *= sketch.vary(0.94, 1.06)
    sketch.add(outline)
    if sketch.chance(0.6):
        sketch.add(frame(outline, moved(scaled(outline, 0.955), 0, 0)), "dark")
    half = base * math.sqrt(0.5)
    skin = arc(home[0], home[1], 0, base * 1.52, -0.75 * math.pi, -0.25 * math.pi, 12)[:14]
    sketch.add(skin, "soil")
    grass = half * 0.68
    middle = home[1] - half
    sketch.add([(0, middle + grass), (grass, middle), (0, middle - grass), (-grass, middle)])
    sketch.add(disc(0, home[1], base * 0.24, 14), "soil")
    sketch.add(disc(0, middle, base * 0.12, 10), "soil")
    out = {"fan-shaped": 1.66, "round": 1.02, "square": 1.2}[shape]
    width = 0.032
    for side in (-1, 1):
        sketch.add(line((0, home[1]), (side * out * 0.707, home[1] - out * 0.707), width), "pale")
    for x, y in ((0, home[1]), (half, middle), (0, middle - half), (-half, middle)):
        sketch.add(rect(x - 0.045, y - 0.045, x + 0.045, y + 0.045), "pale")
    return sketch.finish(outline)


def ground_track_field(sketch: Sketch, shape: str) -> Glyph:
    """A running track around a lawn; its lanes are told by lines."""
    if shape == "oval":
        wide = sketch.vary(0.6, 0.68)
        outline, radius = rounded(wide, 1, wide, 9), wide
    elif shape == "round":
        wide = 1.0
        outline, radius = disc(0, 0, 1, 36), 1.0
    else:
        wide = sketch.vary(0.64, 0.74)
        outline, radius = rounded(wide, 1, 0.2, 3), 0.2
    sketch.add(outline)
    lanes = int(sketch.pick(3, 4))
    step = 0.075
    for k in range(lanes):
        inset = 0.05 + step * k
        thin = 0.02
        if sketch.shows(0.05) or k in (0, lanes - 1):
            sketch.add(frame(_inset(shape, wide, radius, inset), _inset(shape, wide, radius, inset + thin)), "mark")
    inner = 0.05 + step * (lanes - 1) + 0.05
    if shape == "round":
        sketch.add(disc(0, 0, 1 - inner - 0.06, 32), "turf")
        if sketch.shows(0.05):
            pitch(sketch, 0.4, 0.52)
    else:
        room = 0.42 if shape == "oval" else inner + 0.05
        pitch(sketch, wide - inner - 0.03, 1 - room)
    if sketch.shows(0.06):
        sketch.add(line((-wide + 0.04, 0.3), (-wide + inner - 0.02, 0.3), 0.03), "mark")
    return sketch.finish(outline)


def _inset(shape: str, wide: float, radius: float, inset: float) -> Polygon:
    if shape == "round":
        return disc(0, 0, 1 - inset, 36)
    return rounded(wide - inset, 1 - inset, max(radius - inset, 0.02), 9 if shape == "oval" else 3)


def golf_field(sketch: Sketch, shape: str) -> Glyph:
    """A golf course: greens with flags, bunkers, a pond, trees."""
    outline, holes = _golf_ground(sketch, shape)
    sketch.add(outline)
    for (x, y), (to_x, to_y) in pairwise(holes):
        sketch.add(line((x, y), (to_x, to_y), 0.2), "light")
    pond = int(sketch.pick(*range(len(holes))))
    for k, (x, y) in enumerate(holes):
        if k == pond:
            sketch.add(blob(sketch, x, y, 0.26, 0.18), "water")
            continue
        sketch.add(disc(x, y, 0.18, 14), "green")
        start = sketch.vary(0, TURN)
        for turn in (start, start + sketch.vary(1.6, 2.6)):
            sand = blob(sketch, x + 0.26 * math.cos(turn), y + 0.26 * math.sin(turn), 0.13, 0.1, 12)
            sketch.add(sand, "sand")
    for k in range(0, len(outline), 3):
        x, y = outline[k]
        if sketch.chance(0.7):
            share = sketch.vary(0.86, 0.9)
            tree(sketch, x * share, y * share, 0.07)
    for k, (x, y) in enumerate(holes):
        if k != pond:
            sketch.add(line((x, y + 0.02), (x, y - 0.16), 0.03), "pale", 0.3)
            sketch.add([(x, y - 0.2), (x + 0.14, y - 0.15), (x, y - 0.1)], "flag")
    return sketch.finish(outline)


def _golf_ground(sketch: Sketch, shape: str) -> tuple[Polygon, list[Pair]]:
    """The course's edge, and where its greens lie."""
    if shape == "L-shaped":
        edge = mirrored((0, 0))
        arm = sketch.vary(0.86, 0.98)
        edge = [(-1, -0.9), (-0.9, -1), (arm - 1.1, -1), (arm - 1, -0.9), (arm - 1, -0.1), (arm - 0.9, 1 - arm)]
        edge += [(0.9, 1 - arm), (1, 1.1 - arm), (1, 0.9), (0.9, 1), (-0.9, 1), (-1, 0.9)]
        middle = arm / 2
        return edge, [
            (middle - 1, -0.66),
            (middle - 1, 0.0),
            (middle - 0.98, 1 - middle),
            (0.1, 1 - middle),
            (0.66, 1 - middle),
        ]
    points = []
    phase = sketch.vary(0, TURN)
    for k in range(36):
        angle = TURN * k / 36
        if shape == "round":
            reach = 1 + 0.035 * math.sin(3 * angle + phase)
            points.append((reach * math.cos(angle), reach * math.sin(angle)))
        else:
            # A bean: an ellipse whose upper side is dented.
            dent = 0.62 * math.exp(-(((angle - 1.5 * math.pi) / 0.62) ** 2))
            points.append((math.cos(angle) * 1.0, math.sin(angle) * (0.74 - dent)))
    if shape == "round":
        turns = [phase + TURN * k / 5 for k in range(5)]
        return points, [(0.56 * math.cos(a), 0.56 * math.sin(a)) for a in turns]
    return points, [(-0.64, -0.12), (-0.4, 0.32), (0.06, 0.42), (0.46, 0.3), (0.66, -0.1)]
