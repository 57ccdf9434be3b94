"""What is in a phrase, and which sentence of a description speaks of which region."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from mgimm_plugin.data.measures import POSITIONS, SIZES, position_word
from mgimm_plugin.data.scenes.overhead.vocabulary import CATEGORIES, COLORS, SHAPES
from mgimm_plugin.data.wording import plural
from mgimm_plugin.evaluate.attributes import compact, values_in
from mgimm_plugin.webpage.session import Row

_PLACES: Final = tuple(place for row in POSITIONS for place in row)
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "category": CATEGORIES,
    "color": tuple(COLORS),
    "shape": SHAPES,
    "size": SIZES,
    "position": _PLACES,
}
"""The words of the drawn scenes; a phrase in other words has no attributes in the table."""

_SENTENCE: Final = re.compile(r".+?(?:[.!?]+(?=\s)|\Z)\s*", flags=re.DOTALL)
"""A dot inside a number or an abbreviation ends none: 2.5, U.S."""


def attributes_of(phrase: str) -> dict[str, str]:
    """The attributes that a phrase names, where it names one value of them."""
    found = {}
    for name, words in WORDS.items():
        written = {compact(word): word for word in words}
        values = values_in(phrase, written)
        if len(values) == 1:
            found[name] = written[values.pop()]
    return found


def sentences_of(text: str) -> list[str]:
    """A text cut after each sentence; joined, they are the text again."""
    return _SENTENCE.findall(text)


def regions_of(sentence: str, rows: Sequence[Row], size: tuple[int, int]) -> list[int]:
    """The numbers of the regions that a sentence speaks of, by its words.

    A region is spoken of where the sentence has its class (the visitor's label, else the class that its phrase names),
    in the singular or plural; if the sentence names places, the region's place must be among them. A region without a
    class is spoken of where its place is named.

    Args:
        sentence: Of the description.
        rows: The regions.
        size: (width, height) of the image.
    """
    places = values_in(sentence, {compact(place) for place in _PLACES})
    numbers = []
    for number, row in enumerate(rows, 1):
        category = row.box.label or attributes_of(row.phrase).get("category", "")
        is_there = compact(position_word(row.box.bbox, *size)) in places
        named = bool(category) and bool(values_in(sentence, {compact(category), compact(plural(category))}))
        if (named and (is_there or not places)) or (not category and is_there):
            numbers.append(number)
    return numbers
