"""Which categories meet in a scene, and how many of each."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator

from mgimm_plugin.data.scenes.overhead.styles import Style
from mgimm_plugin.data.scenes.overhead.vocabulary import KINDS

MENUS: Final[dict[str, tuple[str, ...]]] = {
    "farmland": (
        "airplane", "baseball field", "bridge", "dam", "expressway service area", "expressway toll station",
        "golf field", "ground track field", "overpass", "train station", "vehicle", "windmill",
    ),
    "city": (
        "baseball field", "basketball court", "bridge", "ground track field", "overpass", "stadium", "tennis court",
        "train station", "vehicle", "expressway toll station",
    ),
    "forest": (
        "baseball field", "bridge", "dam", "golf field", "harbor", "ship", "tennis court", "windmill", "vehicle",
    ),
    "desert": (
        "airplane", "airport", "chimney", "expressway service area", "expressway toll station", "golf field",
        "overpass", "stadium", "storage tank", "vehicle", "windmill",
    ),
    "sea": ("bridge", "harbor", "ship", "windmill"),
    "airfield": ("airplane", "airport", "vehicle", "storage tank", "baseball field", "tennis court"),
    "port": ("bridge", "chimney", "harbor", "ship", "storage tank", "vehicle"),
    "industry": (
        "basketball court", "chimney", "dam", "expressway toll station", "overpass", "storage tank", "train station",
        "vehicle", "tennis court", "expressway service area",
    ),
}  # fmt: skip
"""What may occur in each setting."""

_EXCLUSIVE: Final = (
    frozenset({"bridge", "dam", "expressway toll station", "train station", "overpass"}),
    frozenset({"airport", "airplane", "golf field"}),
    frozenset({"stadium", "overpass", "airport"}),
)
"""Of each group one category at most is in a scene: its members want the ground for themselves."""

_WEIGHTS: Final[dict[str, float]] = {
    "airplane": 1.1,
    "airport": 3.8,
    "baseball field": 0.6,
    "basketball court": 1.6,
    "bridge": 0.57,
    "chimney": 0.46,
    "dam": 3.7,
    "expressway service area": 1.05,
    "expressway toll station": 3.6,
    "golf field": 2.5,
    "ground track field": 3.3,
    "harbor": 0.68,
    "overpass": 5.2,
    "ship": 0.36,
    "stadium": 6.0,
    "storage tank": 0.44,
    "tennis court": 0.6,
    "train station": 10.0,
    "vehicle": 0.32,
    "windmill": 0.26,
}
"""How readily a category is chosen, found by trial, so that all become about equally frequent."""

_FEW: Final[dict[str, int]] = {
    "airport": 3,
    "bridge": 3,
    "dam": 3,
    "expressway service area": 4,
    "expressway toll station": 3,
    "golf field": 3,
    "ground track field": 4,
    "harbor": 4,
    "overpass": 3,
    "stadium": 3,
    "train station": 3,
}
"""The most of a category in a scene, where it is not :data:`_MANY`."""

_MANY: Final = 7


class Wish(NamedTuple):
    """What a scene should have of a category: (color, shape) pairs, no two alike, and the side of the first."""

    category: str
    kinds: list[tuple[str, str]]
    side: float


def draw_wishes(rng: Generator, setting: str, style: Style) -> list[Wish]:
    """Categories for a scene, each at least twice, the ones that need most room first."""
    menu = MENUS[setting]
    count = int(rng.integers(style.objects[0], style.objects[1] + 1))
    different = int(rng.integers(1, max(2, min(4, count // 2) + 1)))
    chosen: list[str] = []
    while len(chosen) < different or sum(_most(name) for name in chosen) < count:
        left = [name for name in menu if name not in chosen and not _excluded(name, chosen)]
        if not left:
            break
        weights = np.array([_WEIGHTS[name] for name in left])
        chosen.append(left[rng.choice(len(left), p=weights / weights.sum())])
    numbers = dict.fromkeys(chosen, 2)
    while sum(numbers.values()) < count:
        open_ = [name for name in chosen if numbers[name] < _most(name)]
        if not open_:
            break
        numbers[open_[rng.integers(len(open_))]] += 1
    total = sum(numbers.values())
    wishes = [
        Wish(name, draw_kinds(rng, name, number), _side(rng, name, total, style)) for name, number in numbers.items()
    ]
    return sorted(wishes, key=lambda wish: -KINDS[wish.category].sides[0])


def _most(category: str) -> int:
    return _FEW.get(category, _MANY)


def _excluded(name: str, chosen: list[str]) -> bool:
    return any(name in group and group & set(chosen) for group in _EXCLUSIVE)


def _side(rng: Generator, category: str, total: int, style: Style) -> float:
    """A side within the category's range, so that ``total`` objects of it would not cover the frame."""
    low, high = KINDS[category].sides
    low, high = (low * (high / low) ** part for part in style.sides)
    high = max(min(high, (0.8 / total) ** 0.5), low * 1.1)
    return float(low * (high / low) ** rng.uniform(0, 1))


def draw_kinds(rng: Generator, category: str, number: int) -> list[tuple[str, str]]:
    """(color, shape) pairs, no two alike; often of one shape, sometimes of one color."""
    kind = KINDS[category]
    colors, shapes = list(rng.permutation(kind.colors)), list(rng.permutation(kind.shapes))
    theme = rng.random()
    if theme < 0.35 and number <= len(colors):
        shapes = shapes[:1]
    elif theme < 0.5 and number <= len(shapes):
        colors = colors[:1]
    pairs = [(str(color), str(shape)) for color in colors for shape in shapes]
    return [pairs[number] for number in rng.permutation(len(pairs))[: min(number, len(pairs))]]
