"""The ground truth of a scene, asked whether what a phrase claims is so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from mgimm_plugin.data.scenes.overhead.text.mentions import Claims, Mention
from mgimm_plugin.data.scenes.overhead.text.relations import arguable, clear, extremes
from mgimm_plugin.data.scenes.scene import Scene, SceneObject

ATTRIBUTES: Final = ("category", "color", "shape", "size", "position")


def count_of(mention: Mention) -> int | None:
    """How many a phrase says there are; None where it does not tell."""
    return 1 if mention.number is None and mention.determiner in ("a", "another", "this") else mention.number


class Truth:
    """What is so in a scene.

    Args:
        scene: The scene; of the facts of its objects ``surface`` is used, the relations follow from boxes and outlines.
    """

    def __init__(self, scene: Scene) -> None:
        self.objects: tuple[SceneObject, ...] = scene.objects
        self.size = scene.image.width
        self.features = scene.facts.get("features", [])
        self.setting = scene.setting
        self._all = frozenset(range(len(self.objects)))
        self.counts = Counter(item.category for item in self.objects)
        self._with: dict[tuple[str, str], frozenset[int]] = {}
        for name in ATTRIBUTES:
            for value in {getattr(item, name) for item in self.objects}:
                having = (index for index, item in enumerate(self.objects) if getattr(item, name) == value)
                self._with[name, value] = frozenset(having)

    def common(self, claims: Claims) -> list[str]:
        """What is wrong with features and with the objects of relations, whatever the text is about."""
        problems = [
            f"there is no {direction or ''} {kind}"
            for kind, direction in claims.features
            if not any(
                feature.get("kind") == kind and direction in (None, feature.get("direction"))
                for feature in self.features
            )
        ]
        for mention in claims.mentions:
            count = len(self.matching(mention.category, mention.restrictive))
            if mention.role == "whole" and (mention.number not in (None, count) or not count):
                problems.append(f"{mention.text!r}: there are {count}")
            if mention.role == "object" and (count != 1 if mention.determiner == "the" else not count):
                problems.append(f"{mention.text!r} may be {count} objects")
        return problems

    def of_object(self, mention: Mention, about: int) -> list[str]:
        """What a phrase claims of one object and is not so."""
        item = self.objects[about]
        problems = [
            f"{name} is {getattr(item, name)}, not {value}"
            for name, value in mention.attributes.items()
            if getattr(item, name) != value
        ]
        if mention.category not in (None, item.category):
            problems.append(f"it is {item.category}, not {mention.category}")
        if mention.number not in (None, 1):
            problems.append(f"{mention.text!r} is not one")
        return problems + self.of_what_is_around(mention, about)

    def of_what_is_around(self, mention: Mention, about: int) -> list[str]:
        """What a phrase claims of an object's surface, relations and rank and is not so."""
        problems = []
        domain = self.matching(mention.category, mention.restrictive)
        surface = self.objects[about].facts.get("surface")
        if mention.surface not in (None, surface):
            problems.append(f"it stands on {surface}, not {mention.surface}")
        if mention.only and domain != [about]:
            problems.append(f"{mention.text!r} is not the only one")
        if mention.superlative and extremes(self.objects, domain, self.size).get(mention.superlative) != about:
            problems.append(f"{mention.text!r} is not clearly the {mention.superlative}")
        for predicate, other, _ in mention.relations:
            if not self.is_clear(predicate, about, other):
                problems.append(f"{mention.text!r} is not clearly {predicate} {other.text!r}")
        return problems

    def of_scene(self, mention: Mention) -> list[str]:
        """What a phrase claims of the scene and is not so."""
        problems = []
        if mention.items and mention.number is not None:
            parts = sum(count_of(item) or 0 for item in mention.items)
            if parts != mention.number:
                problems.append(f"{mention.text!r} are followed by {parts}")
        if mention.determiner == "the":
            return problems + self.of_those_meant(mention)
        fitting = self.fitting(mention)
        if mention.number is not None and not (mention.part and not mention.attributes):
            if len(fitting) != mention.number:
                problems.append(f"{mention.text!r} {mention.predicated or ''}: there are {len(fitting)}")
        elif not fitting:
            problems.append(f"there is no {mention.text!r} {mention.predicated or ''}")
        return problems

    def of_those_meant(self, mention: Mention) -> list[str]:
        """What is claimed of "the red ship", "the three ships" or "the largest ship" and is not so."""
        meant = self.matching(mention.category, mention.restrictive)
        if mention.superlative is not None:
            first = extremes(self.objects, meant, self.size).get(mention.superlative)
            if first is None:
                return [f"none is clearly {mention.text!r}"]
            meant = [first]
        elif mention.number is None and mention.plural:
            if not meant:
                return [f"{mention.text!r}: there are none"]
        elif len(meant) != (mention.number or 1):
            return [f"{mention.text!r}: there are {len(meant)}"]
        if len(meant) == 1:
            return self.of_object(mention, meant[0])
        fitting = self.fitting(mention)
        return [f"not all of {mention.text!r} are {mention.predicated}" for about in meant if about not in fitting]

    def matching(self, category: str | None, attributes: Mapping[str, str]) -> list[int]:
        """Indices of the objects of a category (any for None) with some attributes."""
        found = self._all if category is None else self._with.get(("category", category), frozenset())
        for pair in attributes.items():
            found = found & self._with.get(pair, frozenset())
        return sorted(found)

    def fitting(self, mention: Mention) -> list[int]:
        """Indices of the objects of which all that a phrase claims is so."""
        return [
            index
            for index in self.matching(mention.category, mention.attributes)
            if not self.of_what_is_around(mention, index)
        ]

    def might_be(self, mention: Mention) -> list[int]:
        """Indices of the objects that somebody might say a phrase means. What they stand on tells none apart."""
        found = self.matching(mention.category, mention.attributes)
        if mention.superlative is not None:
            first = extremes(self.objects, self.matching(mention.category, mention.restrictive), self.size)
            return [index for index in found if index == first.get(mention.superlative)]
        for predicate, other, _ in mention.relations:
            others = self.matching(other.category, other.restrictive)
            found = [
                index
                for index in found
                if any(
                    arguable(predicate, self.objects[index].box, self.objects[to].box) for to in others if to != index
                )
            ]
        return found

    def is_clear(self, predicate: str, about: int, other: Mention) -> bool:
        """Whether object ``about`` is clearly ``predicate`` one of those that a phrase may mean."""
        others = self.matching(other.category, other.restrictive)
        one = self.objects[about]
        return any(predicate in clear(one, self.objects[to], self.size) for to in others if to != about)
