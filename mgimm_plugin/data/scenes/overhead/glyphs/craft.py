"""What flies, floats, drives and turns: airplane, ship, vehicle, windmill."""

from __future__ import annotations

import math

from mgimm_plugin.data.scenes.overhead.glyphs.forms import (
    TURN,
    Glyph,
    Polygon,
    Sketch,
    disc,
    line,
    mirrored,
    moved,
    rect,
    rounded,
    scaled,
    turned,
)


def airplane(sketch: Sketch, shape: str) -> Glyph:
    """An airplane, its nose up."""
    half = sketch.vary(0.1, 0.135)
    span = sketch.vary(0.84, 1.02)
    fuselage = mirrored((0, -1), (half * 0.6, -0.92), (half, -0.74), (half, 0.45), (half * 0.45, 0.98), (0, 1))
    if shape == "delta-winged":
        span *= 0.86
        start, notch = sketch.vary(-0.5, -0.25), sketch.vary(0.66, 0.78)
        edge = [(half, start), (span, 0.66), (span, 0.8), (half, notch)]
        rear = [(half * 0.8, 0.96), (0, 1)]
    elif shape == "swept-winged":
        sweep, root = sketch.vary(0.5, 0.66), sketch.vary(-0.36, -0.24)
        tip = root + sweep
        edge = [(half, root), (span, tip), (span, tip + 0.13), (span * 0.42, root + 0.5), (half, root + 0.5)]
        rear = [(half * 0.75, 0.7), (0.4, 0.9), (0.4, 1.0), (half * 0.4, 0.95), (0, 1)]
    else:
        root, chord = sketch.vary(-0.5, -0.36), sketch.vary(0.3, 0.36)
        edge = [(half, root), (span * 0.92, root + 0.03), (span, root + 0.1), (span, root + chord * 0.8)]
        edge.append((half, root + chord))
        rear = [(half * 0.75, 0.7), (0.38, 0.72), (0.4, 0.94), (half * 0.4, 0.95), (0, 1)]
    wing = mirrored((0, edge[0][1] - 0.06), *edge, (0, edge[-1][1]))
    engines = _engines(sketch, shape, edge, span)
    for x, y, wide, long in engines:
        for side in (-x, x):
            sketch.add(rect(side - wide, y, side + wide, y + long), "dark", 0.12)
            if shape == "straight-winged" and sketch.shows(0.06):
                sketch.add(rect(side - 0.12, y, side + 0.12, y + 0.035), "steel")
    sketch.add(wing, "body", 0.14, 0.04)
    if shape != "delta-winged":
        sketch.add(mirrored((0, rear[0][1] - 0.02), *rear), "body", 0.2, 0.1)
    sketch.add(fuselage, "body", 0.18, 0.04)
    _airplane_details(sketch, shape, half, edge)
    outline: Polygon = [(0, -1), (half * 0.6, -0.92), (half, -0.74), edge[0]]
    for x, y, wide, _ in sorted(engines):
        wide = max(wide, 0.12) if shape == "straight-winged" else wide
        # The leading edge is straight from its root to its tip.
        share = [(x + s * wide - edge[0][0]) / (edge[1][0] - edge[0][0]) for s in (-1, 1)]
        lead = [max(y, edge[0][1] + min(t, 1) * (edge[1][1] - edge[0][1])) for t in share]
        outline += [(x - wide, lead[0]), (x - wide, y), (x + wide, y), (x + wide, lead[1])]
    outline += edge[1:]
    outline += rear if shape != "delta-winged" else [(half * 0.8, 0.97), (0, 1)]
    return sketch.finish(mirrored(*outline))


def _engines(sketch: Sketch, shape: str, edge: Polygon, span: float) -> list[tuple[float, float, float, float]]:
    """Engines of the right wing: middle, front, half width, length."""
    if shape == "delta-winged":
        return []
    count = sketch.pick(1, 1, 2)
    places = [0.4] if count == 1 else [0.33, 0.62]
    found = []
    for place in places:
        x = place * span
        lead = edge[0][1] + (x - edge[0][0]) / (edge[1][0] - edge[0][0]) * (edge[1][1] - edge[0][1])
        found.append((x, lead - 0.13, 0.065, 0.3))
    return found


