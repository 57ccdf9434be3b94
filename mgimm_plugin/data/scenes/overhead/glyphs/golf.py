"""Golf field: a course with greens, flags, bunkers, a pond and trees."""

from __future__ import annotations

import math
from itertools import pairwise

from mgimm_plugin.data.scenes.overhead.glyphs.details import blob, tree
from mgimm_plugin.data.scenes.overhead.glyphs.forms import TURN, Glyph, Pair, Polygon, Sketch, disc, line


def golf_field(sketch: Sketch, shape: str) -> Glyph:
    """A golf field: its holes one after the other, joined by mown fairways."""
    outline, holes, groves, size = {"round": _disc, "kidney-shaped": _kidney, "L-shaped": _angle}[shape](sketch)
    sketch.add(outline)
    for start, end in pairwise(holes):
        sketch.add(line(start, end, size), "light")
    pond = sketch.pick(*range(len(holes)))
    for k, (x, y) in enumerate(holes):
        if k == pond:
            sketch.add(blob(sketch, x, y, size * 1.5, size), "shore")
            sketch.add(blob(sketch, x, y, size * 1.3, size * 0.85), "water")
            continue
        sketch.add(disc(x, y, size, 14), "green")
        turn = sketch.vary(0, TURN)
        for _ in range(2):
            dx, dy = 1.35 * size * math.cos(turn), 1.35 * size * math.sin(turn)
            sketch.add(blob(sketch, x + dx, y + dy, size * 0.72, size * 0.55), "sand")
            turn += sketch.vary(1.6, 2.6)
    for x, y in groves:
        if sketch.chance(0.75):
            tree(sketch, x, y, sketch.vary(0.055, 0.075))
    for k, (x, y) in enumerate(holes):
        if k != pond and sketch.shows(0.04):
            tall = size * 0.95
            sketch.add(line((x, y), (x, y - tall), 0.022), "pale")
            sketch.add([(x, y - tall), (x + size * 0.8, y - tall * 0.75), (x, y - tall * 0.5)], "flag")
    return sketch.finish(outline)


def _disc(sketch: Sketch) -> tuple[Polygon, list[Pair], list[Pair], float]:
    """Edge of the course, its holes, where its trees stand, radius of a green."""
    phase = sketch.vary(0, TURN)
    edge = []
    for k in range(36):
        angle = TURN * k / 36
        reach = 1 + 0.03 * math.sin(3 * angle + phase)
        edge.append((reach * math.cos(angle), reach * math.sin(angle)))
    turns = [phase + TURN * k / 5 for k in range(5)]
    holes = [(0.54 * math.cos(a), 0.54 * math.sin(a)) for a in turns]
    return edge, holes, [(x * 0.87, y * 0.87) for x, y in edge[::3]], 0.15


def _kidney(sketch: Sketch) -> tuple[Polygon, list[Pair], list[Pair], float]:
    """The same of a bean: an arc of a circle with round ends, thicker in its middle."""
    spread, bulge = sketch.vary(1.25, 1.4), sketch.vary(0.42, 0.46)
    middle: Polygon = []
    widths = []
    for k in range(15):
        angle = math.pi / 2 + spread * (1 - k / 7)
        middle.append((0.62 * math.cos(angle), 0.62 * math.sin(angle)))
        widths.append(bulge * (1 - 0.12 * abs(1 - k / 7)))
    outer = [(x * (1 + w / 0.62), y * (1 + w / 0.62)) for (x, y), w in zip(middle, widths, strict=True)]
    inner = [(x * (1 - w / 0.62), y * (1 - w / 0.62)) for (x, y), w in zip(middle, widths, strict=True)]
    edge = outer + _cap(middle[-1], outer[-1]) + inner[::-1] + _cap(middle[0], inner[0])
    grove = [(x + (ox - x) * 0.74, y + (oy - y) * 0.74) for (x, y), (ox, oy) in zip(middle, outer, strict=True)]
    return edge, [middle[k] for k in (1, 5, 9, 13)], grove[::2], 0.14


def _cap(middle: Pair, start: Pair) -> Polygon:
    """Half a circle about the middle from the start onwards, without its ends."""
    dx, dy = start[0] - middle[0], start[1] - middle[1]
    points = []
    for k in range(1, 7):
        c, s = math.cos(math.pi * k / 7), -math.sin(math.pi * k / 7)
        points.append((middle[0] + dx * c - dy * s, middle[1] + dx * s + dy * c))
    return points


def _angle(sketch: Sketch) -> tuple[Polygon, list[Pair], list[Pair], float]:
    """The same of an L."""
    arm = sketch.vary(0.86, 0.98)
    inner = arm - 1
    edge = [(-1, -0.86), (-0.86, -1), (inner - 0.14, -1), (inner, -0.86), (inner, -inner - 0.14)]
    edge += [(inner + 0.14, -inner), (0.86, -inner), (1, 0.14 - inner), (1, 0.86), (0.86, 1), (-0.86, 1), (-1, 0.86)]
    middle = arm / 2
    holes = [(middle - 1, -0.64), (middle - 1, 0.04), (middle - 0.94, 0.94 - middle)]
    holes += [(0.1, 1 - middle), (0.64, 1 - middle)]
    groves = [(-0.88, -0.7 + 0.3 * k) for k in range(6)] + [(-0.5 + 0.3 * k, 0.88) for k in range(5)]
    return edge, holes, groves, 0.14
