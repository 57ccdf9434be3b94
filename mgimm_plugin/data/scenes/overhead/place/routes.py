"""Roads, rivers, rails and shores: what a plan has that is long, each with the ground it is made of."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from mgimm_plugin.data.scenes.overhead.place.plan import NOTHING, Plan, Strip, crossing_line, ribbon
from mgimm_plugin.data.scenes.scene import Points


def side_line(line: Points, shift: float) -> Points:
    """The line moved sideways, to the right of its direction where ``shift`` is positive (y points down)."""
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    return line + np.stack([-along[:, 1], along[:, 0]], axis=1) * shift


def angle_of(line: Points) -> float:
    """Direction from its first to its last point in degrees."""
    step = line[-1] - line[0]
    return float(np.degrees(np.arctan2(step[1], step[0])))


def add_road(plan: Plan, line: Points, width: float, *, seen: bool = True) -> Strip:
    """A paved road of two lanes, or of four where it is wide, with its lines."""
    strip = Strip("road", line, width)
    plan.strips.append(strip)
    plan.add(ribbon(line, width * 1.12), NOTHING, "curb", angle=angle_of(line))
    plan.add(strip.polygon(), "road", "asphalt", angle=angle_of(line))
    plan.mark(line, "paint", 0.004, 0.035)
    if width > 0.13:
        for shift in (-0.25, 0.25):
            plan.mark(side_line(line, shift * width), "paint", 0.004, 0.03)
    if width > 0.09:
        for shift in (-0.46, 0.46):
            plan.mark(side_line(line, shift * width), "paint", 0.003)
    if seen:
        plan.see("road", line, last=True)
    return strip


def add_track(plan: Plan, line: Points, width: float = 0.05) -> Strip:
    """An unpaved track with two ruts."""
    strip = Strip("track", line, width)
    plan.strips.append(strip)
    plan.add(strip.polygon(), "road", "dirt", angle=angle_of(line))
    for shift in (-0.2, 0.2):
        plan.mark(side_line(line, shift * width), "ruts", 0.008)
    plan.see("track", line, last=True)
    return strip


def add_river(
    plan: Plan, line: Points, width: float, *, bank: str, bank_surface: str, verge: float = 1.35, kind: str = "river"
) -> Strip:
    """A river with banks of one material on both sides; ``verge`` is their outer width against the water's."""
    strip = Strip("river", line, width)
    plan.strips.append(strip)
    plan.add(strip.polygon(verge), bank_surface, bank, angle=angle_of(line))
    plan.add(strip.polygon(1.06), NOTHING, "rock", angle=angle_of(line))
    plan.add(strip.polygon(), "water", "river", angle=angle_of(line))
    plan.see(kind, line, last=True)
    return strip


def add_rails(plan: Plan, line: Points, tracks: int = 2, *, verge: tuple[str, str] | None = None) -> Strip:
    """Rails on ballast; nothing else stands on them, but stations beside and over them.

    Args:
        plan: Gets them.
        line: Their middle, ``[P, 2]``.
        tracks: Number of tracks.
        verge: Surface and material of a broad verge on both sides, which streets do not cross.
    """
    gauge = 0.022
    if verge is not None:
        plan.add(ribbon(line, 0.2), verge[0], verge[1], angle=angle_of(line))
    strip = Strip("rails", line, gauge * (tracks + 0.6))
    plan.strips.append(strip)
    plan.add(strip.polygon(), NOTHING, "ballast", angle=angle_of(line))
    for number in range(tracks):
        middle = side_line(line, gauge * (number - (tracks - 1) / 2))
        plan.mark(middle, "sleepers", 0.014, 0.006)
        for shift in (-0.0042, 0.0042):
            plan.mark(side_line(middle, shift), "rail", 0.0028)
    plan.see("rails", line, last=True)
    return strip


def add_runway_strip(plan: Plan, line: Points, width: float) -> Strip:
    """A paved runway from edge to edge of the frame with its middle line; the surface is kept free."""
    strip = Strip("runway strip", line, width)
    plan.strips.append(strip)
    plan.add(strip.polygon(), NOTHING, "asphalt", angle=angle_of(line), shade=0.95)
    plan.mark(line, "paint", 0.008, 0.06)
    for shift in (-0.45, 0.45):
        plan.mark(side_line(line, shift * width), "paint", 0.005)
    plan.see("runway strip", line, last=True)
    return strip


def grid_cells(
    rng: Generator, angle: float, cell: tuple[float, float], gap: float
) -> tuple[list[tuple[Points, float, float]], list[Points]]:
    """Rectangular cells with gaps between them over the whole frame, and the lines in the gaps.

    Args:
        rng: Source of the sides of the cells.
        angle: How the grid is turned, in degrees.
        cell: Smallest and largest side.
        gap: Width between cells.

    Returns:
        The cells as (middle, width, height) and the lines as points ``[16, 2]``.
    """
    edges = []
    for _ in range(2):
        starts = [-0.85 - rng.uniform(0, cell[1])]
        while starts[-1] < 0.8:
            starts.append(starts[-1] + gap + rng.uniform(*cell))
        edges.append(starts)
    radians = np.radians(angle)
    axes = np.array([(np.cos(radians), np.sin(radians)), (-np.sin(radians), np.cos(radians))])
    cells, lines = [], []
    for left, right in zip(edges[0][:-1], edges[0][1:], strict=True):
        for top, bottom in zip(edges[1][:-1], edges[1][1:], strict=True):
            middle = np.array([(left + right + gap) / 2, (top + bottom + gap) / 2]) @ axes + 0.5
            width, height = right - left - gap, bottom - top - gap
            if np.abs(middle - 0.5).max() < 0.5 + np.hypot(width, height) / 2:
                cells.append((middle, width, height))
    for axis in (0, 1):
        for start in edges[axis]:
            at = np.array([start + gap / 2, 0.0] if axis == 0 else [0.0, start + gap / 2]) @ axes + 0.5
            if np.abs(at - 0.5).max() < 0.75:
                lines.append(crossing_line(rng, angle + (90 if axis == 0 else 0), at))
    return cells, lines


def blob(rng: Generator, middle: Points, radius: float, *, rough: float = 0.18, stretch: float = 1.0) -> Points:
    """A rounded outline ``[40, 2]`` without corners, such as of a lake."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    reach = np.ones(40)
    for count in (2, 3, 5):
        reach += rough * rng.uniform(0.2, 1) / count * 2 * np.cos(count * angle + rng.uniform(0, 2 * np.pi))
    turned = angle + rng.uniform(0, 2 * np.pi)
    return np.stack([np.cos(turned) * stretch, np.sin(turned) / stretch], axis=1) * (radius * reach)[:, None] + middle