def _airplane_details(sketch: Sketch, shape: str, half: float, edge: Polygon) -> None:
    if sketch.shows(0.08):
        sketch.add(mirrored((0, -0.9), (half * 0.6, -0.84), (half * 0.7, -0.74), (0, -0.78)), "glass")
    if shape == "delta-winged":
        sketch.add(mirrored((0, -0.62), (half * 0.55, -0.5), (half * 0.5, -0.2), (0, -0.12)), "glass")
        for side in (-1, 1):
            sketch.add(line((side * 0.2, 0.45), (side * 0.26, 0.92), 0.05), "dark", 0.3)
            sketch.add(rect(side * half * 0.45 - 0.04, 0.9, side * half * 0.45 + 0.04, 0.97), "mouth")
        return
    sketch.add(line((0, 0.62), (0, 0.99), 0.06), "dark", 0.36, 0.16)
    if sketch.shows(0.1):
        for side in (-1, 1):
            # Ailerons and flaps show as a line along the trailing edge.
            inner, outer = edge[-1], edge[-2]
            sketch.add(
                line((side * inner[0], inner[1] - 0.06), (side * outer[0] * 0.95, outer[1] - 0.06), 0.025), "dark"
            )
    if sketch.chance(0.5) and sketch.shows(0.1):
        sketch.add(rect(-half, 0.2, half, 0.32), "mark")


def _hull(shape: str, half: float) -> Polygon:
    if shape == "pointed":
        return mirrored((0, -1), (half * 0.5, -0.78), (half * 0.86, -0.52), (half, -0.3), (half, 0.92), (half * 0.8, 1))
    if shape == "rounded":
        return rounded(half, 1, half * 0.98, 6)
    return rounded(half, 1, half * 0.12, 1)


def ship(sketch: Sketch, shape: str) -> Glyph:
    """A ship, its bow up: with containers, hatches or pipes, and a bridge at the stern."""
    half = sketch.vary(0.25, 0.33)
    hull = _hull(shape, half)
    rim = sketch.shows(0.06)
    sketch.add(hull, "dark" if rim else "body", 0.16)
    if rim:
        sketch.add(scaled(hull, 0.92, 0.975))
    stern = 0.5 if shape == "rounded" else 0.6
    if sketch.shows(0.08):
        _cargo(sketch, half, -0.4 if shape == "pointed" else -0.62, stern - 0.08)
    _superstructure(sketch, shape, half, stern)
    if shape == "pointed" and sketch.shows(0.08):
        sketch.add(disc(0, -0.68, 0.06, 10), "mark")
    return sketch.finish(hull)


def _cargo(sketch: Sketch, half: float, top: float, bottom: float) -> None:
    """What a ship carries between two lines across its deck: liquids in pipes, or containers or hatches in rows."""
    load = sketch.pick("containers", "hatches", "pipes")
    if load == "pipes":
        sketch.add(line((0, top - 0.1), (0, bottom), 0.05), "dark")
        for k, y in enumerate((-0.3, 0.06, 0.36)):
            sketch.add(line((-half * 0.6, y), (half * 0.6, y), 0.035), "dark")
            for side in (-1, 1):
                role = "light" if (k == 1) == (side > 0) else "dark"
                sketch.add(disc(side * half * 0.42, y - 0.1, 0.055, 10), role)
        return
    count = sketch.pick(3, 4, 5)
    step = (bottom - top) / count
    for k in range(count):
        _hold(sketch, load, half, top + k * step, top + (k + 0.72) * step)


def _hold(sketch: Sketch, load: str, half: float, top: float, bottom: float) -> None:
    if load == "hatches":
        sketch.add(rect(-half * 0.5, top, half * 0.5, bottom), "dark", 0.2)
        if sketch.shows(0.1):
            sketch.add(rect(-half * 0.4, top + 0.02, half * 0.4, bottom - 0.02), "light")
            sketch.add(line((0, top), (0, bottom), 0.02), "dark")
        return
    for k in range(3):
        x = half * (-0.57 + 0.38 * k)
        role = sketch.pick("dark", "light", "body", "car-red", "car-blue", "wood", "steel", "body")
        sketch.add(rect(x, top, x + half * 0.35, bottom), role, 0.24)


def _superstructure(sketch: Sketch, shape: str, half: float, stern: float) -> None:
    wide = half * 0.8
    sketch.add(rect(-wide, stern, wide, stern + 0.07), "pale", 0.34)
    sketch.add(rect(-wide * 0.78, stern + 0.05, wide * 0.78, stern + 0.23), "pale", 0.34)
    if sketch.shows(0.05):
        sketch.add(rect(-wide * 0.9, stern + 0.01, wide * 0.9, stern + 0.045), "glass")
    if sketch.shows(0.06):
        sketch.add(rect(-half * 0.18, stern + 0.13, half * 0.18, stern + 0.21), "tire", 0.42)


