"""Which details stand where, once the objects have settled."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from mgimm_plugin.data.scenes.overhead.picture.details import Detail
from mgimm_plugin.data.scenes.overhead.place.plan import turn
from mgimm_plugin.data.scenes.overhead.place.site import Site
from mgimm_plugin.data.scenes.scene import RGB, Points

_HOUSES: Final = ((146, 104, 90), (122, 112, 106), (160, 146, 124), (104, 98, 96), (136, 118, 98), (168, 160, 148))
_HALLS: Final = ((150, 150, 146), (132, 136, 138), (166, 158, 142), (120, 122, 124), (146, 138, 128))
_STACKS: Final = ((138, 92, 78), (88, 104, 122), (132, 124, 108), (96, 112, 98), (150, 138, 116))
_ROCK: Final = (128, 116, 98)


class Rows(NamedTuple):
    """Buildings in rows over a patch.

    Attributes:
        kinds: Kinds of details, one of which is chosen for all of a patch.
        tints: Their colors.
        sides: Least and largest distance between them.
        share: How many of the places in the rows are taken.
        height: Their height, in the unit frame.
        often: How many of the patches have any.
    """

    kinds: tuple[str, ...]
    tints: tuple[RGB, ...]
    sides: tuple[float, float]
    share: float
    height: float
    often: float = 1.0


_PLANTS: Final = Rows(("hall",), _HALLS, (0.12, 0.22), 0.8, 0.05, 0.55)

_ROWS: Final[dict[tuple[str, str], Rows]] = {
    ("city", "pavement"): Rows(("house", "hall"), _HOUSES, (0.07, 0.12), 0.85, 0.05),
    ("industry", "concrete"): _PLANTS,
    ("industry", "pavement"): _PLANTS,
    ("port", "asphalt"): Rows(("hall",), _HALLS, (0.12, 0.2), 0.9, 0.05),
    ("port", "concrete"): Rows(("stack",), _STACKS, (0.05, 0.055), 0.92, 0.03),
}
"""What stands on patches, by setting and material."""

_TREES: Final[dict[str, dict[str, int]]] = {
    "farmland": {"grass": 16, "meadow": 22},
    "city": {"lawn": 60, "curb": 30},
    "forest": {"grass": 26, "meadow": 26},
    "desert": {"gravel": 6, "sand": 5},
    "sea": {"grass": 40, "meadow": 40},
    "airfield": {"grass": 14},
    "industry": {"lawn": 26},
}
"""How many trees are tried per setting and material."""


def furnish(site: Site) -> list[Detail]:
    """Trees, houses and the like of a place, clear of its objects and of what is not theirs.

    Args:
        site: With all its objects; what the details cover is taken off its free ground.
    """
    setting = site.plan.setting
    details: list[Detail] = []
    for number, patch in enumerate(site.plan.patches):
        if number and len(patch.polygon) == 4:
            details += _buildings(site, setting, number)
    if setting == "desert":
        details += _scatter(site, "rock", {"sand": 16, "gravel": 14}, (0.008, 0.03))
    if setting in ("farmland", "sea"):
        details += _hamlet(site)
    trees = _scatter(site, "tree", _TREES.get(setting, {}), (0.022, 0.05))
    return details + trees


def _scatter(site: Site, kind: str, counts: dict[str, int], sizes: tuple[float, float]) -> list[Detail]:
    """Round things at random on some materials, together in groups where they are trees."""
    rng = site.rng
    number = sum(counts.values())
    if not number:
        return []
    places = rng.uniform(0, 1, (number, 2))
    if kind == "tree":
        groups = rng.uniform(0, 1, (max(2, number // 7), 2))
        places = groups[rng.integers(len(groups), size=number)] + rng.normal(0, 0.07, (number, 2))
    diameters = rng.uniform(*sizes, number) * (0.55 if site.plan.setting == "desert" and kind == "tree" else 1)
    found = []
    for place, diameter in zip(places, diameters.tolist(), strict=True):
        if not site.is_free(place, diameter / 2) or site.patch_at(place).material not in counts:
            continue
        width = diameter * (1.0 if kind == "tree" else float(rng.uniform(0.6, 1.0)))
        height = float(rng.uniform(0.03, 0.07)) if kind == "tree" else diameter * 0.4
        found.append(Detail(kind, place, diameter, width, 0.0, None if kind == "tree" else _ROCK, height))
    return found


def _buildings(site: Site, setting: str, number: int) -> list[Detail]:
    """Buildings in rows over the rectangular patch of a number, where a setting has such on it."""
    rows = _ROWS.get((setting, site.plan.patches[number].material))
    if rows is None or site.rng.random() > rows.often:
        return []
    return _in_rows(site, number, rows)


def _in_rows(site: Site, number: int, wanted: Rows) -> list[Detail]:
    rng, patch = site.rng, site.plan.patches[number]
    kinds, tints, sides, share, height, _ = wanted
    origin, along, across = patch.polygon[0], patch.polygon[1] - patch.polygon[0], patch.polygon[3] - patch.polygon[0]
    length, width = float(np.hypot(*along)), float(np.hypot(*across))
    side = float(rng.uniform(*sides))
    columns, rows = int((length - 0.02) / side), int((width - 0.02) / (side * 0.8))
    kind = kinds[rng.integers(len(kinds))]
    gap = 0.004 if kind == "stack" else 0.022
    found = []
    for column in range(columns):
        for row in range(rows):
            if rng.random() > share:
                continue
            middle = origin + along * ((column + 0.5) / columns) + across * ((row + 0.5) / rows)
            long, wide = length / columns - gap, width / rows - gap
            if kind != "stack":
                long, wide = long * float(rng.uniform(0.75, 1)), wide * float(rng.uniform(0.7, 1))
            if min(long, wide) < 0.02 or np.abs(middle - 0.5).max() > 0.5 + side:
                continue
            tint = tints[rng.integers(len(tints))]
            detail = Detail(kind, middle, long, wide, patch.angle, tint, height * float(rng.uniform(0.6, 1.2)))
            if site.takes(detail.outline, number):
                found.append(detail)
    return found


def _hamlet(site: Site) -> list[Detail]:
    """Some houses together on a meadow."""
    rng = site.rng
    cells = site.middles(("grass",), 0.16)
    if not len(cells) or rng.random() < 0.35:
        return []
    middle = site.place_of(cells[rng.integers(len(cells))])
    angle = float(rng.uniform(0, 180))
    found = []
    for number in range(int(rng.integers(3, 7))):
        shift = np.array([number % 3 - 1.0, number // 3 - 0.5]) * 0.075 + rng.normal(0, 0.008, 2)
        at: Points = middle + shift @ turn(angle).T
        tint = _HOUSES[rng.integers(len(_HOUSES))]
        turned = angle + 90 * float(rng.integers(2))
        detail = Detail(
            "house", at, float(rng.uniform(0.045, 0.062)), float(rng.uniform(0.03, 0.04)), turned, tint, 0.03
        )
        if site.takes(detail.outline):
            found.append(detail)
    return found
