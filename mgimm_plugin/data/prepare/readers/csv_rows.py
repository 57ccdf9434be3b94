"""Rows of CSV files as people and spreadsheets write them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.prepare.reading import read_text
from mgimm_plugin.errors import RecordError

_BLANK: Final = r"(?:[^\S\n]*\n)*"
# With the line that tells Excel the delimiter: sep=;
_HEAD: Final = re.compile(rf'{_BLANK}(?:"?sep=([^\s"]|\t)"?[^\S\n]*\n{_BLANK})?', flags=re.IGNORECASE)


def csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a CSV file with their position, by the names in its first line that is not blank.

    The delimiter is the one that a line ``sep=;`` before the names says, or else the one of comma, semicolon and tab
    that the names' line has most of. What a row has beyond the names is a list under ``""``; what it lacks is None.

    Raises:
        RecordError: The file cannot be read, or is no CSV from some line on; the rows before it are yielded.
    """
    records = _records(path)
    names = [name.strip() for name in next(records, [])]
    for index, cells in enumerate(filter(None, records)):
        row: dict[str, Any] = dict(zip_longest(names, cells[: len(names)]))
        if len(cells) > len(names):
            row[""] = cells[len(names) :]
        yield index, row


def _records(path: Path) -> Iterator[list[str]]:
    text = read_text(path)
    head = _HEAD.match(text)
    assert head is not None  # it matches an empty text, too
    body = text[head.end() :]
    lines = _Lines(body)
    delimiter = head[1] or max(",;\t", key=body.split("\n", 1)[0].count)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    above = text.count("\n", 0, head.end())
    while True:
        place = f"line {above + reader.line_num + 1}"
        try:
            with _cells_up_to(len(text)):
                cells = next(reader, None)
        except csv.Error as error:
            raise RecordError(f"{place} is no CSV: {error}; from there on nothing was read", file=path) from error
        if cells is None:
            return
        if lines.are_over:
            raise RecordError(f"{place} opens a quote that is never closed; from there on nothing was read", file=path)
        yield cells


class _Lines:
    """The lines of a text.

    Attributes:
        are_over: Whether a line was asked for after the last: within a row, that is one that does not end.
    """

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self.are_over = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._lines.readline()
        if not line:
            self.are_over = True
            raise StopIteration
        return line


@contextmanager
def _cells_up_to(size: int) -> Iterator[None]:
    """Let cells be so long. The limit is one for all of the process: it is put back at once."""
    before = csv.field_size_limit(max(size, csv.field_size_limit()))
    try:
        yield
    finally:
        csv.field_size_limit(before)
