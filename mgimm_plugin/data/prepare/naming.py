"""Class names as words: ``Expressway-Service-area`` is an expressway service area, and three are three ... areas."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Final

from mgimm_plugin.data.wording import plural, singular

_BOUNDARY: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s_\-/]+")
_OTHER: Final = re.compile(r"\b[Aa](?:nother)? other\b")
_ARTICLE: Final = re.compile(r"\b([Aa]) (?=([^\W\d_]+))")
# "a one-way road", "a unit", "a u-shaped harbor": written with a vowel, spoken with a consonant.
_SPOKEN_WITH_CONSONANT: Final = re.compile(r"one|uni|use|u$")
_LETTERS_SPOKEN_WITH_VOWEL: Final = frozenset("AEFHILMNORSX")
_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@lru_cache(maxsize=4096)
def category_words(category: str) -> str:
    """Write a class name as words: hyphens, underscores and camel case are taken apart, run-together names looked up.

    All-capital words stay as they are (``SUV``); everything else is in lower case. A name without a letter is
    returned as it is.
    """
    key = "".join(re.findall(r"[^\W_]+", category)).lower()
    if key in _table():
        return _table()[key]
    words = [word for word in _BOUNDARY.split(category) if word]
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words) or category


@lru_cache(maxsize=4096)
def object_words(category: str) -> str:
    """What one object of a class is called: ``Solar_panels`` are solar panels, and one is a solar panel."""
    return singular(category_words(category))


def counted(count: int, words: str) -> str:
    """``one ship``, ``two ships``, ``12 ships``."""
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{number} {words if count == 1 else plural(words)}"


def with_articles(text: str) -> str:
    """Turn ``a`` into ``an`` where the next word asks for it, and ``a other`` into ``another``."""
    text = _OTHER.sub(lambda match: "Another" if match[0][0] == "A" else "another", text)
    return _ARTICLE.sub(lambda match: f"{match[1]}n " if _takes_an(match[2]) else match[0], text)


def _takes_an(word: str) -> bool:
    if word.isupper() and (len(word) <= 3 or not set("AEIOU") & set(word)):  # spelled: an SUV, a UAV, an LNG tank
        return word[0] in _LETTERS_SPOKEN_WITH_VOWEL
    return word[0] in "aeiouAEIOU" and not _SPOKEN_WITH_CONSONANT.match(word)


@lru_cache(maxsize=1)
def _table() -> dict[str, str]:
    file = files("mgimm_plugin.data.prepare") / "templates" / "categories.json"
    return dict(json.loads(file.read_bytes()))
