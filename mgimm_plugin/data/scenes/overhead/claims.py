"""Is a text about a scene true, and does it say what it should? Read back against the ground truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from mgimm_plugin.data.scenes.overhead.mentions import Claims, Mention
from mgimm_plugin.data.scenes.overhead.reading import read
from mgimm_plugin.data.scenes.overhead.relations import arguable, clear, extremes
from mgimm_plugin.data.scenes.scene import Scene, SceneObject, SceneTexts

MOST_MENTIONED: Final = 12
"""Descriptions of scenes with more objects may leave some out."""

_ATTRIBUTES: Final = ("category", "color", "shape", "size", "position")


class NamedObject(NamedTuple):
    """Objects that a text names.

    Attributes:
        category: One of ``vocabulary.CATEGORIES``.
        number: How many it says there are; 1 for "a ship", None for "ships".
        attributes: What it says of them: ``color``, ``shape``, ``size``, ``position``.
    """

    category: str
    number: int | None
    attributes: dict[str, str]


def named_objects(text: str) -> list[NamedObject]:
    """Every object that any text names, in order; what cannot be read is passed over.

    An object that is named twice is listed twice. "One of three ships" and "to the left of a ship" name ships too.
    """
    return [
        NamedObject(mention.category, _count(mention), mention.attributes)
        for mention in read(text).mentions
        if mention.category is not None
    ]


def region_contradictions(claims: Claims, scene: Scene, about: int) -> list[str]:
    """What a description of object ``about`` claims and is not so, or should claim and does not."""
    return _of_region(claims, _Truth(scene), about)


def referring_contradictions(claims: Claims, scene: Scene, about: int) -> list[str]:
    """What an expression for object ``about`` claims and is not so; also where another object fits it."""
    return _of_expression(claims, _Truth(scene), about)


def image_contradictions(claims: Claims, scene: Scene) -> list[str]:
    """What a description of a scene claims and is not so, or should claim and does not.

    It should name the setting and how many objects of each category there are.
    """
    return _of_description(claims, _Truth(scene))


def unmentioned(claims: Claims, scene: Scene) -> list[int]:
    """Indices of objects that a description does not introduce by their own attributes."""
    return _unmentioned(claims, _Truth(scene))


def _of_region(claims: Claims, truth: _Truth, about: int) -> list[str]:
    problems = [*claims.problems, *truth.common(claims)]
    named: dict[str, str] = {}
    for mention in claims.mentions:
        if mention.role != "subject":
            continue
        problems += truth.of_object(mention, about)
        named |= mention.attributes | ({} if mention.category is None else {"category": mention.category})
    return problems + [f"does not name its {name}" for name in _ATTRIBUTES if name not in named]


def _of_expression(claims: Claims, truth: _Truth, about: int) -> list[str]:
    problems = [*claims.problems, *truth.common(claims)]
    subjects = [mention for mention in claims.mentions if mention.role == "subject"]
    if len(subjects) != 1:
        return [*problems, f"names {len(subjects)} objects instead of one"]
    problems += truth.of_object(subjects[0], about)
    others = [other for other in truth.might_be(subjects[0]) if other != about]
    return problems + [f"{subjects[0].text!r} may also be object {other}" for other in others]


def _of_description(claims: Claims, truth: _Truth) -> list[str]:
    problems = [*claims.problems, *truth.common(claims)]
    if set(claims.settings) != {truth.setting}:
        problems.append(f"names the setting {claims.settings}, which is {truth.setting}")
    for mention in claims.mentions:
        if mention.role == "subject":
            problems += truth.of_scene(mention)
    introduced = _introduced(claims)
    for lost in _unmatched([truth.fitting(mention) for mention in introduced]):
        problems.append(f"{introduced[lost].text!r} is no object of its own")
    for category, number in truth.counts.items():
        if not any(_tells_count(mention, category, number) for mention in claims.mentions):
            problems.append(f"does not say that there are {number} of {category}")
    return problems


def _unmentioned(claims: Claims, truth: _Truth) -> list[int]:
    candidates = [truth.fitting(mention) for mention in _introduced(claims)]
    owners = _matching(candidates)
    return [index for index in range(len(truth.objects)) if index not in owners]


def check_scene(scene: Scene, texts: SceneTexts) -> list[str]:
    """Read all that is said about a scene back against its ground truth.

    Returns:
        Every contradiction, with the text that it is in; empty where all is well.
    """
    found: list[str] = []
    truth = _Truth(scene)

    def add(text: str, problems: Sequence[str]) -> None:
        found.extend(f"{problem} in: {text}" for problem in problems)

    for about, descriptions in enumerate(texts.regions):
        for text in descriptions:
            add(text, _of_region(read(text), truth, about))
    for about, expressions in enumerate(texts.referring):
        for text in expressions:
            add(text, _of_expression(read(text), truth, about))
    complete = 0
    for text in texts.image:
        claims = read(text)
        add(text, _of_description(claims, truth))
        complete += len(_unmentioned(claims, truth)) == max(0, len(scene.objects) - MOST_MENTIONED)
    if 2 * complete < len(texts.image):
        found.append(f"only {complete} of {len(texts.image)} descriptions mention every object")
    for name, said in (("regions", texts.regions), ("referring", texts.referring)):
        if len(said) != len(scene.objects):
            found.append(f"{name}: texts for {len(said)} of {len(scene.objects)} objects")
    return found


def _count(mention: Mention) -> int | None:
    return 1 if mention.number is None and mention.determiner in ("a", "another", "this") else mention.number


def _introduced(claims: Claims) -> list[Mention]:
    """Phrases that bring in an object of their own: "a red ship", "another"."""
    return [
        mention
        for mention in claims.mentions
        if mention.role == "subject"
        and mention.category is not None
        and mention.number is None
        and mention.determiner in ("a", "another")
    ]


def _tells_count(mention: Mention, category: str, number: int) -> bool:
    return (
        mention.category == category
        and mention.number == number
        and not mention.restrictive
        and not mention.part
        and (mention.determiner == "the" or mention.role == "whole" or not mention.predicated)
    )


def _matching(candidates: Sequence[Sequence[int]]) -> dict[int, int]:
    """Object to mention, as many as can have one each (augmenting paths)."""
    owners: dict[int, int] = {}

    def place(mention: int, seen: set[int]) -> bool:
        for index in candidates[mention]:
            if index not in seen:
                seen.add(index)
                if index not in owners or place(owners[index], seen):
                    owners[index] = mention
                    return True
        return False

    for mention in range(len(candidates)):
        place(mention, set())
    return owners


def _unmatched(candidates: Sequence[Sequence[int]]) -> Iterator[int]:
    placed = set(_matching(candidates).values())
    return (mention for mention, found in enumerate(candidates) if mention not in placed and found)


class _Truth:
    """What is so in a scene."""

    def __init__(self, scene: Scene) -> None:
        self.objects: tuple[SceneObject, ...] = scene.objects
        self.size = scene.image.width
        self.features = scene.facts.get("features", [])
        self.setting = scene.setting
        self._all = frozenset(range(len(self.objects)))
        self.counts = Counter(item.category for item in self.objects)
        self._with: dict[tuple[str, str], frozenset[int]] = {}
        for name in _ATTRIBUTES:
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
        domain = self.matching(mention.category, mention.restrictive)
        all_fit = self.matching(mention.category, mention.attributes)
        if mention.items and mention.number is not None:
            parts = sum(_count(item) or 0 for item in mention.items)
            if parts != mention.number:
                problems.append(f"{mention.text!r} are followed by {parts}")
        if mention.determiner == "the" or (mention.part and mention.superlative):
            if mention.number is not None or mention.superlative is None:
                wanted = 1 if mention.number is None else mention.number
                any_number = mention.number is None and mention.plural and domain
                if not any_number and len(domain) != wanted:
                    problems.append(f"{mention.text!r}: there are {len(domain)}")
            meant = domain
            if mention.superlative is not None:
                first = extremes(self.objects, domain, self.size).get(mention.superlative)
                meant = [] if first is None else [first]
                if first is None:
                    problems.append(f"none is clearly {mention.text!r}")
            for about in meant:
                problems += self.of_object(mention, about) if mention.number in (None, 1) else []
                if about not in all_fit:
                    problems.append(f"not all of {mention.text!r} are {mention.predicated}")
            return problems
        if mention.number is not None and not (mention.part and not mention.attributes):
            if len(all_fit) != mention.number:
                problems.append(f"{mention.text!r} {mention.predicated or ''}: there are {len(all_fit)}")
            return problems
        if not self.fitting(mention):
            problems.append(f"there is no {mention.text!r} {mention.predicated or ''}")
        return problems

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
