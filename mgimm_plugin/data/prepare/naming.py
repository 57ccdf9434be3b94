"""Class names as words: ``Expressway-Service-area`` is an expressway service area, and three are three ... areas."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Final

from mgimm_plugin.data.wording import plural

_BOUNDARY: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s_\-/]+")
_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
# "a one-way road", "a unit", "a U-shaped harbor": written with a vowel, spoken with a consonant.
_ARTICLE: Final = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])(?!one|uni|use|u-|U-|U )")


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


def counted(count: int, words: str) -> str:
    """``one ship``, ``two ships``, ``12 ships``."""
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{number} {words if count == 1 else plural(words)}"


def with_articles(text: str) -> str:
    """Turn ``a`` into ``an`` where the next word asks for it."""
    return _ARTICLE.sub(r"\1n ", text)


@lru_cache(maxsize=1)
def _table() -> dict[str, str]:
    file = files("mgimm_plugin.data.prepare") / "templates" / "categories.json"
    return dict(json.loads(file.read_bytes()))
