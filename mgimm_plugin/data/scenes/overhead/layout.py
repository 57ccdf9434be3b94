"""What is in a scene and where, before anything is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from numpy.random import Generator

from mgimm_plugin.data.scenes.overhead.menus import MENUS, Wish, draw_wishes
from mgimm_plugin.data.scenes.overhead.objects import OverheadObject, Pose, reading_order
from mgimm_plugin.data.scenes.overhead.plan import Plan
from mgimm_plugin.data.scenes.overhead.poses import (
    ROUTES,
    along_strip,
    approaches,
    beside_the_last,
    free,
    on_road,
    plaza,
)
from mgimm_plugin.data.scenes.overhead.settings import plan_setting
from mgimm_plugin.data.scenes.overhead.site import Site
from mgimm_plugin.data.scenes.overhead.styles import Style
from mgimm_plugin.data.scenes.overhead.vocabulary import KINDS, SETTINGS

_TRIES = 24
_SHRINK = 0.93


@dataclass(frozen=True)
class Layout:
    """A place with its objects in reading order."""

    plan: Plan
    objects: tuple[OverheadObject, ...]


def lay_out(rng: Generator, style: Style, size: int) -> Layout:
    """Three to twelve objects, settled where they belong, their boxes apart.

    Every category in the scene occurs at least twice, each time with another color or shape: what is true of one
    object cannot be said without knowing which one is meant.

    Args:
        rng: Source of everything random.
        style: Gives the colors of the ground, the sides and the number of objects.
        size: Side of the picture in pixels.
    """
    setting = SETTINGS[rng.integers(len(SETTINGS))]
    while True:
        layout = _try(rng, setting, style, size)
        if layout is not None:
            return layout


def _try(rng: Generator, setting: str, style: Style, size: int) -> Layout | None:
    assert MENUS[setting]
    wishes = draw_wishes(rng, setting, style)
    site = Site(plan_setting(setting, rng, frozenset(wish.category for wish in wishes)), style, size, rng)
    for wish in sorted(wishes, key=lambda wish: wish.category not in ROUTES):
        for color, shape in wish.kinds:
            _place(site, wish, color, shape)
    counts = {wish.category: sum(item.category == wish.category for item in site.objects) for wish in wishes}
    kept = [item for item in site.objects if counts[item.category] > 1]
    if len(kept) < style.objects[0]:
        return None
    return Layout(site.plan, tuple(sorted(kept, key=reading_order)))


def _place(site: Site, wish: Wish, color: str, shape: str) -> None:
    """Try places until one does; smaller and smaller."""
    category = wish.category
    low, high = KINDS[category].sides
    side = min(max(wish.side * float(site.rng.uniform(0.88, 1.14)), low), high)
    for attempt, pose in zip(range(_TRIES), _poses(site, category, side), strict=False):
        if pose is None:
            continue
        if attempt > _TRIES // 3 and pose.side is not None:
            smaller = max(low, pose.side * _SHRINK ** (attempt - _TRIES // 3))
            pose = Pose(pose.middle, pose.angle, smaller, pose.scale)
        found = site.look(category, shape, pose)
        on_water = "water" if category in ("bridge", "dam") else None
        item = site.settle(found, category, shape, [color], surface=on_water)
        if item is None:
            continue
        if category in ("bridge", "overpass"):
            reach = max(pose.scale) if pose.side is None else pose.side / 2
            approaches(site, category, pose.angle, pose.middle, reach, 0.06)
        elif category == "expressway toll station":
            plaza(site, site.plan.of_kind("road")[0], pose, side)
            site.refresh()
        return


def _poses(site: Site, category: str, side: float) -> Iterator[Pose | None]:
    """Places to try, the likeliest first, without end."""
    yield from beside_the_last(site, category, side)
    strips = site.plan.of_kind(*ROUTES.get(category, ()))
    while True:
        if strips:
            yield along_strip(site, category, strips[site.rng.integers(len(strips))], side)
        elif category in ROUTES:
            return
        elif category == "vehicle" and site.rng.random() < 0.7:
            yield on_road(site, side)
        else:
            yield free(site, category, side)
