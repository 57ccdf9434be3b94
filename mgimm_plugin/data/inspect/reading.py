"""Going through a file of records once, whatever its size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mgimm_plugin.data.files import BYTE_ORDER_MARK, array_or_lines, decoded, not_json
from mgimm_plugin.errors import RecordError


@dataclass(frozen=True, slots=True)
class Entry:
    """A place in a file that should hold a record.

    Attributes:
        file: The file.
        index: 0-based position among the records.
        line: 1-based number of the line, for JSONL.
    """

    file: Path
    index: int
    line: int | None
    _content: Any

    def load(self) -> Any:
        """Return the decoded JSON value.

        Raises:
            RecordError: The line is no JSON.
        """
        if self.line is None:
            return self._content
        try:
            return decoded(self._content)
        except (ValueError, RecursionError) as error:
            raise not_json(error, self.file, self.line, self.index) from error


def entries(file: str | Path, *, progress: bool = False) -> Iterator[Entry]:
    """Go through a file of records.

    Of JSONL one line at a time is in memory; a JSON array is read whole, as JSON has to be. The file may be a pipe.

    Args:
        file: JSON array or JSONL, told apart by content.
        progress: Show a bar on standard error, by bytes, where that is a terminal.

    Raises:
        RecordError: The file cannot be read, or is no file of records as a whole (see ``files.array_or_lines``).
    """
    path = Path(file)
    try:
        with open(path, "rb") as stream:
            values, lines = array_or_lines(stream, path)
            yield from _of_lines(path, lines, progress) if values is None else _of_array(path, values, progress)
    except OSError as error:
        raise RecordError(f"cannot be read: {error.strerror or error}", file=file) from error


def _of_lines(path: Path, lines: Iterable[bytes], progress: bool) -> Iterator[Entry]:
    index = 0
    with _bar(path, path.stat().st_size, "B", progress) as bar:
        for number, line in enumerate(lines, 1):
            content = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
            if content.strip():
                yield Entry(path, index, number, content)
                index += 1
            bar.update(len(line))


def _of_array(path: Path, values: list[Any], progress: bool) -> Iterator[Entry]:
    with _bar(path, len(values), " records", progress) as bar:
        for index, value in enumerate(values):
            yield Entry(path, index, None, value)
            bar.update()


def _bar(path: Path, total: int, unit: str, progress: bool) -> Any:
    # disable=None: a bar is for terminals; a log file is spared.
    return tqdm(
        total=total, desc=path.name, unit=unit, unit_scale=True, disable=None if progress else True, leave=False
    )
