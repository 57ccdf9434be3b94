"""Which objects does a description of an image name, which are there, and which of these does it leave out?

The rates are those of CHAIR (Rohrbach et al., EMNLP 2018), with the categories of a file in place of COCO's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from mgimm_plugin.data.measures import SIZES, relative_side, size_word
from mgimm_plugin.data.prepare.naming import category_words
from mgimm_plugin.data.wording import plural, singular
from mgimm_plugin.evaluate.attributes import compact, matches_in, words_of

if TYPE_CHECKING:
    from mgimm_plugin.data.records import Record

OBJECT_METRICS: Final = ("object_precision", "object_recall", "hallucination_rate", "hallucinated_descriptions")
DENSITIES: Final = ("up_to_3", "4_to_8", "9_or_more")
"""Numbers of regions that scores are broken down by."""

_CLAUSE: Final = re.compile(r"[.,;:!?()\n]+")
_NO: Final = frozenset({"no", "without", "neither", "nor", "zero"})
_NOT: Final = frozenset({"not", "t"})  # "not a ship", "there aren't any ships"; but "not far from a ship" names it
_ANY: Final = frozenset({"a", "an", "any"})
# What follows these is said to be there: "no ship but a harbor", "no fewer than three ships".
_AFFIRMING: Final = frozenset({"and", "but", "than", "only", "with"})
# "no large red ships": how many words may stand between the negation and the object.
_REACH: Final = 3


@dataclass(frozen=True)
class NamedCategories:
    """The words for the categories of a file.

    Attributes:
        names: Each spelling, without spaces and in lower case, to the category's name in words.
    """

    names: Mapping[str, str]

    @classmethod
    def of(cls, categories: Iterable[str]) -> NamedCategories:
        """Take in how each category may be written: as the file has it, in words, one, several, synonyms.

        A spelling that is another category's own is that one's. A synonym that several categories of the file share
        is none's: where a file has airplanes and fighter aircraft, each has its own name only.

        Args:
            categories: Class names as in ``Region.category``, repeated at will.
        """
        own: dict[str, str] = {}
        written: dict[str, str] = {}
        for category in dict.fromkeys(categories):
            words = category_words(category)
            written[category] = own.setdefault(compact(words), words)
        for category, name in written.items():
            own.setdefault(compact(category), name)
        synonyms: dict[str, str] = {}
        for group in _synonyms():
            meant = {own[compact(words)] for words in group if compact(words) in own}
            if len(meant) == 1:
                synonyms |= {words: next(iter(meant)) for words in group}
        names = dict(own)
        for words, name in {**written, **{name: name for name in own.values()}, **synonyms}.items():
            for spelling in (words, plural(words), singular(words)):
                names.setdefault(compact(spelling), name)
        names.pop("", None)  # a category without a letter or digit
        return cls(names)

    def name(self, category: str) -> str:
        """The one name of a category of the file, however it is written there."""
        return self.names.get(compact(category), category)

    def mentions(self, text: str) -> list[str]:
        """Name the categories that a text says are there, in order, one for each mention.

        Names are matched as whole words, the longest first, as attributes are. Mentions that the same clause denies
        ("no ships", "without ships and bridges", "not a ship") are left out.
        """
        found = []
        for clause in _CLAUSE.split(text):
            words, end, denied = words_of(clause), 0, False
            for spelling, start, stop in matches_in(words, self.names):
                between = words[end:start]
                denied = _denies(between) or (denied and _shares_denial(between))
                if not denied:
                    found.append(self.names[spelling])
                end = stop
        return found


def check_objects(text: str, record: Record, categories: NamedCategories) -> dict[str, list[str]]:
    """Compare what a description names with what is there.

    Args:
        text: The description.
        record: Its record. All its regions count as being there, whether the question has them or not.
        categories: Of the whole file.

    Returns:
        ``named``: the category of each mention, in order; ``not_there``: those of them that the image has not;
        ``missing``: categories that the image has and no mention names. Empty for a record that does not show the
        whole image, or has no regions, or a region without category: what is there is not known then.
    """
    there = [categories.name(region.category) for region in record.regions if region.category]
    if not record.has_image_token or not there or len(there) < len(record.regions):
        return {}
    named = categories.mentions(text)
    return {
        "named": named,
        "not_there": [name for name in named if name not in there],
        "missing": [name for name in dict.fromkeys(there) if name not in named],
    }


def object_metrics(
    marks: Sequence[Mapping[str, list[str]]], records: Sequence[Record], categories: NamedCategories
) -> dict[str, Any]:
    """Rates of a data set; sums over all descriptions, not means of their rates.

    Args:
        marks: One result of ``check_objects`` per record; empty ones do not count.
        records: Their records.
        categories: Of the whole file.

    Returns:
        Each of ``OBJECT_METRICS``, None where it cannot be said, with ``object_metrics_reason``;
        ``records_with_objects``: how many records counted; ``object_recall_small`` and so on by the largest box of a
        category in its image; ``object_recall_<density>`` and ``hallucination_rate_<density>`` by ``DENSITIES``.
        Sizes and densities that no record has are left out.
    """
    counted = [(mark, record) for mark, record in zip(marks, records, strict=True) if mark]
    if not counted:
        reason = "no record shows the whole image and has a category for each of its regions"
        return {**dict.fromkeys(OBJECT_METRICS), "object_metrics_reason": reason, "records_with_objects": 0}
    metrics = _rates([mark for mark, _ in counted])
    named = metrics["hallucination_rate"] is not None
    metrics["object_metrics_reason"] = None if named else "no description names an object"
    metrics["records_with_objects"] = len(counted)
    hits: dict[str, list[bool]] = {}
    for mark, record in counted:
        for name, size in _sizes(record, categories).items():
            hits.setdefault(size, []).append(name not in mark["missing"])
    metrics |= {f"object_recall_{size}": sum(hits[size]) / len(hits[size]) for size in SIZES if size in hits}
    for density in DENSITIES:
        some = _rates([mark for mark, record in counted if _density(record) == density])
        for name in ("object_recall", "hallucination_rate"):
            if some[name] is not None:
                metrics[f"{name}_{density}"] = some[name]
    return metrics


def _rates(marks: Sequence[Mapping[str, list[str]]]) -> dict[str, Any]:
    mentions = sum(len(mark["named"]) for mark in marks)
    wrong = sum(len(mark["not_there"]) for mark in marks)
    named = sum(len(set(mark["named"])) for mark in marks)
    right = sum(len(set(mark["named"]) - set(mark["not_there"])) for mark in marks)
    missing = sum(len(mark["missing"]) for mark in marks)
    return {
        "object_precision": right / named if named else None,
        "object_recall": right / (right + missing) if marks else None,
        "hallucination_rate": wrong / mentions if mentions else None,
        "hallucinated_descriptions": sum(1 for mark in marks if mark["not_there"]) / len(marks) if marks else None,
    }


def _sizes(record: Record, categories: NamedCategories) -> dict[str, str]:
    """The size of the largest object of each category; nothing where the record does not say how large its image is."""
    if not record.width or not record.height:
        return {}
    frame = (record.width, record.height)
    regions = sorted(record.regions, key=lambda region: relative_side(region.bbox, *frame))
    return {categories.name(region.category or ""): size_word(region.bbox, *frame) for region in regions}


def _density(record: Record) -> str:
    return DENSITIES[sum(len(record.regions) > most for most in (3, 8))]


def _denies(between: Sequence[str]) -> bool:
    """Whether the words before a name say that it is not there."""
    for distance, word in enumerate(reversed(between)):
        joins = word == "and" and distance == 0  # "no cars and ships", where cars are no category of the file
        if (word in _AFFIRMING and not joins) or distance > _REACH:
            return False
        following = between[len(between) - distance :]
        if word in _NO or (word in _NOT and following[:1] and following[0] in _ANY):
            return True
    return False


def _shares_denial(between: Sequence[str]) -> bool:
    """Whether the words after a name that is denied deny the next one too.

    "No ships or large bridges" and "no ships and bridges" do; in "no ships and a bridge", the bridge is there.
    """
    return list(between) == ["and"] or ("or" in between and not _AFFIRMING & set(between))


@lru_cache(maxsize=1)
def _synonyms() -> list[list[str]]:
    return list(json.loads((files("mgimm_plugin.evaluate") / "synonyms.json").read_bytes()))
