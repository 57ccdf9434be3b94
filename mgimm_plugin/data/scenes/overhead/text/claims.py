"""Is a text about a scene true, and does it say what it should? Read back against the ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from mgimm_plugin.data.scenes.overhead.text.mentions import Claims, Mention
from mgimm_plugin.data.scenes.overhead.text.reading import read
from mgimm_plugin.data.scenes.overhead.text.truth import ATTRIBUTES, Truth, count_of
from mgimm_plugin.data.scenes.scene import Scene, SceneTexts

MOST_MENTIONED: Final = 12
"""Descriptions of scenes with more objects may leave some out."""


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
        NamedObject(mention.category, count_of(mention), mention.attributes)
        for mention in read(text).mentions
        if mention.category is not None
    ]


def region_contradictions(claims: Claims, truth: Truth, about: int) -> list[str]:
    """What a description of object ``about`` claims and is not so, or should claim and does not."""
    problems = [*claims.problems, *truth.common(claims)]
    named: dict[str, str] = {}
    for mention in claims.mentions:
        if mention.role != "subject":
            continue
        problems += truth.of_object(mention, about)
        named |= mention.attributes | ({} if mention.category is None else {"category": mention.category})
    return problems + [f"does not name its {name}" for name in ATTRIBUTES if name not in named]


def referring_contradictions(claims: Claims, truth: Truth, about: int) -> list[str]:
    """What an expression for object ``about`` claims and is not so; also where another object fits it."""
    problems = [*claims.problems, *truth.common(claims)]
    subjects = [mention for mention in claims.mentions if mention.role == "subject"]
    if len(subjects) != 1:
        return [*problems, f"names {len(subjects)} objects instead of one"]
    problems += truth.of_object(subjects[0], about)
    others = [other for other in truth.might_be(subjects[0]) if other != about]
    return problems + [f"{subjects[0].text!r} may also be object {other}" for other in others]


def image_contradictions(claims: Claims, truth: Truth) -> list[str]:
    """What a description of a scene claims and is not so, or should claim and does not.

    It should name the setting and how many objects of each category there are.
    """
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


def unmentioned(claims: Claims, truth: Truth) -> list[int]:
    """Indices of objects that a description does not introduce by their own attributes."""
    candidates = [truth.fitting(mention) for mention in _introduced(claims)]
    owners = _matching(candidates)
    return [index for index in range(len(truth.objects)) if index not in owners]


def check_scene(scene: Scene, texts: SceneTexts) -> list[str]:
    """Read all that is said about a scene back against its ground truth.

    Returns:
        Every contradiction, with the text that it is in; empty where all is well.
    """
    found: list[str] = []
    truth = Truth(scene)

    def add(text: str, problems: Sequence[str]) -> None:
        found.extend(f"{problem} in: {text}" for problem in problems)

    for about, descriptions in enumerate(texts.regions):
        for text in descriptions:
            add(text, region_contradictions(read(text), truth, about))
    for about, expressions in enumerate(texts.referring):
        for text in expressions:
            add(text, referring_contradictions(read(text), truth, about))
    complete = 0
    for text in texts.image:
        claims = read(text)
        add(text, image_contradictions(claims, truth))
        complete += len(unmentioned(claims, truth)) == max(0, len(scene.objects) - MOST_MENTIONED)
    if 2 * complete < len(texts.image):
        found.append(f"only {complete} of {len(texts.image)} descriptions mention every object")
    for name, said in (("regions", texts.regions), ("referring", texts.referring)):
        if len(said) != len(scene.objects):
            found.append(f"{name}: texts for {len(said)} of {len(scene.objects)} objects")
    return found


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
