"""Sentences that follow from a scene's ground truth. The patterns are data; the functions only fill them in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from numpy.random import Generator

from mgimm_plugin.data.scenes.mini.vocabulary import CATEGORIES, COLORS, POSITIONS, SHAPE_WORDS, SIZES
from mgimm_plugin.data.scenes.scene import SceneObject
from mgimm_plugin.data.wording import joined, plural

REGION_PATTERNS: Final = (
    "A {size} {color} {shape} {category} in the {position} of the image.",
    "The {position} of the image shows a {size} {color} {shape} {category}.",
    "In the {position} of the image there is a {shape} {category} that is {size} and {color}.",
    "This is a {color} {category}, {size} and {shape}, in the {position} of the image.",
    "The {category} in the {position} of the image is {color}, {shape} and {size}.",
)
"""Each names all five attributes of one object."""

REGION_WEIGHTS: Final = (0.4, 0.15, 0.15, 0.15, 0.15)
"""How often each pattern is the answer; the others are its references."""

SETTING_PATTERNS: Final = (
    "This is an overhead view of {setting}.",
    "The image shows {setting} from above.",
    "Seen from above is {setting}.",
)

SETTING_PHRASES: Final = {
    "farmland": "farmland with plowed fields",
    "desert": "a sandy desert",
    "water": "an area of open water",
    "asphalt": "a gray paved area",
    "grassland": "a green grassland",
}

COUNT_PATTERNS: Final = ("There are {counts}.", "It contains {counts}.", "On it one can see {counts}.")

OBJECT_PATTERNS: Final = (
    "a {size} {color} {shape} {category} is in the {position}",
    "in the {position} there is a {size} {color} {shape} {category}",
    "the {position} has a {size} {color} {shape} {category}",
)
"""Clauses about one object; a sentence joins one or two of the same pattern."""

NUMBER_WORDS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")

_BEFORE_VOWEL: Final = re.compile(r"\b([Aa]) (?=L-shaped|open|overhead)")


def fill(pattern: str, values: Mapping[str, str]) -> str:
    """The pattern with its names filled in, and "a" turned into "an" where the next word asks for it."""
    return _BEFORE_VOWEL.sub(r"\1n ", pattern.format_map(values))


def region_phrases(item: SceneObject, rng: Generator) -> list[str]:
    """Every way to describe one object, the drawn answer first; each names all five attributes."""
    first = int(rng.choice(len(REGION_PATTERNS), p=REGION_WEIGHTS))
    order = [first, *(i for i in range(len(REGION_PATTERNS)) if i != first)]
    return [fill(REGION_PATTERNS[i], item.attributes) for i in order]


def image_description(setting: str, objects: Sequence[SceneObject], rng: Generator) -> str:
    """A description of three to six sentences: the ground, the counts, then the objects in the given order."""
    sentences = [
        fill(_draw(SETTING_PATTERNS, rng), {"setting": SETTING_PHRASES[setting]}),
        fill(_draw(COUNT_PATTERNS, rng), {"counts": count_phrase(objects)}),
    ]
    for start in range(0, len(objects), 2):
        pattern = _draw(OBJECT_PATTERNS, rng)
        clauses = [fill(pattern, item.attributes) for item in objects[start : start + 2]]
        sentences.append(_capitalized(" and ".join(clauses)) + ".")
    return " ".join(sentences)


def count_phrase(objects: Sequence[SceneObject]) -> str:
    """Such as "three ships and two storage tanks", the most frequent category first."""
    names = [item.category for item in objects]
    ordered = sorted(set(names), key=lambda name: (-names.count(name), CATEGORIES.index(name)))
    counts = [
        f"{NUMBER_WORDS[names.count(name)]} {name if names.count(name) == 1 else plural(name)}" for name in ordered
    ]
    return joined(counts)


def parse_attributes(text: str) -> dict[str, str]:
    """The first word of each attribute that occurs in a phrase as a whole word; the inverse of ``region_phrases``."""
    words = {
        "category": CATEGORIES,
        "color": tuple(COLORS),
        "shape": SHAPE_WORDS,
        "size": SIZES,
        "position": tuple(word for row in POSITIONS for word in row),
    }
    found = {}
    for name, choices in words.items():
        match = re.search(rf"(?<![\w-])(?:{'|'.join(map(re.escape, choices))})(?![\w-])", text)
        if match:
            found[name] = match.group()
    return found


def _draw(patterns: Sequence[str], rng: Generator) -> str:
    return patterns[int(rng.integers(len(patterns)))]


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]