def vehicle(sketch: Sketch, shape: str) -> Glyph:
    """A car, a truck or a bus, its front up."""
    if shape == "rectangular":
        return _truck(sketch)
    half = sketch.vary(0.42, 0.5)
    if shape == "rounded":
        hull = rounded(half, 1, half * 0.72, 5)
    else:
        hull = mirrored((0, -1), (half * 0.4, -0.88), (half, -0.2), (half, 0.94), (half * 0.86, 1))
    wheels = ((-half, 0.6), (half, 0.6), (-half * 0.86, -0.5), (half * 0.86, -0.5))
    for x, y in wheels:
        sketch.add(rect(x - 0.07, y - 0.17, x + 0.07, y + 0.17), "tire", 0.1)
    sketch.add(hull, "body", 0.24)
    back = sketch.vary(0.62, 0.74)
    sketch.add(mirrored((0, -0.42), (half * 0.66, -0.34), (half * 0.8, -0.06), (0, -0.12)), "glass")
    if sketch.shows(0.1):
        rear = [(0.0, back - 0.02), (half * 0.74, back - 0.08), (half * 0.62, back + 0.12), (0.0, back + 0.14)]
        sketch.add(mirrored(*rear), "glass")
        lamp_x, lamp_y = (half * 0.5, -0.82) if shape == "rounded" else (half * 0.26, -0.72)
        for side in (-1, 1):
            sketch.add(rect(side * half * 0.86 - 0.035, 0.0, side * half * 0.86 + 0.035, back - 0.14), "glass")
            sketch.add(rect(side * lamp_x - 0.06, lamp_y - 0.04, side * lamp_x + 0.06, lamp_y + 0.04), "mark")
    if sketch.chance(0.3) and shape == "pointed":
        sketch.add(rect(-0.06, 0.02, 0.06, back - 0.12), "mark")
    tire = half + 0.07
    wheel = half * 0.86 + 0.07
    if shape == "rounded":
        outline = mirrored((half * 0.4, -1), (half, -0.8), (tire, 0.43), (tire, 0.77), (half, 0.85), (half * 0.5, 1))
    else:
        outline = mirrored(
            (0, -1), (half * 0.4, -0.88), (wheel, -0.67), (tire, 0.43), (tire, 0.77), (half, 0.94), (half * 0.86, 1)
        )
    return sketch.finish(outline)


def _truck(sketch: Sketch) -> Glyph:
    half = sketch.vary(0.36, 0.44)
    if sketch.chance(0.4):
        outline = rounded(half, 1, 0.08, 1)
        sketch.add(outline, "body", 0.34)
        sketch.add(rect(-half * 0.88, -0.97, half * 0.88, -0.8), "glass")
        for y in (-0.45, 0.1, 0.62):
            sketch.add(rect(-half * 0.4, y - 0.11, half * 0.4, y + 0.11), "light")
        return sketch.finish(outline)
    rear = sketch.vary(-0.56, -0.46)
    cab = moved(rounded(half * 0.94, (rear + 1) / 2, 0.1, 2), 0, (rear - 1) / 2)
    sketch.add(rect(-half * 0.6, -0.9, half * 0.6, 0.9), "tire", 0.2)
    sketch.add(cab, "body", 0.3)
    sketch.add(rect(-half * 0.8, -0.94, half * 0.8, -0.78), "glass")
    sketch.add(rect(-half, rear + 0.1, half, 1), "body", 0.38)
    if sketch.shows(0.1):
        for y in (0.0, 0.33, 0.66):
            sketch.add(rect(-half, y - 0.02, half, y + 0.02), "dark")
    front = cab[6:]
    return sketch.finish(
        [
            *front,
            (front[-1][0], rear),
            (half, rear + 0.1),
            (half, 1),
            (-half, 1),
            (-half, rear + 0.1),
            (front[0][0], rear),
        ]
    )


def windmill(sketch: Sketch, shape: str) -> Glyph:
    """A wind turbine: its rotor, and by its shadow the tower below."""
    count = {"two-bladed": 2, "three-bladed": 3, "four-bladed": 4}[shape]
    wide, tall, hub = sketch.vary(0.13, 0.18), sketch.vary(1.5, 2.2), 0.15
    blade: Polygon = [
        (-0.06, -hub * 0.8),
        (-wide, -0.34),
        (-0.07, -0.97),
        (0.0, -1.0),
        (0.05, -0.97),
        (0.07, -hub * 0.8),
    ]
    start = sketch.vary(0, TURN)
    striped = sketch.chance(0.35)
    sketch.add(disc(0, 0, 0.07, 8), "dark", tall)
    outline: Polygon = []
    for k in range(count):
        angle = start + TURN * k / count
        points = turned(blade, angle)
        sketch.add(points, "body", tall, tall)
        if striped and sketch.shows(0.1):
            sketch.add(turned([(-0.1, -0.72), (-0.085, -0.84), (0.055, -0.84), (0.055, -0.72)], angle), "mark")
        outline += points
        for share in (1, 2, 3, 4, 5):
            turn = angle - math.pi / 2 + TURN / count * share / 6
            outline.append((hub * math.cos(turn), hub * math.sin(turn)))
    sketch.add(disc(0, 0, hub, 14), "dark", tall, tall)
    sketch.add(disc(0, 0, hub * 0.62, 12))
    return sketch.finish(outline)
