"""Plans of cities, industry and airfields."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from mgimm_plugin.data.scenes.overhead.place.plan import Plan, Strip, crossing_line, frame, rectangle, turn
from mgimm_plugin.data.scenes.overhead.place.routes import add_rails, add_river, add_road, add_runway_strip, grid_cells
from mgimm_plugin.data.scenes.overhead.place.settings.open_land import through, traffic
from mgimm_plugin.data.scenes.scene import Points

_BIG = frozenset({"stadium", "overpass", "ground track field", "baseball field", "golf field"})
"""Categories that need large blocks."""


def _grid_angle(rng: Generator) -> float:
    return float(rng.uniform(-10, 10) if rng.random() < 0.7 else rng.uniform(20, 70))


def city(rng: Generator, needs: frozenset[str]) -> Plan:
    """Streets around blocks, which are parks, squares or full of houses; sometimes a river with quays."""
    plan = Plan("city")
    angle = _grid_angle(rng)
    street = rng.uniform(0.084, 0.1)
    plan.add(frame(), "road", "asphalt", angle=angle)
    cell = (0.34, 0.5) if _BIG & needs else (0.2, 0.36)
    cells, lines = grid_cells(rng, angle, cell, street)
    for middle, width, height in cells:
        plan.add(rectangle(middle, width, height, angle), "pavement", "curb", angle=angle)
        green = rng.random() < 0.45
        inner = rectangle(middle, width - 0.024, height - 0.024, angle)
        plan.add(inner, "grass" if green else "pavement", "lawn" if green else "pavement", angle=angle,
                 shade=rng.uniform(0.92, 1.08))  # fmt: skip
    for line in lines:
        plan.strips.append(Strip("street", line, street))
        plan.mark(line, "paint", 0.004, 0.03)
    plan.see("streets")
    if {"bridge", "dam"} & needs:
        line = crossing_line(rng, angle + 90 * rng.integers(2), through(rng, 0.1), bend=rng.uniform(0, 0.02))
        add_river(plan, line, rng.uniform(0.13, 0.18), bank="curb", bank_surface="pavement", verge=1.5)
    elif {"expressway toll station", "train station"} & needs:
        traffic(plan, rng, needs - {"vehicle"}, angle + 90 * rng.integers(2))
    return plan


def industry(rng: Generator, needs: frozenset[str]) -> Plan:
    """Paved yards with halls, pipes, roads and rails."""
    plan = Plan("industry")
    angle = _grid_angle(rng)
    plan.add(frame(), "pavement", "pavement", angle=angle, shade=rng.uniform(0.9, 1.0))
    cells, lines = grid_cells(rng, angle, (0.26, 0.46), 0.03)
    for middle, width, height in cells:
        material = ("concrete", "pavement", "asphalt", "gravel", "lawn")[rng.choice(5, p=(0.3, 0.26, 0.16, 0.14, 0.14))]
        surface = {"gravel": "sand", "lawn": "grass"}.get(material, "pavement")
        plan.add(rectangle(middle, width, height, angle), surface, material, angle=angle, shade=rng.uniform(0.92, 1.06))
    plan.see("yards")
    if "dam" in needs or "bridge" in needs:
        line = crossing_line(rng, angle, through(rng, 0.1), bend=0.01)
        add_river(plan, line, rng.uniform(0.16, 0.22), bank="gravel", bank_surface="pavement", verge=1.25)
        return plan
    traffic(plan, rng, needs, angle + 90 * rng.integers(2))
    if not plan.of_kind("rails") and rng.random() < 0.5:
        add_rails(plan, crossing_line(rng, angle, rng.uniform(0.1, 0.9, 2), bend=0.0), 2)
    for number in rng.choice(len(lines), min(2, len(lines)), replace=False):
        pipe = lines[number]
        for shift in (0.0, 0.011):
            plan.mark(pipe + shift, "pipe", 0.007)
    return plan


def airfield(rng: Generator, needs: frozenset[str]) -> Plan:
    """Mown grass, aprons joined by taxiways, and a runway strip that leaves the frame."""
    plan = Plan("airfield")
    angle = _grid_angle(rng) + 90 * float(rng.integers(2))
    plan.add(frame(), "grass", "grass", angle=angle)
    for middle, width, height in grid_cells(rng, angle, (0.3, 0.6), 0.0)[0]:
        material = ("grass", "lawn", "meadow")[rng.integers(3)]
        plan.add(rectangle(middle, width, height, angle), "grass", material, angle=angle, shade=rng.uniform(0.94, 1.06))
    plan.see("mown grass")
    if "airport" in needs:
        if needs & {"airplane", "vehicle"}:
            _apron(plan, rng, angle, rng.uniform(0.2, 0.8, 2), 0.5, 0.26)
        add_road(plan, crossing_line(rng, angle, rng.uniform(0.1, 0.9, 2)), 0.088)
        return plan
    along, across = turn(angle).T
    side = rng.choice((-1, 1))
    edge = 0.5 + across * side * rng.uniform(0.36, 0.44)
    add_runway_strip(plan, crossing_line(rng, angle, edge), rng.uniform(0.09, 0.13))
    depth = rng.uniform(0.4, 0.62)
    middle = 0.5 - across * side * rng.uniform(0.1, 0.2) + along * rng.uniform(-0.1, 0.1)
    for shift in (-0.3, 0.3):
        at = middle + along * shift
        taxiway = np.linspace(at, at + across * side * 0.55, 8)
        plan.add(
            rectangle((taxiway[0] + taxiway[-1]) / 2, 0.56, 0.07, angle + 90), "apron", "apron", angle=angle, shade=0.95
        )
        plan.mark(taxiway, "yellow paint", 0.005, 0)
    _apron(plan, rng, angle, middle, rng.uniform(0.8, 1.2), depth)
    if "vehicle" in needs and rng.random() < 0.5:
        add_road(plan, crossing_line(rng, angle, middle - across * side * (depth / 2 + 0.08)), 0.09)
    return plan


def _apron(plan: Plan, rng: Generator, angle: float, middle: Points, length: float, depth: float) -> None:
    plan.add(rectangle(middle, length + 0.03, depth + 0.03, angle), "grass", "dirt", angle=angle)
    plan.add(rectangle(middle, length, depth, angle), "apron", "apron", angle=angle, shade=rng.uniform(0.85, 1.05))
    along, across = turn(angle).T
    for shift in np.arange(-depth / 2 + 0.08, depth / 2, 0.08):
        line = np.linspace(middle - along * length / 2, middle + along * length / 2, 6) + across * shift
        plan.mark(line, "joint", 0.003, 0)
    for shift in np.arange(-length / 2 + 0.08, length / 2, 0.08):
        line = np.linspace(middle - across * depth / 2, middle + across * depth / 2, 4) + along * shift
        plan.mark(line, "joint", 0.003, 0)
    plan.see("apron", last=True)
