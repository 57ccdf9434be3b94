"""Sentences made from measured attributes. The patterns are data, ``templates/phrases.json``.

In a pattern ``{name}`` stands for an attribute; what is in square brackets is left out where one of its names is
unknown, and a pattern with an unknown name outside them is not used. ``{thing}`` is the category with its adjectives.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from mgimm_plugin.data.drawing import drawn
from mgimm_plugin.data.prepare.naming import counted, with_articles
from mgimm_plugin.data.wording import joined, plural

REFERENCES: Final = 3
"""Other sentences that say the same of a region, kept as references, at most."""
TOLD: Final = 4
"""Objects that a description tells about one by one, at most."""

TELLING: Final = (
    (),
    ("color",),
    ("size",),
    ("shape",),
    ("position",),
    ("size", "color"),
    ("color", "position"),
    ("size", "position"),
    ("shape", "position"),
    ("size", "color", "position"),
)
"""Attributes that may tell an object from the others of its category, the fewest first."""

_NAME: Final = re.compile(r"\{(\w+)\}")
_OPTIONAL: Final = re.compile(r"\[([^\]]*)\]")
_SPACES: Final = re.compile(r"\s+")


def region_phrases(attributes: Mapping[str, str], key: str, *, seed: int = 0) -> list[str]:
    """Say what is known of an object by itself; the answer first, then other ways to say the same.

    Its neighbors are left out: another object's class in an answer then counts as a wrong one.

    Args:
        attributes: From ``attributes.measure``; ``category`` must be there.
        key: The record's id. What is chosen depends on key and seed alone.
        seed: Another seed gives another choice.
    """
    values = _values(attributes, key, seed)
    return _all_ways("region" if attributes.keys() - {"category", "relation"} else "category", values, key, seed)


def referring_expressions(
    attributes: Sequence[Mapping[str, str]], keys: Sequence[str], *, seed: int = 0
) -> list[list[str]]:
    """Refer to each object of an image with as few words as tell it from all others; not at all where none do.

    Args:
        attributes: Of all objects of one image, each with its ``category``.
        keys: The records' ids.
        seed: Another seed gives another choice.

    Returns:
        For each object the answer, and other ways to say the same; nothing for an object that none of ``TELLING``
        tells from the others. An unknown attribute of any object of a category tells none of them apart.
    """
    counts = [Counter(_told_by(item, names) for item in attributes) for names in TELLING]
    unknown = [{item["category"] for item in attributes if not item.keys() >= set(names)} for names in TELLING]
    found: list[list[str]] = []
    for item, key in zip(attributes, keys, strict=True):
        for names, count, vague in zip(TELLING, counts, unknown, strict=True):
            if item["category"] not in vague and count[_told_by(item, names)] == 1:
                kept = {name: item[name] for name in ("category", *names, "relation") if name in item}
                found.append(_all_ways("referring", _values(kept, key, seed), key, seed))
                break
        else:
            found.append([])
    return found


def _told_by(item: Mapping[str, str], names: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(item.get(name) for name in ("category", *names))


def _all_ways(kind: str, values: Mapping[str, str], key: str, seed: int) -> list[str]:
    usable = [pattern for pattern in _patterns()[kind] if values.keys() >= _required(pattern)]
    first = drawn(seed, kind, key) % len(usable)
    said = dict.fromkeys(_fill(pattern, values) for pattern in (*usable[first:], *usable[:first]))
    return list(said)[: 1 + REFERENCES]


def image_description(attributes: Sequence[Mapping[str, str]], key: str, *, seed: int = 0) -> str:
    """Describe an image by its objects: how many of what, where most of them are, and the first few one by one.

    Args:
        attributes: Of each object that has a category, the most notable first.
        key: The record's id. What is chosen depends on key and seed alone.
        seed: Another seed gives another choice.
    """
    counts = Counter(item["category"] for item in attributes)
    parts = [counted(count, words) for words, count in counts.most_common()]
    are = "is" if next(iter(counts.most_common()))[1] == 1 else "are"
    sentences = [_chosen("counts", {"counts": joined(parts), "are": are}, key, seed)]
    sentences += _gatherings(attributes, counts, key, seed)
    told = 0
    for number, item in enumerate(attributes):
        if told < TOLD and "position" in item and counts[item["category"]] <= 2:
            kind = "relation" if "relation" in item else "object"
            sentences.append(_chosen(kind, _values(item, f"{key}\0{number}", seed), f"{key}\0{number}", seed))
            told += 1
    return " ".join(sentences)


def _gatherings(attributes: Sequence[Mapping[str, str]], counts: Counter[str], key: str, seed: int) -> list[str]:
    """Where most objects of a category are, for categories of three objects and more."""
    sentences = []
    for words, count in counts.most_common():
        places = Counter(item["position"] for item in attributes if item["category"] == words and "position" in item)
        if count >= 3 and places and places.most_common(1)[0][1] > count / 2:
            values = {"categories": plural(words), "position": places.most_common(1)[0][0]}
            sentences.append(_chosen("gathered", values, f"{key}\0{words}", seed))
    return sentences


def _chosen(kind: str, values: Mapping[str, str], key: str, seed: int) -> str:
    usable = [pattern for pattern in _patterns()[kind] if values.keys() >= _required(pattern)]
    return _fill(usable[drawn(seed, kind, key) % len(usable)], values)


def _values(attributes: Mapping[str, str], key: str, seed: int) -> dict[str, str]:
    """The attributes, with the category's adjectives before it and the orientation as a clause."""
    patterns = _patterns()
    values = dict(attributes)
    order = patterns["adjectives"][drawn(seed, "adjectives", key) % len(patterns["adjectives"])]
    adjectives = _NAME.sub(lambda match: attributes.get(match[1], ""), order)
    # "another small ship", not "a small other ship".
    first = "other " if attributes["category"].startswith("other ") else ""
    values["thing"] = f"{first}{adjectives} {attributes['category'].removeprefix(first)}".strip()
    if "orientation" in attributes:
        clauses = patterns["orientation"][attributes["orientation"]]
        values["orientation"] = clauses[drawn(seed, "orientation", key) % len(clauses)]
    return values


def _fill(pattern: str, values: Mapping[str, str]) -> str:
    def optional(match: re.Match[str]) -> str:
        return match[1] if values.keys() >= set(_NAME.findall(match[1])) else ""

    text = _NAME.sub(lambda match: values[match[1]], _OPTIONAL.sub(optional, pattern))
    text = with_articles(_SPACES.sub(" ", text))
    return text[0].upper() + text[1:]


@lru_cache(maxsize=256)
def _required(pattern: str) -> frozenset[str]:
    return frozenset(_NAME.findall(_OPTIONAL.sub("", pattern)))


@lru_cache(maxsize=1)
def _patterns() -> dict[str, Any]:
    file = files("mgimm_plugin.data.prepare") / "templates" / "phrases.json"
    return dict(json.loads(file.read_bytes()))
