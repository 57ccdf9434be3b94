"""The files of a conversion: written beside the old ones, and put in their place when all are complete."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

from mgimm_plugin.data.prepare.building import Built
from mgimm_plugin.data.prepare.source import Losses
from mgimm_plugin.data.prepare.splits import IMAGE_DISJOINT, UNASSIGNED, image_split
from mgimm_plugin.data.whole_files import sha256_of
from mgimm_plugin.errors import MgimmError, RecordError

CARD: Final = "dataset.json"
REPORT: Final = "report.md"
DROPPED: Final = "dropped.ndjson"  # not .jsonl: a pattern for the records leaves it out
MADE_BY: Final = "mgimm prepare"

_SPLITS: Final = 16
"""Parts that one scheme may have; a source that names more has something else there."""


class SetWriter:
    """Writes a set; a context manager. Nothing of an old set changes before :meth:`finish`.

    Args:
        output: Folder of the set; created.
        schemes: By what to split.
        seed: Seed of the splits by image.
        losses: Where a record that no file can hold is accounted for.

    Attributes:
        counts: Records by (scheme, part, file name).
    """

    def __init__(self, output: Path, *, schemes: Sequence[str], seed: int, losses: Losses) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._output, self._schemes, self._seed, self._losses = output, schemes, seed, losses
        self._files: dict[tuple[str, str, str], TextIO] = {}
        self._parts: dict[str, str] = {}
        self._encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
        self._open = ExitStack()
        self._new = False

    def __enter__(self) -> Self:
        self._new = not self._output.exists()
        try:
            self._output.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=self._output))
        except OSError as error:
            raise self._not_written(error) from error
        self._dropped = self._open.enter_context((self._folder / DROPPED).open("w", encoding="utf-8", newline="\n"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._new and not any(self._output.iterdir()):
            self._output.rmdir()

    def add(self, built: Built) -> bool:
        """Write a record to the files that it belongs in; False, and accounted for, where JSON cannot hold it."""
        try:
            line = self._encoder.encode(built.value) + "\n"
            line.encode()
        except (ValueError, TypeError, RecursionError) as error:
            self._losses.drop(RecordError(f"cannot be written as JSON: {error}", record=built.value["id"]))
            return False
        try:
            for scheme in self._schemes:
                place = scheme, self._part(scheme, built), built.file
                self._file(place).write(line)
                self.counts[place] += 1
        except OSError as error:
            raise self._not_written(error) from error
        return True

    def drop(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Write entries of ``dropped.ndjson``."""
        for entry in entries:
            line = json.dumps(entry, ensure_ascii=False) + "\n"
            self._dropped.write(line.encode("utf-8", "backslashreplace").decode())

    def layout(self) -> dict[str, tuple[str, str, str]]:
        """Where each file goes: its path in the set to scheme, part and file name.

        A scheme that assigns nothing is left out where there is another. One scheme needs no folder of its own, and
        neither do records that belong to no part.
        """
        schemes = [
            scheme
            for scheme in self._schemes
            if any(part != UNASSIGNED for of_scheme, part, _ in self.counts if of_scheme == scheme)
        ] or list(self._schemes[:1])
        places = {}
        for scheme, part, name in sorted(self.counts):
            if scheme in schemes:
                folders = [scheme] if len(schemes) > 1 else []
                whole = not any(other != UNASSIGNED for of_scheme, other, _ in self.counts if of_scheme == scheme)
                places["/".join([*folders, *([] if whole else [part]), name])] = (scheme, part, name)
        return places

    def finish(self, card: dict[str, Any], report: str) -> None:
        """Put the set in its place.

        Args:
            card: The card; the files and their hashes are added to it.
            report: The report.

        Raises:
            MgimmError: The folder has files of the same name that are not an earlier set's, or cannot be written to.
        """
        try:
            self._finish(card, report)
        except OSError as error:
            raise self._not_written(error) from error

    def _finish(self, card: dict[str, Any], report: str) -> None:
        self._open.close()
        places = self.layout()
        for path, (scheme, part, name) in places.items():
            target = self._folder / "set" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._folder / "records" / scheme / part / name).replace(target)
        card["files"] = {
            path: {"records": self.counts[place], "sha256": sha256_of(self._folder / "set" / path)}
            for path, place in places.items()
        }
        (self._folder / DROPPED).replace(self._folder / "set" / DROPPED)
        # Either may name a file whose name is no UTF-8; in JSON the escape is read back as what it was.
        (self._folder / "set" / REPORT).write_text(report, encoding="utf-8", errors="backslashreplace")
        text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
        (self._folder / CARD).write_text(text, encoding="utf-8", errors="backslashreplace")
        self._replace([*places, DROPPED, REPORT])

    def _replace(self, paths: Sequence[str]) -> None:
        old = files_of_set(self._output)
        strangers = [path for path in (*paths, CARD) if path not in old and (self._output / path).exists()]
        if strangers:
            raise MgimmError(
                f"{self._output} already has {strangers[0]}, which is of no earlier set; choose another folder"
            )
        # The card goes first and comes last: a folder with a card is complete.
        (self._output / CARD).unlink(missing_ok=True)
        for path in old:
            if path not in paths:
                (self._output / path).unlink(missing_ok=True)
        for path in paths:
            (self._output / path).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / "set" / path).replace(self._output / path)
        (self._folder / CARD).replace(self._output / CARD)
        folders = {folder for path in old for folder in Path(path).parents if folder.name}
        for folder in sorted((self._output / folder for folder in folders), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _not_written(self, error: OSError) -> MgimmError:
        return MgimmError(f"cannot write to {self._output}: {error.strerror or error}")

    def _part(self, scheme: str, built: Built) -> str:
        if scheme == IMAGE_DISJOINT:
            return image_split(built.image_name, self._seed)
        if built.split is None:
            return UNASSIGNED
        if built.split not in self._parts:
            part = re.sub(r"[^\w-]+", "_", built.split)[:64] or UNASSIGNED
            if len(self._parts) >= _SPLITS:
                part = UNASSIGNED
                self._losses.change(f"split beyond the first {_SPLITS} of the source: goes to {UNASSIGNED}")
            self._parts[built.split] = part
        return self._parts[built.split]

    def _file(self, place: tuple[str, str, str]) -> TextIO:
        if place not in self._files:
            path = self._folder.joinpath("records", *place)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files[place] = self._open.enter_context(path.open("w", encoding="utf-8", newline="\n"))
        return self._files[place]


def files_of_set(folder: Path) -> set[str]:
    """The files of the set in a folder, by its card, as paths in the folder; nothing where there is none."""
    try:
        card = json.loads((folder / CARD).read_bytes())
    except (OSError, ValueError):
        return set()
    if not isinstance(card, dict) or card.get("made_by") != MADE_BY or not isinstance(card.get("files"), dict):
        return set()
    return {CARD, DROPPED, REPORT, *(path for path in card["files"] if _is_record_path(path))}


def _is_record_path(path: str) -> bool:
    parts = path.split("/")
    return len(parts) <= 3 and ".." not in parts and path.endswith(".jsonl") and not path.startswith("/")
