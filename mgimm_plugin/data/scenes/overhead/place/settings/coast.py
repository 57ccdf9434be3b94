"""Plans of the sea and of ports."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from mgimm_plugin.data.scenes.overhead.place.plan import (
    NOTHING,
    Plan,
    Strip,
    crossing_line,
    frame,
    rectangle,
    turn,
)
from mgimm_plugin.data.scenes.overhead.place.routes import add_river, add_road, side_line
from mgimm_plugin.data.scenes.scene import Points


def _right_of(line: Points, far: float = 1.6) -> Points:
    """The half of the frame to the right of a line's direction (the side of the water, along shores)."""
    along = line[-1] - line[0]
    across = np.array([-along[1], along[0]]) / np.hypot(*along) * far
    return np.concatenate([line, line[::-1] + across])


def _shore(rng: Generator, angle: float, land: float, bend: float) -> Points:
    """A shore in direction ``angle`` with the water on its right; about ``land`` of the frame is on its left."""
    across = turn(angle + 90)[:, 0]
    reach = (np.abs(across[0]) + np.abs(across[1])) / 2
    return crossing_line(rng, angle, 0.5 + across * reach * (2 * land - 1), bend=bend, points=28)


def sea(rng: Generator, needs: frozenset[str]) -> Plan:
    """Waves; a shore where something stands on it, two shores where a bridge joins them."""
    plan = Plan("sea")
    plan.add(frame(), "water", "water")
    plan.see("waves")
    angle = float(rng.integers(4) * 90 + rng.uniform(-16, 16)) if rng.random() < 0.7 else float(rng.uniform(0, 360))
    if "bridge" in needs:
        _strait(plan, rng, angle)
    elif "harbor" in needs or rng.random() < 0.35:
        line = _shore(rng, angle, rng.uniform(0.12, 0.22), 0.03)
        _coast(plan, rng, line)
        plan.see("shore", line)
    return plan


def _coast(plan: Plan, rng: Generator, line: Points) -> None:
    """Land to the left of a shore: surf, a beach, meadows."""
    back = line[::-1]
    plan.add(_right_of(side_line(back, -0.02)), "water", "surf")
    plan.add(_right_of(back), NOTHING, "beach")
    plan.add(_right_of(side_line(back, rng.uniform(0.03, 0.05))), "grass", "grass" if rng.random() < 0.5 else "meadow")
    plan.strips.append(Strip("shore", line, 0.0))


def _strait(plan: Plan, rng: Generator, angle: float) -> None:
    width = rng.uniform(0.24, 0.36)
    line = crossing_line(rng, angle, rng.uniform(0.42, 0.58, 2), bend=0.02, points=24)
    _coast(plan, rng, side_line(line, -width / 2))
    _coast(plan, rng, side_line(line, width / 2)[::-1])
    plan.strips.append(Strip("river", line, width))
    plan.see("strait", line)


def port(rng: Generator, needs: frozenset[str]) -> Plan:
    """A quay with a yard behind it and a basin in front, or a canal where bridges are needed."""
    plan = Plan("port")
    angle = float(rng.integers(4) * 90 + rng.uniform(-10, 10))
    plan.add(frame(), "water", "water", angle=angle)
    on_land = needs - {"ship", "harbor", "bridge"}
    afloat = {"ship", "harbor"} & needs
    land = 0.32 if afloat and not on_land else 0.5 if afloat else 0.74
    line = _shore(rng, angle, land + rng.uniform(-0.04, 0.05), 0.0)
    back = line[::-1]
    plan.add(_right_of(side_line(back, -0.012)), NOTHING, "rock")
    plan.add(_right_of(back), "pavement", "quay", angle=angle)
    yard = side_line(back, 0.07)
    plan.add(_right_of(yard), "pavement", "pavement", angle=angle, shade=rng.uniform(0.88, 1.0))
    plan.mark(side_line(back, 0.012), "yellow paint", 0.005, 0)
    for shift in (0.028, 0.055):
        plan.mark(side_line(back, shift), "rail", 0.003)
    plan.strips.append(Strip("quay", line, 0.0))
    plan.see("quay", line)
    across = turn(angle - 90)[:, 0]
    inland = line[len(line) // 2]
    if "vehicle" in needs:
        add_road(plan, side_line(back, 0.13 if land < 0.45 else 0.2), 0.09)
    for number in range(4):
        at = inland + across * rng.uniform(0.2, 0.75) + turn(angle)[:, 0] * rng.uniform(-0.5, 0.5)
        material = "concrete" if number < 3 else "asphalt"
        plan.add(
            rectangle(at, rng.uniform(0.2, 0.4), rng.uniform(0.12, 0.24), angle), "pavement", material, angle=angle
        )
    if "bridge" in needs:
        mouth = inland + turn(angle)[:, 0] * rng.uniform(-0.12, 0.12)
        canal = mouth + across * np.linspace(-0.012, 1.6, 16)[:, None]
        add_river(plan, canal, rng.uniform(0.14, 0.2), bank="quay", bank_surface="pavement", verge=1.3, kind="canal")
    return plan
