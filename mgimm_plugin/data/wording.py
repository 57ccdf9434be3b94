"""Nouns with their numbers, and lists: the words that reports, converters and scenes share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_SAME_PLURAL: Final = frozenset(
    {
        *("aircraft", "barracks", "crossroads", "headquarters", "news", "series", "sheep", "species", "waterworks"),
        *("woods", "works"),
    }
)
_SINGULAR_IN_S: Final = frozenset({"atlas", "canvas", "gas", "lens"})
_IRREGULAR: Final = {"person": "people", "man": "men", "woman": "women", "child": "children"}
_SINGULAR_OF: Final = {several: one for one, several in _IRREGULAR.items()} | {
    "avalanches": "avalanche", "caches": "cache", "causes": "cause", "cookies": "cookie", "leaves": "leaf",
    "movies": "movie", "niches": "niche", "shelves": "shelf", "wharves": "wharf", "wolves": "wolf",
}  # fmt: skip


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


def singular(words: str) -> str:
    """The singular of a noun of one or more words; its last word changes. What is a singular already stays.

    All-capital words stay, too: ``GPS`` is no plural.
    """
    *head, last = words.split(" ")
    if last in _SAME_PLURAL or last.isupper() or not _is_plural(last):
        return words
    if last in _SINGULAR_OF:
        last = _SINGULAR_OF[last]
    elif re.search(r"..[^aeiou]ies$", last):
        last = last[:-3] + "y"
    elif re.search(r"(ch|sh|ss|x|zz|[^o]us)es$", last) or last[:-2] in _SINGULAR_IN_S:
        last = last[:-2]
    else:
        last = last[:-1]
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
