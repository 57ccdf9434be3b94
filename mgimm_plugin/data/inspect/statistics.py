"""Counts over files of records: images, boxes, classes, attributes and texts, in one pass."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.formats import format_of
from mgimm_plugin.data.inspect.distribution import Distribution
from mgimm_plugin.data.inspect.on_disk import SeenObjects, SeenTexts, temporary_database
from mgimm_plugin.data.inspect.problems import misplaced_regions, told_size
from mgimm_plugin.data.inspect.reading import entries
from mgimm_plugin.data.inspect.tokens import TokenCounter
from mgimm_plugin.data.measures import POSITIONS, SIZES, position_word, relative_side, size_word
from mgimm_plugin.data.records import Record, Region, parse_record
from mgimm_plugin.errors import RecordError

HEAT_CELLS: Final = 24
"""Cells along a side of the map of box middles; a multiple of the three of ``POSITIONS``."""

SIDE_EDGES: Final = tuple(2.0 ** (step / 2) for step in range(-16, 1))
ASPECT_EDGES: Final = tuple(2.0 ** ((step - 0.5) / 2) for step in range(-6, 8))
"""Half octaves: of the relative side from 1/256 to 1, of width over height from 1/8 to 8, a bin around the square."""

_LARGEST_SIDE = 1e9
"""Pixels; a box may be written with any number."""

_SHOWN_WORDS = 40
_SHOWN_TEXTS = 20
_SENTINEL = re.compile(r"<(?:image|region)>")
_WORD = re.compile(r"\w+(?:['’-]\w+)*")
FUNCTION_WORDS: Final = frozenset(
    [
        *("a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "has", "have", "how"),
        *("in", "is", "it", "its", "of", "on", "one", "or", "so", "some", "that", "the", "their", "there", "these"),
        *("this", "to", "was", "were", "what", "where", "which", "who", "with"),
    ]
)
"""Left out of the most frequent words; they say nothing about a dataset."""


def collect_statistics(
    files: Iterable[str | Path], *, tokenizer: str | Path | None = None, progress: bool = False
) -> dict[str, Any]:
    """Count over files of records as one dataset; docs/inspecting.md names the fields of the result.

    Args:
        files: JSON arrays or JSONL; of JSONL one line is in memory at a time.
        tokenizer: Folder or Hub id of a tokenizer, for lengths in its tokens.
        progress: Show a bar on standard error.

    Returns:
        Numbers, texts, lists and dictionaries of them, ready for JSON. Objects are distinct boxes of an image: a box
        that several records share counts once.

    Raises:
        RecordError: A file as a whole cannot be read.
        MgimmError: The tokenizer cannot be loaded, or the disk of the temporary folder is full.
    """
    counter = None if tokenizer is None else TokenCounter(tokenizer)
    paths = [Path(file) for file in files]
    with temporary_database() as database:
        records, objects = _Records(), _Objects(database)
        texts = {name: _Texts(database, name, counter) for name in ("questions", "answers")}
        for path in paths:
            for entry in entries(path, progress=progress):
                try:
                    record = parse_record(entry.load())
                    records.add(record)
                except RecordError:
                    records.bad += 1
                    continue
                objects.add(record)
                for turn in record.conversations:
                    texts["questions" if turn.role == "human" else "answers"].add(turn.value)
        return {
            "files": [str(path) for path in paths],
            "records": records.result(),
            **objects.result(),
            "texts": {"tokenizer": None if tokenizer is None else str(tokenizer)}
            | {name: counts.result() for name, counts in texts.items()},
        }


class _Records:
    def __init__(self) -> None:
        self.bad = 0
        self.formats: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.regions, self.turns = Distribution(), Distribution()

    def add(self, record: Record) -> None:
        record_format = format_of(record)
        record_format.check(record)
        if record.image is not None:
            _, problems = misplaced_regions(record, told_size(record))
            if problems:
                raise problems[0]
        self.formats[record_format.name] += 1
        self.kinds["with_regions" if record.regions else "without_regions"] += 1
        self.kinds["with_image"] += record.image is not None
        self.kinds["with_references"] += bool(record.references)
        self.regions.add(len(record.regions))
        self.turns.add(len(record.conversations))

    def result(self) -> dict[str, Any]:
        names = ("with_image", "with_regions", "without_regions", "with_references")
        return {
            "good": self.formats.total(),
            "bad": self.bad,
            "by_format": dict(sorted(self.formats.items())),
            **{name: self.kinds[name] for name in names},
            "regions_per_record": self.regions.summary(),
            "turns_per_record": self.turns.summary(),
        }


class _Objects:
    """Images and the distinct boxes in them."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._seen = SeenObjects(database)
        self.counts: Counter[str] = Counter()
        self.categories: Counter[str] = Counter()
        self.attributes: dict[str, Counter[str]] = {}
        self.sizes: Counter[str] = Counter()
        self.positions: Counter[str] = Counter()
        self.heat = [[0] * HEAT_CELLS for _ in range(HEAT_CELLS)]
        self.side, self.aspect = Distribution(ratios=True), Distribution(ratios=True)
        self.pixels = Distribution()

    def add(self, record: Record) -> None:
        if record.image is None:
            return
        new = [region for region in record.regions if self._seen.is_new(record.image, region.bbox)]
        self._seen.add_record(record.image, len(new))
        for region in new:
            self._add_words(region)
            self._add_box(region, record.width, record.height)

    def _add_words(self, region: Region) -> None:
        self.counts["distinct"] += 1
        for name in ("category", "phrase", "attributes", "polygon"):
            self.counts[name] += bool(getattr(region, name))
        if region.category is not None:
            self.categories[region.category] += 1
        for name, value in region.attributes.items():
            self.attributes.setdefault(name, Counter())[value] += 1

    def _add_box(self, region: Region, width: int | None, height: int | None) -> None:
        x1, y1, x2, y2 = region.bbox
        across, down = min(x2 - x1, _LARGEST_SIDE), min(y2 - y1, _LARGEST_SIDE)
        self.aspect.add(across / down)
        self.pixels.add(round((across * down) ** 0.5))
        if width is None or height is None:
            return
        self.counts["in_known_images"] += 1
        # A box may stick out: what is outside the image is not seen.
        box = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
        self.side.add(relative_side(box, width, height))
        self.sizes[size_word(box, width, height)] += 1
        self.positions[position_word(box, width, height)] += 1
        column, row = ((box[0] + box[2]) / 2 / width, (box[1] + box[3]) / 2 / height)
        self.heat[_cell(row)][_cell(column)] += 1

    def result(self) -> dict[str, Any]:
        images = {f"{what}_per_image": _counted(self._seen.per_image(what)) for what in ("records", "objects")}
        attributes = {name: dict(counts.most_common()) for name, counts in sorted(self.attributes.items())}
        return {
            "images": {"distinct": images["records_per_image"]["summary"]["count"], **images},
            "objects": {
                "distinct": self.counts["distinct"],
                **{f"with_{name}": self.counts[name] for name in ("category", "phrase", "attributes", "polygon")},
                "with_image_size": self.counts["in_known_images"],
            },
            "boxes": {
                "relative_side": {"summary": self.side.summary(), "histogram": self.side.histogram(SIDE_EDGES)},
                "side_in_pixels": {"summary": self.pixels.summary()},
                "aspect_ratio": {"summary": self.aspect.summary(), "histogram": self.aspect.histogram(ASPECT_EDGES)},
                "sizes": {word: self.sizes[word] for word in SIZES},
                "positions": {word: self.positions[word] for row in POSITIONS for word in row},
                "middles": self.heat,
            },
            "categories": dict(self.categories.most_common()),
            "attributes": attributes,
        }


