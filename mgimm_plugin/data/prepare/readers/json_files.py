"""Lists of JSON objects: an array, a list under a name, or one object a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mgimm_plugin.data.prepare.reading import files_in, parse_json, read_text
from mgimm_plugin.data.prepare.source import Losses, Source
from mgimm_plugin.data.prepare.values import shown
from mgimm_plugin.errors import RecordError

Entries = Iterator[tuple[int, dict[str, Any]]]


def json_entries(path: Path, losses: Losses, under: Sequence[str] = ()) -> Entries:
    """Yield the objects of a JSON or JSONL file with their position; one that is none, or is bad, is dropped.

    Args:
        path: The file.
        losses: Where bad ones are accounted for.
        under: Names that the list may be under; the first that holds a list counts.

    Raises:
        RecordError: The file cannot be read, or holds no object and no list.
    """
    text = read_text(path)
    try:
        value = parse_json(text)
    except RecordError as error:
        lines = text.split("\n")  # and no other: a text in JSON may hold U+2028 and its like
        if not _is_jsonl(lines):
            raise error.at(file=path) from error
        yield from _lines(lines, path, losses)
        return
    if isinstance(value, dict):
        value = next((value[name] for name in under if isinstance(value.get(name), list)), [value])
    if not isinstance(value, list):
        raise RecordError(f"must hold a list or an object, not {shown(value)}", file=path)
    yield from objects_of(value, losses, file=path)


def entries_of(source: Source, under: Sequence[str]) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    """Yield the objects of a source's JSON and JSONL files, as ``json_entries`` does; a file that is bad is dropped.

    Raises:
        RecordError: The inputs have no such file.
    """
    for path in files_in(source.inputs, {".json", ".jsonl"}):
        try:
            for index, entry in json_entries(path, source.losses, under):
                yield path, index, entry
        except RecordError as error:
            source.losses.drop(error.at(file=path))


def objects_of(values: object, losses: Losses, field: str | None = None, **where: Any) -> Entries:
    """Yield the objects of a list with their position; what is none is dropped.

    Args:
        values: The list; None is an empty one.
        losses: Where what is none is accounted for.
        field: Name of the list, for errors about one in a file of one object.
        **where: ``file`` and the like for the error.
    """
    if values is None:
        return
    if not isinstance(values, list):
        losses.drop(RecordError(f"must be a list, not {shown(values)}", field=field, **where))
        return
    for index, value in enumerate(values):
        if isinstance(value, dict):
            yield index, value
        else:
            place: dict[str, Any] = {"index": index} if field is None else {"field": f"{field}[{index}]"}
            losses.drop(RecordError(f"must be an object, not {shown(value)}", **where, **place))


def first_of(values: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value of the first of several names that is there; None where none is."""
    return next((values[name] for name in names if values.get(name) is not None), None)


def _is_jsonl(lines: Sequence[str]) -> bool:
    """Whether lines that are no JSON together are objects by themselves: the first is, or another near the top."""
    filled = [line for line in lines[:100] if line.strip()][:10]
    return bool(filled) and filled[0].lstrip().startswith("{") and any(map(_is_object, filled))


def _is_object(line: str) -> bool:
    try:
        return isinstance(parse_json(line), dict)
    except RecordError:
        return False


def _lines(lines: Sequence[str], path: Path, losses: Losses) -> Entries:
    index = -1
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        index += 1
        try:
            value = parse_json(line)
            if not isinstance(value, dict):
                raise RecordError(f"must be an object, not {shown(value)}")
        except RecordError as error:
            message = error.message.replace("line 1 is", f"line {number} is", 1)
            losses.drop(RecordError(message, file=path, index=index))
            continue
        yield index, value
