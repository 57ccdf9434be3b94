"""Files of other people, read with care: whatever is in them, the outcome is their content or a RecordError."""

from __future__ import annotations

import codecs
import json
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from mgimm_plugin.errors import RecordError

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED: Final = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_STRING: Final = r'"(?:\\.|[^"\\])*"'
_COMMENT: Final = re.compile(rf"({_STRING})|//[^\n]*|/\*.*?\*/", re.DOTALL)
_TRAILING_COMMA: Final = re.compile(rf"({_STRING})|,(?=\s*[\]}}])", re.DOTALL)


def read_text(path: Path) -> str:
    """Read a text: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises:
        RecordError: The file cannot be read, or is none of these.
    """
    return _decoded(read_bytes(path), path, "utf-8")


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises:
        RecordError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise RecordError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=path) from error


def load_json(path: Path, *, tolerant: bool = False) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        tolerant: Also take comments and a comma after the last item.

    Raises:
        RecordError: It cannot be read, is no JSON (the line is named), or is nested absurdly deep.
    """
    text = read_text(path)
    try:
        return parse_json(text)
    except RecordError as error:
        if not tolerant:
            raise error.at(file=path) from error
    plain = _TRAILING_COMMA.sub(_only_string, _COMMENT.sub(_only_string, text))
    try:
        return parse_json(plain)
    except RecordError as error:
        raise error.at(file=path) from error


def parse_json(text: str) -> Any:
    """Decode JSON; NaN and infinity pass, since ``values.number`` refuses them where they stand.

    Raises:
        RecordError: It is no JSON (the line is named), or is nested absurdly deep.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise RecordError(f"line {error.lineno} is not valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise RecordError("is nested too deep to be an annotation") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise RecordError(f"is not valid JSON: {error}") from error


def parse_xml(path: Path) -> ElementTree.Element:
    """Read an XML file in the encoding that it declares; nothing outside it is looked at.

    Raises:
        RecordError: It cannot be read, is no XML (the line is named), or declares entities.
    """
    data = read_bytes(path)
    declared = _DECLARED.match(data[:200])
    text = _decoded(data, path, declared[1].decode("ascii") if declared else "utf-8")
    if "<!ENTITY" in text:
        raise RecordError("declares entities, which annotations have no use for: it is not read", file=path)
    try:
        # A text, not bytes: the parser then takes no notice of the declared encoding.
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise RecordError(f"line {error.position[0]} is not valid XML: {error}", file=path) from error
    except ValueError as error:
        raise RecordError(f"is not valid XML: {error}", file=path) from error


def files_in(inputs: Sequence[Path], suffixes: Iterable[str]) -> list[Path]:
    """List the files of a source: those given, and those of a suffix in and below the folders given, sorted.

    Hidden files are passed over.

    Args:
        inputs: Files and folders, as the user gave them.
        suffixes: ``.xml`` and the like, in lower case.

    Raises:
        RecordError: An input does not exist, or there is no such file in any of them.
    """
    wanted = frozenset(suffixes)
    found: dict[Path, None] = {}
    for path in inputs:
        try:
            if path.is_dir():
                inside = (item for item in files_below(path) if item.suffix.lower() in wanted and item.is_file())
                found.update(dict.fromkeys(sorted(inside)))
            elif path.exists():
                found[path] = None
            else:
                raise RecordError("does not exist", file=path)
        except OSError as error:
            raise RecordError(f"cannot be read: {error.strerror or error}", file=path) from error
    if not found:
        where = ", ".join(str(path) for path in inputs) or "no input"
        raise RecordError(f"{where}: no file that ends in {', '.join(sorted(wanted))}")
    return list(found)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in and below a folder, in no order; hidden files and folders are passed over.

    Linked folders are gone into, too: a part of a set may lie on another disk. A folder that several names lead to is
    gone into once, by its own name rather than by that of a link; so links in a circle end.

    Raises:
        RecordError: A folder cannot be listed.
    """
    seen: set[tuple[int, int]] = set()
    waiting = deque([folder])  # links wait until every folder has been met by its own name
    while waiting:
        for place, folders, names in os.walk(waiting.popleft(), onerror=_cannot_be_listed):
            status = os.stat(place)
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if not is_hidden(name))
            waiting.extend(Path(place, name) for name in folders if os.path.islink(os.path.join(place, name)))
            yield from (Path(place, name) for name in names if not is_hidden(name))


def _cannot_be_listed(error: OSError) -> None:
    raise RecordError(f"cannot be listed: {error.strerror or error}", file=error.filename) from error


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, by its name: ``._1.xml``, ``.cache``."""
    return name.startswith(".")


def _decoded(data: bytes, path: Path, encoding: str) -> str:
    for mark, marked in _MARKS:
        if data.startswith(mark):
            encoding = marked
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError) as error:
        name = encoding.upper().replace("UTF-8-SIG", "UTF-8")
        raise RecordError(f"is not {name}", file=path) from error


def _only_string(match: re.Match[str]) -> str:
    return match[1] or " "
