"""Grounds for games: baseball field, ground track field."""

from __future__ import annotations

import math

from mgimm_plugin.data.scenes.overhead.glyphs.forms import (
    Glyph,
    Polygon,
    Sketch,
    arc,
    disc,
    frame,
    line,
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
    thin = 0.02
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
    if shape == "fan-shaped":
        (home, base, foul), spread = (0.88, 0.62, 1.66), sketch.vary(0.8, 0.9)
        angles = [-math.pi / 2 - spread + 2 * spread * k / 18 for k in range(19)]
        outline = [(1.75 * math.cos(a), home + 1.75 * math.sin(a)) for a in angles]
        outline += [(0.2, home + 0.16), (-0.2, home + 0.16)]
    elif shape == "round":
        outline, (home, base, foul) = disc(0, 0, 1, 32), (0.76, 0.54, 1.36)
    else:
        outline, (home, base, foul) = rect(-0.9, -0.9, 0.9, 0.9), (0.7, 0.52, 1.26)
    base *= sketch.vary(0.94, 1.06)
    sketch.add(outline)
    if sketch.chance(0.6):
        sketch.add(frame(outline, scaled(outline, 0.955)), sketch.pick("dark", "soil"))
    half = base * math.sqrt(0.5)
    sketch.add(arc(0, home, 0, base * 1.52, -0.75 * math.pi, -0.25 * math.pi, 12)[:14], "soil")
    grass = half * 0.68
    middle = home - half
    sketch.add([(0, middle + grass), (grass, middle), (0, middle - grass), (-grass, middle)])
    sketch.add(disc(0, home, 0.14, 14), "soil")
    sketch.add(disc(0, middle, base * 0.12, 10), "soil")
    far = foul * math.sqrt(0.5)
    for side in (-1, 1):
        sketch.add(line((0, home), (side * far, home - far), 0.03), "pale")
    for x, y in ((0, home), (half, middle), (0, middle - half), (-half, middle)):
        sketch.add(rect(x - 0.042, y - 0.042, x + 0.042, y + 0.042), "pale")
    if shape != "fan-shaped" and sketch.shows(0.06):
        # The players' benches, outside of the foul lines.
        for side in (-1, 1):
            bench = line((side * half * 0.75, home - half * 0.2), (side * half * 1.2, home - half * 0.65), 0.06)
            sketch.add(bench, "dark")
    return sketch.finish(outline)


def ground_track_field(sketch: Sketch, shape: str) -> Glyph:
    """A running track around a lawn; its lanes are told by lines."""
    if shape == "oval":
        wide = sketch.vary(0.62, 0.7)
        outline, radius = rounded(wide, 1, wide, 9), wide
    elif shape == "round":
        outline, wide, radius = disc(0, 0, 1, 36), 1.0, 1.0
    else:
        wide = sketch.vary(0.66, 0.76)
        outline, radius = rounded(wide, 1, 0.2, 3), 0.2
    sketch.add(outline)
    lanes = sketch.pick(3, 4)
    depth = {"oval": 0.29, "rectangular": 0.34, "round": 0.38}[shape] * sketch.vary(0.97, 1.06)
    # A line is never thinner than a pixel: too many of them would cover the color of a small track.
    lines = min(lanes, max(1, sketch.room(depth, 4.5)))
    for k in range(lines):
        inset = depth * (k + 0.4) / lines
        inner = _inset(shape, wide, radius, inset + 0.014)
        sketch.add(frame(_inset(shape, wide, radius, inset), inner), "mark")
    if shape == "round":
        sketch.add(disc(0, 0, 0.98 - depth, 32), "turf")
        if sketch.shows(0.05):
            pitch(sketch, 0.38, 0.5)
    else:
        pitch(sketch, wide - depth - 0.03, 1 - (0.5 if shape == "oval" else depth + 0.05))
    if sketch.shows(0.06):
        for k in range(2):
            y = 0.1 - 0.2 * k
            sketch.add(line((0.04 - wide, y), (depth - 0.02 - wide, y), 0.02), "mark")
    if sketch.chance(0.5) and shape == "oval" and sketch.shows(0.06):
        sketch.add(rect(-0.14, -0.7, 0.14, -0.62), "sand")
    return sketch.finish(outline)


def _inset(shape: str, wide: float, radius: float, inset: float) -> Polygon:
    if shape == "round":
        return disc(0, 0, 1 - inset, 36)
    return rounded(wide - inset, 1 - inset, max(radius - inset, 0.02), 9 if shape == "oval" else 3)
