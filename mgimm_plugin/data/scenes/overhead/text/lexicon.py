"""What the words of a text about an overhead scene mean, whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from mgimm_plugin.data.measures import POSITIONS, SIZES
from mgimm_plugin.data.scenes.overhead.text.grammar import read_data
from mgimm_plugin.data.scenes.overhead.vocabulary import CATEGORIES, COLORS, SHAPES
from mgimm_plugin.data.wording import plural

POSITION_WORDS: Final = tuple(word for row in POSITIONS for word in row)

_WORD: Final = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*|[^\sa-z0-9]")
_END: Final = "\0"
_FRAMES: Final = ("image", "scene", "picture", "view")


class Token(NamedTuple):
    """A word or a phrase.

    Attributes:
        kind: What it is: ``category``, ``color``, ``relation``, ``verb``, ``and``, ``unknown``, ...
        value: Which of its kind.
        text: As it was written, in lower case.
    """

    kind: str
    value: Any
    text: str


def tokens_of(text: str) -> list[Token]:
    """Cut a text into the longest phrases that are known; a word that is in none is ``unknown``."""
    words = _WORD.findall(text.lower())
    known = _phrases()
    found: list[Token] = []
    start, count = 0, len(words)
    while start < count:
        node: dict[str, Any] = known
        best: tuple[str, Any] = ("unknown", words[start])
        length = 1
        for stop in range(start, count):
            if words[stop] not in node:
                break
            node = node[words[stop]]
            if _END in node:
                best, length = node[_END], stop - start + 1
        found.append(Token(*best, " ".join(words[start : start + length])))
        start += length
    return found


@cache
def _phrases() -> dict[str, Any]:
    """Every known phrase as a tree of its words."""
    tree: dict[str, Any] = {}
    for phrase, kind, value in (*_from_vocabulary(), *_from_data()):
        node = tree
        for word in _WORD.findall(phrase.lower()):
            node = node.setdefault(word, {})
        node.setdefault(_END, (kind, value))
    return tree


def _from_vocabulary() -> Iterator[tuple[str, str, Any]]:
    for category in CATEGORIES:
        for spelling in (category, category.replace(" ", ""), category.replace(" ", "-")):
            yield spelling, "category", category
            yield plural(spelling), "categories", category
    for kind, words in (("color", COLORS), ("shape", SHAPES), ("size", SIZES)):
        for word in words:
            yield word, kind, word
    for word in POSITION_WORDS:
        for before in ("in the ", "at the ", "the ", ""):
            for after in ("", *(f" of the {frame}" for frame in _FRAMES)):
                yield f"{before}{word}{after}", "position", word
    for number in range(21, 100):
        yield str(number), "number", number


def _from_data() -> Iterator[tuple[str, str, Any]]:
    words = read_data("words")
    for size, attributive in words["sizes"].items():
        yield attributive, "size", size
    for number, word in enumerate(words["numbers"]):
        yield word, "one" if number == 1 else "number", number
        yield str(number), "number", number
    yield "ones", "ones", None
    for section, kind in (
        ("settings", "setting"), ("relations", "relation"), ("its_sides", "side"), ("superlatives", "superlative"),
        ("farthest", "farthest"), ("surfaces", "surface"), ("directions", "direction"), ("spans", "direction"),
    ):  # fmt: skip
        yield from _section(words[section], kind)
    for phrases in words["surfaces_of"].values():
        yield from _section(phrases, "surface")
    for feature, phrase in words["features"].items():
        yield phrase, "feature", feature
        if phrase.startswith("a "):
            yield f"the {phrase[2:]}", "feature", feature
        elif not phrase.startswith("an "):
            yield f"the {phrase}", "feature", feature
    for kind, phrases in read_data("lexicon").items():
        for phrase in phrases:
            yield phrase, kind, phrase
    yield "the other", "det", "another"
    for mark in ".;:,":
        yield mark, mark, mark
    yield from ((mark, ".", mark) for mark in "!?")


def _section(values: dict[str, Iterable[str]], kind: str) -> Iterator[tuple[str, str, Any]]:
    for value, phrases in values.items():
        for phrase in phrases:
            yield phrase, kind, value
