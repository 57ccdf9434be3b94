"""What is in a scene and where, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from mgimm_plugin.data.scenes.overhead.glyphs import glyph
from mgimm_plugin.data.scenes.overhead.objects import Mold, OverheadObject, Pose, reading_order
from mgimm_plugin.data.scenes.overhead.picture.details import Detail
from mgimm_plugin.data.scenes.overhead.place.furnishing import furnish
from mgimm_plugin.data.scenes.overhead.place.menus import Wish, draw_wishes
from mgimm_plugin.data.scenes.overhead.place.plan import Plan
from mgimm_plugin.data.scenes.overhead.place.poses import (
    ROUTES,
    along_strip,
    approaches,
    beside_the_last,
    free,
    on_road,
    plaza,
)
from mgimm_plugin.data.scenes.overhead.place.settings import plan_setting
from mgimm_plugin.data.scenes.overhead.place.site import Site
from mgimm_plugin.data.scenes.overhead.styles import Style
from mgimm_plugin.data.scenes.overhead.vocabulary import KINDS, SETTINGS

_TRIES = 20
_SHRINK = 0.9

_STRAIN = 1.12
"""By how much sides may leave the range of their category: what a river's width and a glyph's form ask for."""

_ORDER = {"bridge": 0, "dam": 0, "expressway toll station": 0, "train station": 0, "harbor": 1, "overpass": 2}
"""Who comes first: what belongs to a strip; the rest by size."""


@dataclass(frozen=True)
class Layout:
    """A place with its objects in reading order, and the details around them."""

    plan: Plan
    objects: tuple[OverheadObject, ...]
    details: tuple[Detail, ...]


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
    wishes = draw_wishes(rng, setting, style)
    site = Site(plan_setting(setting, rng, frozenset(wish.category for wish in wishes)), style, size, rng)
    for wish in sorted(wishes, key=lambda wish: _ORDER.get(wish.category, 3)):
        taken: list[tuple[str, str]] = []
        for color, shape in wish.kinds:
            spare = [other for other in KINDS[wish.category].colors if (other, shape) not in (*taken, *wish.kinds)]
            item = _place(site, wish, shape, [color, *spare])
            if item is not None:
                taken.append((item.color, item.shape))
    counts = {wish.category: sum(item.category == wish.category for item in site.objects) for wish in wishes}
    kept = [item for item in site.objects if counts[item.category] > 1]
    if len(kept) < style.objects[0]:
        return None
    return Layout(site.plan, tuple(sorted(kept, key=reading_order)), tuple(furnish(site)))


def _place(site: Site, wish: Wish, shape: str, colors: list[str]) -> OverheadObject | None:
    """Try places until one does; smaller and smaller."""
    category = wish.category
    low, high = KINDS[category].sides
    side = min(max(wish.side * float(np.exp(site.rng.uniform(-0.25, 0.25))), low), high)
    mold = Mold(glyph(category, shape, site.rng, detail=side * site.size))
    row = beside_the_last(site, category, side)
    for attempt in range(_TRIES):
        shrunk = max(low, side * _SHRINK ** max(0, attempt - _TRIES // 3))
        pose = next(row, None) or _pose(site, category, shrunk)
        if pose is None:
            continue
        found = mold.at(pose)
        if not low / _STRAIN <= found.side <= high * _STRAIN:
            continue
        item = site.settle(found, category, shape, colors)
        if item is None:
            continue
        if category in ("bridge", "overpass"):
            approaches(site, category, shape, pose.angle, found.outline)
        elif category == "expressway toll station":
            plaza(site, site.plan.of_kind("road")[0], pose)
        return item
    return None


def _pose(site: Site, category: str, side: float) -> Pose | None:
    """A place to try; None if there was none this time."""
    strips = site.plan.of_kind(*ROUTES.get(category, ()))
    needs_strip = category in ROUTES and category != "expressway service area"
    if strips and (needs_strip or site.rng.random() < 0.7):
        return along_strip(site, category, strips[site.rng.integers(len(strips))], side)
    if needs_strip:
        return None
    if category == "vehicle" and site.rng.random() < 0.7:
        return on_road(site, side)
    return free(site, category, side)
