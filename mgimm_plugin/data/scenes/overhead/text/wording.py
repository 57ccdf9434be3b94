"""What can be said of each object of a scene, in words: what all kinds of texts share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache, cached_property
from itertools import combinations, permutations
from random import Random
from typing import Any, Final

from mgimm_plugin.data.scenes.overhead.text.grammar import read_data
from mgimm_plugin.data.scenes.overhead.text.relations import INVERSE, Relation, extremes, relations_of
from mgimm_plugin.data.scenes.scene import Scene, SceneObject
from mgimm_plugin.data.wording import joined

APPEARANCE = ("size", "color", "shape")
"""Attributes that may stand before a noun."""

_WAYS: Final = [
    [names for count in range(4) for names in combinations(order, count)] for order in permutations(APPEARANCE)
]


@cache
def words() -> dict[str, Any]:
    """The words of ``patterns/words.json``."""
    data: dict[str, Any] = read_data("words")
    return data


def one_of(choices: Sequence[str], rng: Random) -> str:
    """One of some texts."""
    return choices[int(rng.random() * len(choices))]


class Wording:
    """A scene with the words for its objects.

    Args:
        scene: The scene.
        rng: What chooses among words.
    """

    def __init__(self, scene: Scene, rng: Random) -> None:
        self.scene, self.rng = scene, rng
        self.objects: tuple[SceneObject, ...] = scene.objects
        self.size = scene.image.width
        self.members: dict[str, list[int]] = {}
        self.masks: dict[tuple[str, str], int] = {}
        for index, item in enumerate(self.objects):
            self.members.setdefault(item.category, []).append(index)
            for name, value in item.attributes.items():
                self.masks[name, value] = self.masks.get((name, value), 0) | 1 << index
        self._extremes: dict[int, dict[str, int]] = {}

    @cached_property
    def relations(self) -> tuple[tuple[Relation, ...], ...]:
        """All that is clear, by object."""
        if any("relations" not in item.facts for item in self.objects):
            return relations_of(self.objects, self.size)
        return tuple(
            tuple(Relation(found["predicate"], found.get("object")) for found in item.facts["relations"])
            for item in self.objects
        )

    def mask(self, item: SceneObject, names: Collection[str]) -> int:
        """Bits of the objects that share some attributes and the category with one."""
        mask = self.masks["category", item.category]
        for name in names:
            mask &= self.masks[name, getattr(item, name)]
        return mask

    def extremes(self, mask: int) -> dict[str, int]:
        """Which is the largest and so on of the objects of a mask."""
        if mask not in self._extremes:
            members = [index for index in range(len(self.objects)) if mask >> index & 1]
            self._extremes[mask] = extremes(self.objects, members, self.size)
        return self._extremes[mask]

    def number(self, count: int) -> str:
        """A number as a word; digits above twenty."""
        numbers: list[str] = words()["numbers"]
        return numbers[count] if count < len(numbers) else str(count)

    def names_of(self, index: int) -> tuple[str, ...]:
        """The fewest attributes, by chance one of several ways, that tell an object from all others."""
        item = self.objects[index]
        for names in self.ways():
            if self.mask(item, names) == 1 << index:
                return names
        return ()

    def is_told(self, index: int, names: Collection[str]) -> bool:
        """Whether some attributes tell an object from all others."""
        return self.mask(self.objects[index], names) == 1 << index

    def ways(self) -> list[tuple[str, ...]]:
        """Sets of attributes of appearance, the smaller ones first, else by chance."""
        return _WAYS[int(self.rng.random() * len(_WAYS))]

    def adjectives(self, item: SceneObject, names: Collection[str]) -> str:
        """Attributes as they stand before a noun, with a space at the end."""
        size = f"{words()['sizes'][item.size]} " if "size" in names else ""
        color = f"{item.color} " if "color" in names else ""
        shape = f"{item.shape} " if "shape" in names else ""
        if shape and color and self.can_stand_alone(item) and self.rng.random() < 0.4:
            return size + shape + color
        return size + color + shape

    def noun(self, item: SceneObject, names: Collection[str]) -> str:
        """Such as "small red ship"."""
        return self.adjectives(item, names) + item.category

    def one(self, item: SceneObject, names: Collection[str]) -> str:
        """Such as "small red one"; the noun where "one" would sound odd."""
        adjectives = self.adjectives(item, names)
        return adjectives + ("one" if adjectives and not adjectives.endswith("double ") else item.category)

    def told_by(self, index: int, names: Collection[str]) -> str:
        """Such as "the red ship"."""
        return f"the {self.noun(self.objects[index], names)}"

    def can_stand_alone(self, item: SceneObject) -> bool:
        """Whether "is round" can be said of its shape: nothing is "is double-deck"."""
        return item.shape not in words()["shapes_beside_the_name"]

    def said_of(self, item: SceneObject, names: Collection[str]) -> str:
        """Such as "red, small and pointed"."""
        return joined([words()["sizes"][item.size] if name == "size" else getattr(item, name) for name in names])

    def surface(self, item: SceneObject) -> str | None:
        """Such as "on the water"."""
        surface = item.facts.get("surface")
        special = words()["surfaces_of"].get(item.category, {})
        phrases = special.get(surface) or words()["surfaces"].get(surface)
        return one_of(phrases, self.rng) if phrases else None

    def relation(self, predicate: str) -> str:
        """Such as "to the left of"."""
        return one_of(words()["relations"][predicate], self.rng)

    def its_side(self, predicate: str) -> str:
        """Where the other is that something is ``predicate``: "to its right" for ``left of``."""
        return one_of(words()["its_sides"][INVERSE[predicate]], self.rng)