class _Texts:
    """Questions or answers."""

    def __init__(self, database: sqlite3.Connection, kind: str, counter: TokenCounter | None) -> None:
        self._seen = SeenTexts(database, kind)
        self._counter = counter
        self.words, self.tokens = Distribution(), Distribution()
        self.vocabulary: Counter[str] = Counter()

    def add(self, value: str) -> None:
        text = _SENTINEL.sub(" ", value).strip()
        self._seen.add(text)
        words = _WORD.findall(text.lower())
        self.words.add(len(words))
        self.vocabulary.update(words)
        if self._counter is not None:
            self._counter.count(text, self.tokens)

    def result(self) -> dict[str, Any]:
        if self._counter is not None:
            self._counter.flush()
        telling = ((word, count) for word, count in self.vocabulary.most_common() if word not in FUNCTION_WORDS)
        result: dict[str, Any] = {
            "count": self.words.count,
            "distinct": self._seen.distinct(),
            "words": {"summary": self.words.summary(), "histogram": self.words.histogram(self.words.whole_bins())},
            "vocabulary": len(self.vocabulary),
            "frequent_words": dict(islice(telling, _SHOWN_WORDS)),
            "repeated": [{"text": text, "count": count} for text, count in self._seen.most_frequent(_SHOWN_TEXTS)],
        }
        if self._counter is not None:
            bins = self.tokens.whole_bins()
            result["tokens"] = {"summary": self.tokens.summary(), "histogram": self.tokens.histogram(bins)}
        return result


def _counted(numbers: Mapping[int, int]) -> dict[str, Any]:
    distribution = Distribution()
    for number, times in numbers.items():
        distribution.add(number, times)
    return {"summary": distribution.summary(), "histogram": distribution.histogram(distribution.whole_bins())}


def _cell(part: float) -> int:
    return min(max(int(part * HEAT_CELLS), 0), HEAT_CELLS - 1)
