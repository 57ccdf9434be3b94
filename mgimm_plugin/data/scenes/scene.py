"""A scene: the truth about its objects, its picture, what is said about it, and what it is drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mgimm_plugin.data.record_types import Box, Polygon

Points = NDArray[np.float64]
"""``[P, 2]``: ``x, y`` of each."""

RGB = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """One object with the truth about it.

    Attributes:
        category: Its class. Category, color and shape need the pixels.
        color: Word for its color.
        shape: Word for its shape.
        size: Word that follows from the box.
        position: Word that follows from the box.
        box: xyxy in pixels of the scene: the exact box around what is drawn of it, its shadow apart.
        polygon: Its outline.
        facts: More that is true of it, as JSON (what it stands on, its relations); written into its region.
    """

    category: str
    color: str
    shape: str
    size: str
    position: str
    box: Box
    polygon: Polygon | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def attributes(self) -> dict[str, str]:
        """``category``, ``color``, ``shape`` (the pixels tell) and ``size``, ``position`` (the box tells)."""
        return {name: getattr(self, name) for name in ("category", "color", "shape", "size", "position")}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One scene.

    Attributes:
        setting: What kind of place it is, one of ``vocabulary.SETTINGS``.
        objects: Its objects in reading order: by row of the 3 x 3 grid, then from left to right.
        image: The picture, RGB, square.
        facts: More that is true of the scene, as JSON; written into its image record.
    """

    setting: str
    objects: tuple[SceneObject, ...]
    image: Image.Image
    facts: dict[str, Any] = field(default_factory=dict)


class SceneTexts(NamedTuple):
    """What is said about a scene, each time the answer first and then its further references.

    Attributes:
        regions: For each object, descriptions that name all its attributes.
        image: Descriptions of the whole.
        referring: For each object, short expressions that are true of it alone; none where no words tell it apart.
    """

    regions: list[list[str]]
    image: list[str]
    referring: list[list[str]]


def random_source(seed: int, index: int, purpose: int) -> np.random.Generator:
    """The one source of randomness of scene ``index``: the same in every process, in any order.

    Args:
        seed: Seed of the whole set.
        index: Number of the scene.
        purpose: Keeps the draws of layout, pixels and text apart.
    """
    return np.random.default_rng([seed, index, purpose])


_SPLITS = ("train", "val", "test")
_SEEDS_OF_A_SPLIT = 1_000_000


def split_seed(split: str, seed: int) -> int:
    """The seed of a split's set ``seed``: train has the first million seeds, val the next, test the one after.

    Args:
        split: ``train``, ``val`` or ``test``.
        seed: From 0 to 999,999.

    Raises:
        ValueError: There is no such split, or the seed would be one of the next split.
    """
    if split not in _SPLITS or not 0 <= seed < _SEEDS_OF_A_SPLIT:
        raise ValueError(f"no set {seed} of {split!r}: splits are {', '.join(_SPLITS)}, each with a million seeds")
    return _SPLITS.index(split) * _SEEDS_OF_A_SPLIT + seed


def split_of(seed: int) -> str:
    """The split that a seed of ``generate_scene`` belongs to; seeds beyond those of the test split are its too."""
    return _SPLITS[min(seed // _SEEDS_OF_A_SPLIT, len(_SPLITS) - 1)]
