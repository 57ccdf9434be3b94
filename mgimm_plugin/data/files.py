"""Files of records: a JSON array or JSONL, with constant-time access to any record."""

from __future__ import annotations

import io
import json
import os
import re
from array import array
from collections.abc import Iterable
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mgimm_plugin.errors import RecordError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_FORM = "a file is a JSON array of records, or one record a line"

_BLOCK = 1 << 20
"""Bytes read at a time where only their newlines are counted."""


class RecordFile:
    """The decoded JSON values of a file, by position.

    Whether the file is a JSON array or JSONL is told by its content, not by its name. Of a JSONL file only the places
    of its lines are kept (16 bytes a record), and a record is read when it is asked for, from whichever process asks; a
    JSON array is decoded once. Blank lines of JSONL are not records.

    Args:
        path: The file, UTF-8.

    Raises:
        RecordError: The file cannot be read, is a pipe, or is no file of records as a whole (see ``array_or_lines``).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with open(self.path, "rb") as stream:
                if not stream.seekable():
                    raise RecordError("is a pipe, and records are read in any order: write them to a file", file=path)
                self._values, lines = array_or_lines(stream, self.path)
                self._lines = _line_spans(lines)
        except OSError as error:
            raise RecordError(f"cannot be read: {error.strerror or error}", file=path) from error

    def __len__(self) -> int:
        return len(self._lines) if self._values is None else len(self._values)

    def load(self, index: int) -> Any:
        """Return the decoded JSON value at ``index``.

        Raises:
            RecordError: A line of JSONL is no JSON; its number is named.
        """
        if self._values is not None:
            return self._values[index]
        start, end = map(int, self._lines[index])
        line = os.pread(self._descriptor, end - start, start)
        try:
            return decoded(line)
        except (ValueError, RecursionError) as error:
            number = 1 + self._newlines_before(start)
            raise not_json(error, self.path, number, index) from error

    def __getstate__(self) -> dict[str, Any]:
        # A file descriptor means nothing in another process.
        return {name: value for name, value in self.__dict__.items() if name != "_descriptor"}

    def __del__(self) -> None:
        descriptor = self.__dict__.get("_descriptor")
        if descriptor is not None:
            os.close(descriptor)

    @cached_property
    def _descriptor(self) -> int:
        # Read with pread only, which has no position: forked worker processes may share it.
        return os.open(self.path, os.O_RDONLY)

    def _newlines_before(self, offset: int) -> int:
        blocks = (os.pread(self._descriptor, min(_BLOCK, offset - at), at) for at in range(0, offset, _BLOCK))
        return sum(block.count(b"\n") for block in blocks)


def array_or_lines(stream: BinaryIO, file: Path) -> tuple[list[Any] | None, Iterable[bytes]]:
    """Tell a JSON array from JSONL: by the first byte that is neither white space nor a byte order mark.

    Args:
        stream: At its beginning. It is read once and never turned back, since it may be a pipe.
        file: What is read, for errors.

    Returns:
        The values of an array and no lines, or None and all lines of JSONL; these are still to be read.

    Raises:
        RecordError: It is a JSON array that cannot be decoded (the line is named), one JSON object over several lines,
            compressed, or UTF-16 or UTF-32.
    """
    head: list[bytes] = []
    for line in stream:
        if not head:
            _check_text(line, file)
        head.append(line)
        if begun := line.removeprefix(BYTE_ORDER_MARK).lstrip():
            if begun.startswith(b"["):
                return _decode_array(b"".join(head) + stream.read(), file), ()
            if _is_cut_short(begun):
                content = b"".join(head) + stream.read()
                _check_no_object(content, file)
                return None, io.BytesIO(content)
            break
    return None, chain(head, stream)


def decoded(content: bytes) -> Any:
    """The value of JSON in UTF-8; ``json.loads`` of bytes would guess the encoding, line by line.

    Raises:
        ValueError: It is no JSON, or not UTF-8.
        RecursionError: It is nested too deeply.
    """
    return json.loads(content.decode())


def _check_text(begin: bytes, file: Path) -> None:
    """Refuse a file of another encoding as a whole: each of its lines would be an error, or be good by chance."""
    if begin.startswith(_GZIP):
        raise RecordError("is compressed with gzip: unpack it first (gzip -dk FILE.gz)", file=file)
    encoding = json.detect_encoding(begin)
    if not encoding.startswith("utf-8"):
        name = re.sub(r"-(LE|BE)$", r"\1", encoding.upper())  # as iconv calls it
        raise RecordError(f"is {name}, not UTF-8: convert it first (iconv -f {name} -t UTF-8 FILE)", file=file)


def _is_cut_short(line: bytes) -> bool:
    """Whether a line is JSON up to its end, where more is due, as in a file of one object over several lines."""
    if not line.startswith(b"{"):
        return False
    text = line.decode(errors="replace").rstrip()
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text)
    except (ValueError, RecursionError):
        return False
    return False


def _check_no_object(content: bytes, file: Path) -> None:
    """Refuse a file that begins with one JSON object over several lines: each line would be an error."""
    try:
        value, _ = json.JSONDecoder().raw_decode(content.removeprefix(BYTE_ORDER_MARK).decode().lstrip())
    except (ValueError, RecursionError):
        return  # no object as a whole either: the error of each line says more
    lists = [name for name, inner in value.items() if isinstance(inner, list)]
    inside = f": save the list in its {lists[0]!r} as the file" if len(lists) == 1 else ""
    raise RecordError(f"begins with one JSON object over several lines{inside} ({_FORM})", file=file)


def _decode_array(content: bytes, file: Path) -> list[Any]:
    content = content.removeprefix(BYTE_ORDER_MARK)
    try:
        return decoded(content)
    except json.JSONDecodeError as error:
        raise not_json(error, file, error.lineno) from error
    except UnicodeDecodeError as error:
        raise not_json(error, file, 1 + content.count(b"\n", 0, error.start)) from error
    except (ValueError, RecursionError) as error:
        raise not_json(error, file, 1) from error


def not_json(error: ValueError | RecursionError, file: Path, line: int, index: int | None = None) -> RecordError:
    """What ``json.loads`` raised, as the error of a line of a file."""
    if isinstance(error, json.JSONDecodeError):
        reason = error.msg
    elif isinstance(error, UnicodeDecodeError):
        reason = "it is not UTF-8"
    elif isinstance(error, RecursionError):
        reason = "it is nested too deeply"
    else:  # a number of thousands of digits
        reason = str(error)
    message = f"line {line} is not valid JSON: {reason} ({_FORM})"
    return RecordError(message, file=file, index=index)


def _line_spans(lines: Iterable[bytes]) -> NDArray[np.int64]:
    """Return ``[N, 2]`` first and last byte offsets of the lines that are not blank."""
    spans = array("q")
    offset = 0
    for line in lines:
        start = offset + (len(BYTE_ORDER_MARK) if offset == 0 and line.startswith(BYTE_ORDER_MARK) else 0)
        offset += len(line)
        if line[start - offset :].strip():
            spans.extend((start, offset))
    return np.array(spans, dtype=np.int64).reshape(-1, 2)
