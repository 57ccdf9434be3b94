"""What a set says of itself: ``dataset.json`` for programs, ``report.md`` for people, ``dropped.ndjson`` for both."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.prepare.annotations import AnnotatedImage
from mgimm_plugin.data.prepare.building import Built
from mgimm_plugin.data.prepare.reading import files_below
from mgimm_plugin.data.prepare.source import Source
from mgimm_plugin.data.prepare.writing import CARD, DROPPED
from mgimm_plugin.data.whole_files import sha256_of
from mgimm_plugin.errors import RecordError

_VARYING: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\([^)]*\)|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|\S*/\S*")


@dataclass(slots=True)
class Tally:
    """Counts of a conversion: what went in, what came out, what was dropped.

    Attributes:
        read: What the sources had, by kind (images, objects, captions, ...), joined ones included.
        lost_with_image: The same of images that were dropped as a whole.
        written: Records by file name and how their answer came about.
        attributes: How many of the measured regions have an attribute.
        measured: Number of records of a region that say what was measured of it.
        polygons: Region records whose region has an outline.
        images: Images with a record.
        dropped: Dropped things by kind of reason.
        examples: The first of each, as a user would be told.
    """

    read: Counter[str] = field(default_factory=Counter)
    lost_with_image: Counter[str] = field(default_factory=Counter)
    written: dict[str, Counter[str]] = field(default_factory=dict)
    attributes: Counter[str] = field(default_factory=Counter)
    measured: int = 0
    polygons: int = 0
    images: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, built: Built) -> None:
        """Count a record that was written."""
        value = built.value
        self.written.setdefault(built.file, Counter())[value["text"]] += 1
        if built.file == "region.jsonl":
            region = value["regions"][0]
            self.polygons += "polygon" in region
            if built.is_measured:
                self.measured += 1
                self.attributes.update(region["attributes"].keys())

    def drop(self, entry: Mapping[str, Any]) -> None:
        """Count an entry of ``dropped.ndjson``."""
        reason = _VARYING.sub("...", entry["reason"])
        self.dropped[reason] += 1
        place = [f"{name} {entry[name]}" for name in ("file", "index", "record", "field") if entry[name] is not None]
        self.examples.setdefault(reason, ", ".join([*place, entry["reason"]]))


def contents(image: AnnotatedImage) -> Counter[str]:
    """How much a source says of an image, by kind."""
    return Counter(
        images=1,
        objects=len(image.objects),
        captions=len(image.captions),
        descriptions=len(image.descriptions),
        dialogues=len(image.dialogues),
    )


class Places:
    """Names files for the card and for reports: relative to what the user gave, so that no machine's paths are in them.

    Args:
        sources: The sources of the conversion.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._folders = {os.path.abspath(source.images): "" for source in sources if source.images is not None}
        self._folders |= {os.path.abspath(path): path.name for source in sources for path in source.inputs}

    def name(self, file: object) -> str | None:
        """A file as the card calls it; only its last part where it is none of the user's."""
        if file is None:
            return None
        path = os.path.abspath(str(file))
        for folder, shown in self._folders.items():
            if path == folder or path.startswith(folder + os.sep):
                return (shown + path[len(folder) :]).lstrip("/")
        return os.path.basename(path)

    def entry(self, error: RecordError) -> dict[str, Any]:
        """An error as a line of ``dropped.ndjson``."""
        reason = error.message
        for folder, shown in self._folders.items():
            reason = reason.replace(folder, shown or "IMAGES")
        return {
            "file": self.name(error.file),
            "index": error.index,
            "record": None if error.record is None else str(error.record),
            "field": error.field,
            "reason": reason,
        }


def described(path: Path) -> dict[str, Any]:
    """An input: a file's name, size and hash; a folder's name, number of files and their size.

    Raises:
        RecordError: It cannot be read.
    """
    if path.is_dir():
        return _folder(path)
    try:
        return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror or error}", file=path) from error


def _folder(path: Path) -> dict[str, Any]:
    sizes = [file.stat().st_size for file in files_below(path) if file.is_file()]
    return {"name": path.name, "files": len(sizes), "bytes": sum(sizes)}


def report_of(card: Mapping[str, Any], tally: Tally, places: Mapping[str, int]) -> str:
    """The report: what went in, what came out, what was dropped and why.

    Args:
        card: The card.
        tally: The counts.
        places: Records by path of their file.
    """
    lines = [f"# {card['title']}", "", "## What went in", ""]
    lines += _table(("", "number"), tally.read.items())
    lines += ["", "## What came out", ""]
    lines += _table(("file", "records"), places.items())
    lines += ["", f"Images with a record: {tally.images}. How the answers came about:", ""]
    lines += _table(("file", "source", "made"), ((n, c["source"], c["made"]) for n, c in sorted(tally.written.items())))
    lines += ["", "## What was dropped", ""]
    if tally.dropped:
        lines += [f"{tally.dropped.total()} things; `{DROPPED}` has every one.", ""]
        rows = sorted(tally.dropped.items(), key=lambda item: (-item[1], item[0]))
        lines += _table(("number", "reason", "the first"), ((n, reason, tally.examples[reason]) for reason, n in rows))
        if tally.lost_with_image.total():
            lines += ["", "Lost with images that were dropped:", ""]
            lines += _table(("", "number"), tally.lost_with_image.items())
    else:
        lines += ["Nothing."]
    lines += ["", "## What was changed", ""]
    changed = card["changed"]
    lines += _table(("number", "what"), ((n, what) for what, n in changed.items())) if changed else ["Nothing."]
    if card["notes"]:
        lines += ["", "## Good to know", "", *(f"* {note}" for note in card["notes"])]
    return "\n".join([*lines, "", f"Splits, attributes, versions and hashes are in `{CARD}`.", ""])


def _table(heads: Sequence[str], rows: Any) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for row in rows:
        # <image> would be taken for HTML, and not be seen.
        cells = (str(cell).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ") for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return lines
