"""What is round, square or octagonal and stands up: chimney and storage tank."""

from __future__ import annotations

import math

from mgimm_plugin.data.scenes.overhead.glyphs.details import plan
from mgimm_plugin.data.scenes.overhead.glyphs.forms import TURN, Glyph, Sketch, arc, disc, frame, line, rect, scaled


def chimney(sketch: Sketch, shape: str) -> Glyph:
    """A chimney from straight above: it narrows to its mouth in rings; its shadow tells how tall it is."""
    outline = plan(shape, 1)
    sketch.add(outline, "body", sketch.vary(2.8, 3.8))
    rings = sketch.pick(0, 1, 1, 2)
    mouth = sketch.vary(0.36, 0.4)
    if sketch.shows(0.07):
        for k in range(rings if sketch.shows(0.03) else min(rings, 1)):
            outer = 0.86 - 0.17 * k
            sketch.add(frame(scaled(outline, outer), scaled(outline, outer - 0.075)), "mark")
    if shape != "round" and sketch.shows(0.05):
        for x, y in outline:
            sketch.add(line((x * 0.98, y * 0.98), (x * mouth, y * mouth), 0.025), "dark")
    sketch.add(scaled(outline, mouth + 0.07), "dark")
    sketch.add(scaled(outline, mouth), "mouth")
    if sketch.chance(0.6):
        angle = sketch.vary(0, TURN)
        for far, radius in ((0.08, 0.12), (0.28, 0.16), (0.5, 0.2), (0.72, 0.17)):
            angle += sketch.vary(-0.2, 0.2)
            x, y = far * math.cos(angle), far * math.sin(angle)
            sketch.add(disc(x, y, radius, 12), "smoke")
            if sketch.shows(0.12):
                sketch.add(disc(x - 0.03, y - 0.03, radius * 0.6, 10), "steam")
    return sketch.finish(outline)


def storage_tank(sketch: Sketch, shape: str) -> Glyph:
    """A storage tank with a fixed or a floating roof, and stairs up its wall."""
    outline = plan(shape, 1)
    sketch.add(outline, "body", sketch.vary(0.45, 0.8))
    if sketch.chance(0.5):
        _floating_roof(sketch, shape)
    else:
        _fixed_roof(sketch, shape)
    if sketch.shows(0.1):
        angle = sketch.vary(0, TURN)
        if shape == "round":
            sketch.add(arc(0, 0, 0.92, 0.985, angle, angle + 0.9, 8), "steel")
        else:
            sketch.add(rect(-0.36, 0.92, 0.36, 0.985), "steel")
    return sketch.finish(outline)


def _floating_roof(sketch: Sketch, shape: str) -> None:
    outline = plan(shape, 1)
    rim = sketch.vary(0.86, 0.9)
    sketch.add(scaled(outline, rim), "dark")
    sketch.add(scaled(outline, rim - 0.1))
    if sketch.shows(0.12):
        angle = sketch.vary(0, TURN)
        near, far = (0.1 * math.cos(angle), 0.1 * math.sin(angle)), (0.8 * math.cos(angle), 0.8 * math.sin(angle))
        sketch.add(line(near, far, 0.08), "dark")
        for k in range(6):
            turn = angle + TURN * (k + 0.5) / 6
            sketch.add(disc(0.52 * math.cos(turn), 0.52 * math.sin(turn), 0.06, 8), "dark")


def _fixed_roof(sketch: Sketch, shape: str) -> None:
    outline = plan(shape, 1)
    sketch.add(frame(scaled(outline, 0.93), scaled(outline, 0.87)), "dark")
    if sketch.shows(0.08):
        count = 8 if shape != "round" else sketch.pick(8, 10, 12)
        for k in range(count):
            turn = TURN * (k + (0.5 if shape == "octagonal" else 0.0)) / count
            c, s = math.cos(turn), math.sin(turn)
            reach = 0.88 / max(abs(c), abs(s)) if shape == "square" else 0.88
            sketch.add(line((0, 0), (reach * c, reach * s), 0.03), "dark")
    sketch.add(disc(0, 0, 0.2, 14), "light")
    sketch.add(disc(0, 0, 0.1, 10), "dark")
