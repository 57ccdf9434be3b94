"""Plans of farmland, forest and desert."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from mgimm_plugin.data.scenes.overhead.place.plan import NOTHING, Plan, Strip, crossing_line, frame, rectangle
from mgimm_plugin.data.scenes.overhead.place.routes import (
    add_rails,
    add_river,
    add_road,
    add_track,
    blob,
    grid_cells,
)
from mgimm_plugin.data.scenes.scene import Points

_CROSSED = frozenset({"bridge", "dam"})
"""Categories that cross a river."""

_PARCELS = (
    ("wheat", "field"),
    ("crop", "field"),
    ("plowed", "field"),
    ("stubble", "field"),
    ("meadow", "grass"),
    ("grass", "grass"),
)


def through(rng: Generator, spread: float = 0.14) -> Points:
    """A place near the middle of the frame."""
    return rng.uniform(0.5 - spread, 0.5 + spread, 2)


def any_angle(rng: Generator) -> float:
    """A direction in degrees: along the frame more often than not."""
    return float(rng.integers(2) * 90 + rng.uniform(-14, 14) if rng.random() < 0.6 else rng.uniform(0, 180))


def river_through(plan: Plan, rng: Generator, needs: frozenset[str], *, bank: str, bank_surface: str) -> Strip:
    """A river across the frame, wide where dams are to be built."""
    width = rng.uniform(0.17, 0.26) if "dam" in needs else rng.uniform(0.11, 0.2)
    line = crossing_line(rng, any_angle(rng), through(rng, 0.1), bend=rng.uniform(0.01, 0.05), points=24)
    return add_river(plan, line, width, bank=bank, bank_surface=bank_surface)


def traffic(plan: Plan, rng: Generator, needs: frozenset[str], angle: float) -> None:
    """The roads and rails that the categories need, across the frame."""
    if "expressway toll station" in needs:
        add_road(plan, crossing_line(rng, angle, through(rng, 0.08), bend=0.01), rng.uniform(0.15, 0.19))
    elif {"vehicle", "expressway service area"} & needs:
        add_road(plan, crossing_line(rng, angle, through(rng, 0.2), bend=0.03), rng.uniform(0.085, 0.12))
    if "train station" in needs:
        verge = ("grass", "meadow") if plan.setting == "farmland" else ("pavement", "gravel")
        add_rails(plan, crossing_line(rng, angle, through(rng, 0.2)), int(rng.integers(2, 4)), verge=verge)


def farmland(rng: Generator, needs: frozenset[str]) -> Plan:
    """Parcels with furrows between hedges, tracks, sometimes a river."""
    plan = Plan("farmland")
    angle = float(rng.uniform(-25, 25))
    plan.add(frame(), "grass", "meadow", angle=angle)
    cells, lines = grid_cells(rng, angle, (0.24, 0.5), 0.0)
    for middle, width, height in cells:
        material, surface = _PARCELS[rng.choice(6, p=(0.22, 0.2, 0.17, 0.17, 0.14, 0.1))]
        rows = angle + 90 * rng.integers(2)
        plan.add(rectangle(middle, width, height, angle), surface, material, angle=rows, shade=rng.uniform(0.93, 1.07))
    plan.see("fields")
    hedged = rng.random(len(lines)) < 0.55
    for line, dense in zip(lines, hedged, strict=True):
        plan.mark(line, "hedge", rng.uniform(0.009, 0.015) if dense else 0.006, 0)
    crossed = _CROSSED & needs
    if crossed or rng.random() < 0.15:
        river_through(plan, rng, needs, bank="grass", bank_surface="grass")
    else:
        traffic(plan, rng, needs, angle + 90 * rng.integers(2))
        if not plan.strips and rng.random() < 0.7:
            add_track(plan, lines[rng.integers(len(lines))])
    return plan


def forest(rng: Generator, needs: frozenset[str]) -> Plan:
    """Trees with clearings, and a lake or a river."""
    plan = Plan("forest")
    plan.add(frame(), NOTHING, "forest")
    plan.see("trees")
    afloat = {"ship", "harbor"} & needs
    ashore = needs - {"ship", "harbor", "bridge", "dam"}
    lake_side = rng.uniform(0, 360)
    away = np.array([np.cos(np.radians(lake_side)), np.sin(np.radians(lake_side))])
    if ashore:
        for _ in range(6 if afloat else 4):
            middle = rng.uniform(0.12, 0.88, 2) if not afloat else rng.uniform(0.1, 0.9, 2) - 0.25 * away
            plan.add(blob(rng, middle, rng.uniform(0.2, 0.33)), "grass", "meadow" if rng.random() < 0.5 else "grass")
        plan.see("clearing", last=True)
    if _CROSSED & needs:
        river_through(plan, rng, needs, bank="grass", bank_surface="grass")
        return plan
    if afloat or rng.random() < 0.25:
        _lake(plan, rng, 0.5 + away * (0.12 if not ashore else 0.3), 0.4 if afloat else 0.22)
    elif {"vehicle", "expressway toll station", "train station"} & needs or rng.random() < 0.4:
        traffic(plan, rng, needs | {"vehicle"}, any_angle(rng))
    return plan


def _lake(plan: Plan, rng: Generator, middle: Points, radius: float) -> None:
    outline = blob(rng, middle, radius, rough=0.12, stretch=rng.uniform(0.85, 1.2))
    plan.add((outline - middle) * 1.1 + middle, "grass", "meadow")
    plan.add((outline - middle) * 1.03 + middle, NOTHING, "beach")
    plan.add(outline, "water", "river")
    # The outline runs clockwise on the screen, so that its inner side is to the right of its direction.
    plan.strips.append(Strip("shore", np.concatenate([outline, outline[:1]]), 0.0))
    plan.see("lake", last=True)


def desert(rng: Generator, needs: frozenset[str]) -> Plan:
    """Dunes and gravel, tracks, rock."""
    plan = Plan("desert")
    plan.add(frame(), "sand", "sand", angle=rng.uniform(0, 180))
    plan.see("dunes")
    for _ in range(rng.integers(1, 4)):
        plan.add(
            blob(rng, rng.uniform(0, 1, 2), rng.uniform(0.12, 0.3)), "sand", "gravel", shade=rng.uniform(0.95, 1.1)
        )
    angle = any_angle(rng)
    traffic(plan, rng, needs, angle)
    if not plan.strips and rng.random() < 0.6:
        line = crossing_line(rng, angle, through(rng, 0.3), bend=rng.uniform(0.02, 0.07))
        add_track(plan, line)
    return plan
