"""Nouns with their numbers, and lists: the words that reports, converters and scenes share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_SAME_PLURAL: Final = frozenset({"aircraft", "people", "sheep"})
_SINGULAR_IN_S: Final = frozenset({"atlas", "canvas", "gas", "lens"})
_IRREGULAR: Final = {"person": "people", "man": "men", "woman": "women", "child": "children"}


def plural(words: str) -> str:
    """The plural of a noun of one or more words; its last word changes. What is a plural already stays."""
    *head, last = words.split(" ")
    if last in _SAME_PLURAL or _is_plural(last):
        return words
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif re.search(r"[^aeiou]y$", last):
        last = last[:-1] + "ies"
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        last += "es"
    else:
        last += "s"
    return " ".join((*head, last))


def _is_plural(word: str) -> bool:
    """Whether a word is a plural by its ending: ships, buses, areas, women; but bus, gas, grass and tennis are none."""
    word = word.lower()
    ends_in_s = word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return (ends_in_s and word not in _SINGULAR_IN_S) or word in _IRREGULAR.values()


def counted(number: int, one: str, several: str | None = None) -> str:
    """``1 box``, ``2,000 boxes``: a number and the noun that goes with it; ``several`` where the plural is another."""
    return f"{number:,} {one if number == 1 else several or plural(one)}"


def joined(parts: Sequence[str]) -> str:
    """Such as "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
