"""Are the attributes that a region is known to have named in its description, and no others?

Appearance (category, colour, shape) needs the pixels; geometry (size, position) follows from the box alone. The two are
kept apart, because a model that never looked at the image gets the second one right.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

APPEARANCE = ("category", "color", "shape")
GEOMETRY = ("size", "position")

_WORD = re.compile(r"[^\W_]+")

Vocabulary = Mapping[str, Mapping[str, str]]
"""For each attribute, its values without spaces and hyphens, in lower case, to how they were written first."""


def vocabulary(attributes: Iterable[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The values that each attribute takes in a data set.

    Args:
        attributes: The ``attributes`` of regions, name to value.
    """
    found: dict[str, dict[str, str]] = {}
    for named in attributes:
        for name, value in named.items():
            key = compact(value)
            if key:
                found.setdefault(name, {}).setdefault(key, value)
    return found


def values_in(text: str, values: Iterable[str]) -> set[str]:
    """Which values occur in a text as whole words.

    Case, spaces and hyphens do not matter ("storagetank" is found in "a Storage-Tank"). Where two values start at the
    same word the longer one is meant: "storage tank" is no "tank", "top left" is no "top"; its words are used up.

    Args:
        text: Any text.
        values: Values without spaces and hyphens, in lower case (the keys of a vocabulary).

    Returns:
        The values found.
    """
    return {value for value, _, _ in matches_in(words_of(text), set(values))}


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def matches_in(words: Sequence[str], values: Collection[str]) -> Iterator[tuple[str, int, int]]:
    """Where values occur among words, by the rules of ``values_in``.

    Args:
        words: From ``words_of``.
        values: Values without spaces and hyphens, in lower case.

    Yields:
        Each value in the order of the words, the position of its first word, and that after its last.
    """
    longest = max(map(len, values), default=0)
    start = 0
    while start < len(words):
        run, found, end = "", "", start + 1
        for stop in range(start + 1, len(words) + 1):
            run += words[stop - 1]
            if len(run) > longest:
                break
            if run in values:
                found, end = run, stop
        if found:
            yield found, start, end
        start = end


def check_attributes(
    text: str, attributes: Mapping[str, str], vocabulary: Vocabulary, references: Sequence[str] = ()
) -> dict[str, bool]:
    """Mark a description against what is known of its region.

    An attribute is right when its value occurs in the text and no other value of the same attribute does, but for those
    that a reference names too: "the overpass on the right of the toll station" is about an overpass. Words that name a
    category are used up: "a small vehicle" says nothing of a size where "small vehicle" is a category.

    Args:
        text: The description.
        attributes: The truth, name to value. Names other than those of ``APPEARANCE`` and ``GEOMETRY`` are left out.
        vocabulary: From ``vocabulary``, of the whole data set.
        references: Right descriptions of the same region.

    Returns:
        For each attribute whether it is right, appearance first.
    """
    categories = {*vocabulary.get("category", ()), compact(attributes.get("category", ""))} - {""}
    texts = [words_of(each) for each in (text, *references)]
    without_categories = [_used_up(words, categories) for words in texts]
    marks = {}
    for name in (*APPEARANCE, *GEOMETRY):
        key = compact(attributes.get(name, ""))
        if key:
            values = {*vocabulary.get(name, ()), key}
            named, *told = (
                {value for value, _, _ in matches_in(words, values)}
                for words in (texts if name == "category" else without_categories)
            )
            marks[name] = key in named and all(any(other in said for said in told) for other in named - {key})
    return marks


def _used_up(words: Sequence[str], values: Collection[str]) -> list[str]:
    """The words, with a word that no value has in place of each that is part of a match."""
    left = list(words)
    for _, start, stop in matches_in(words, values):
        left[start:stop] = [" "] * (stop - start)
    return left


def attribute_metrics(marks: Sequence[Mapping[str, bool]]) -> dict[str, float]:
    """Mean marks of a data set.

    Args:
        marks: One result of ``check_attributes`` per record; empty ones do not count.

    Returns:
        ``appearance_accuracy`` and ``geometry_accuracy``: over the records that have such attributes, the mean of each
        record's share of right ones. ``category_accuracy``, ``color_accuracy``, ...: the share of right ones by name.
        ``records_with_attributes``: how many records counted. A name that no record has is left out.
    """
    metrics: dict[str, float] = {}
    for group, names in (("appearance", APPEARANCE), ("geometry", GEOMETRY)):
        shares = [
            _mean([record[name] for name in names if name in record]) for record in marks if set(names) & set(record)
        ]
        if shares:
            metrics[f"{group}_accuracy"] = _mean(shares)
    for name in (*APPEARANCE, *GEOMETRY):
        right = [record[name] for record in marks if name in record]
        if right:
            metrics[f"{name}_accuracy"] = _mean(right)
    counted = sum(1 for record in marks if record)
    return {**metrics, "records_with_attributes": counted} if counted else {}


def compact(value: str) -> str:
    """A value without spaces and hyphens, in lower case, as the keys of a vocabulary are."""
    return "".join(words_of(value))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
