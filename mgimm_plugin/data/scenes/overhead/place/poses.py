"""Where objects of each category like to lie, as poses to try."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from mgimm_plugin.data.scenes.overhead.objects import GAP, Pose
from mgimm_plugin.data.scenes.overhead.place.plan import Strip, turn
from mgimm_plugin.data.scenes.overhead.place.routes import add_road
from mgimm_plugin.data.scenes.overhead.place.site import Site
from mgimm_plugin.data.scenes.scene import Points

ROUTES = {
    "bridge": ("river",),
    "dam": ("river",),
    "expressway toll station": ("road",),
    "train station": ("rails",),
    "expressway service area": ("road",),
    "harbor": ("quay", "shore"),
}
"""Categories that belong to a strip, and its kinds."""

_INSIDE: Final = (0.14, 0.86)
"""The part of a line from edge to edge that may be in the frame."""

_ALIGNED = frozenset(
    {"baseball field", "basketball court", "chimney", "ground track field", "stadium", "storage tank", "tennis court"}
    | {"expressway service area", "airplane", "airport", "overpass", "vehicle"}
)
"""Categories that lie along the rows and streets of their ground where it has any."""

_IN_ROWS = frozenset({"airplane", "storage tank", "tennis court", "basketball court", "windmill", "vehicle", "chimney"})
"""Categories that like to stand in a row."""


def along_strip(site: Site, category: str, strip: Strip, side: float) -> Pose | None:
    """A place on, across or beside a strip; None if it lies outside of the frame."""
    rng = site.rng
    point, direction = strip.at(float(rng.uniform(*_INSIDE) if strip.kind != "shore" else rng.random()))
    if np.abs(point - 0.5).max() > 0.5:
        return None
    across = turn(direction + 90)[:, 0]
    way = float(rng.choice((-1, 1)))
    if category == "bridge":
        half = strip.width / 2 + rng.uniform(0.02, 0.045)
        return Pose(point, direction, None, (half * rng.uniform(0.85, 1.25), half))
    if category == "dam":
        half = strip.width / 2 + rng.uniform(0.012, 0.03)
        return Pose(point, direction - 90, None, (half, half * rng.uniform(0.85, 1.2)))
    if category == "expressway toll station":
        half = strip.width * rng.uniform(0.56, 0.85)
        return Pose(point, direction + 90 * way, None, (half, half))
    if category == "train station":
        half = side * rng.uniform(0.58, 0.7)
        return Pose(point, direction + 90 * way, None, (half * rng.uniform(0.85, 1.1), half))
    if category == "expressway service area":
        beside = strip.width / 2 + side * 0.62
        return Pose(point + across * way * beside, direction + 90 * (1 - way), side)
    # A harbor's foot is at the bottom of its frame; the water is to the right of the direction of a shore.
    half = side * rng.uniform(0.42, 0.56)
    return Pose(point + across * half * 0.98, direction - 180, None, (half, half))


def on_road(site: Site, side: float) -> Pose | None:
    """A place in a lane; None if there are no lanes there."""
    rng = site.rng
    strips = site.plan.of_kind("road", "street", "track")
    if not strips:
        return None
    strip = strips[rng.integers(len(strips))]
    point, direction = strip.at(float(rng.uniform(*_INSIDE)))
    if np.abs(point - 0.5).max() > 0.48 or site.patch_at(point).surface != "road":
        return None
    lanes = (-1, 1) if strip.width < 0.13 else (-3, -1, 1, 3)
    lane = int(rng.choice(lanes)) if strip.kind != "track" else 0
    shift = lane * strip.width / (2 * len(lanes))
    # Traffic keeps to the right: the lanes to the right of a strip's direction run along it.
    return Pose(point + turn(direction + 90)[:, 0] * shift, direction + (90 if lane >= 0 else -90), side)


def free(site: Site, category: str, side: float) -> Pose | None:
    """Some free place on a surface that suits the category; None if there is none of that size."""
    rng = site.rng
    for room in (1.0, 0.72):
        cells = site.middles(site.surfaces_for(category), side * room)
        if len(cells):
            break
    else:
        return None
    middle = site.place_of(cells[rng.integers(len(cells))])
    angle = float(rng.uniform(0, 360))
    patch = site.patch_at(middle)
    if category in _ALIGNED and patch.surface not in ("sand", "water"):
        angle = patch.angle + 90.0 * int(rng.integers(4)) + float(rng.uniform(-2, 2))
    elif category == "ship" and (patch.material == "river" or site.plan.of_kind("quay")) and rng.random() < 0.8:
        angle = patch.angle + 90.0 * float(rng.choice((-1, 1))) + float(rng.uniform(-8, 8))
    return Pose(middle, angle, side, loose=True)


def beside_the_last(site: Site, category: str, side: float) -> Iterator[Pose]:
    """Places next to the object placed last, if it is of the same category: the next ones of its row."""
    rng = site.rng
    if category not in _IN_ROWS or not site.objects or site.objects[-1].category != category or rng.random() < 0.2:
        return
    last, box = site.objects[-1], site.boxes[-1]
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    room = (np.array([box[2] - box[0], box[3] - box[1]]) + side) / 2 + GAP
    # The row goes on where it goes to from the last but one.
    before = site.objects[-2] if len(site.objects) > 1 and site.objects[-2].category == category else None
    first = float(site.patch_at(middle).angle if category != "windmill" else last.angle)
    if before is not None:
        x1, y1, x2, y2 = site.boxes[-2]
        first = float(np.degrees(np.arctan2(middle[1] - (y1 + y2) / 2, middle[0] - (x1 + x2) / 2)))
    for way in (0, 180, 90, 270):
        ahead = turn(first + way)[:, 0]
        with np.errstate(divide="ignore"):
            reach = float(np.min(room / np.abs(ahead)))
        for stretch in (1.02, 1.3):
            yield Pose(middle + ahead * reach * stretch, last.angle, side)


def approaches(site: Site, category: str, shape: str, angle: float, outline: Points) -> None:
    """Roads from the ends of a bridge or an overpass to the edge of the frame, or as far as nothing is in their way.

    Args:
        site: Where the object is the last one placed.
        category: Of the object.
        shape: Of the object.
        angle: How it is turned, in degrees.
        outline: Its outline ``[K, 2]`` in the unit frame.
    """
    ways = {"cross-shaped": (0, 90, 180, 270), "T-shaped": (0, 90, 180)}.get(shape, (90, 270))
    for way in ways:
        ahead, aside = turn(angle + way).T
        reach = outline @ ahead
        end = outline[reach > reach.max() - 0.012]
        start = end.mean(axis=0)
        width = float(np.ptp(end @ aside))
        line = start + ahead * np.arange(-0.003, 1.5, 0.02)[:, None]
        line = line[: _free_steps(site, line, width)]
        if len(line) > 3:
            add_road(site.plan, line, min(max(width, 0.02), 0.14), seen=False)
    site.refresh()


def _free_steps(site: Site, line: Points, width: float) -> int:
    """How many points of a line come before water or another box."""
    near = width / 2 + 0.01
    for number, (x, y) in enumerate(line):
        if not (-0.1 < x < 1.1 and -0.1 < y < 1.1):
            return number + 1
        wet = number > 3 and site.patch_at(np.array([x, y])).surface == "water"
        if wet or any(b[0] - near < x < b[2] + near and b[1] - near < y < b[3] + near for b in site.boxes[:-1]):
            return max(0, number - 1)
    return len(line)


def plaza(site: Site, road: Strip, pose: Pose) -> None:
    """Widen a road where a toll station stands."""
    half, narrow = pose.scale[0] * 1.02, road.width / 2
    right = np.array([(narrow, -2.6 * half), (half, -1.0 * half), (half, 1.0 * half), (narrow, 2.6 * half)])
    outline = np.concatenate([right, right[::-1] * (-1, 1)])
    matrix = turn(pose.angle).T
    site.plan.add(outline @ matrix + pose.middle, "road", "asphalt", angle=pose.angle + 90)
    for way in (-1, 1):
        for part in (-1, -0.6, -0.2, 0.2, 0.6, 1):
            lane = np.array([(part * half, way * half), (part * narrow, 2.6 * way * half)]) * 0.96
            site.plan.mark(lane @ matrix + pose.middle, "paint", 0.003, 0.0 if abs(part) == 1 else 0.025)
    site.refresh()
