"""All that is wrong with one record, where ``parse_record`` stops at the first problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from mgimm_plugin.data.record_parsing import RecordParser
from mgimm_plugin.data.records import Record, Turn
from mgimm_plugin.errors import RecordError


def problems_of(obj: object, *, file: object = None, index: int | None = None) -> list[RecordError]:
    """Check a decoded JSON value to its end.

    What only follows from another problem is not told: where a turn cannot be read, its tokens are not counted.

    Args:
        obj: The decoded JSON value.
        file: File it came from, for errors.
        index: Its position in that file, for errors.

    Returns:
        All that is wrong, in the order in which it is read; nothing where ``parse_record`` gives a record.
    """
    collector = _Collector(file, index)
    collector.record(obj)
    return collector.problems


def _noting(read: Callable[..., Any], instead: object = None) -> Callable[..., Any]:
    """A way to read a part that notes what is wrong with it; ``instead`` stands for a part that is bad."""

    @wraps(read)
    def read_or_note(self: _Collector, *args: Any, **options: Any) -> Any:
        try:
            return read(self, *args, **options)
        except RecordError as problem:
            self.problems.append(problem)
            return instead

    return read_or_note


class _Collector(RecordParser):
    """Notes a part that is bad and reads on; what stands for a bad part is never handed out."""

    def __init__(self, file: object, index: int | None) -> None:
        super().__init__(file, index)
        self.problems: list[RecordError] = []

    record = _noting(RecordParser.record)
    identity = _noting(RecordParser.identity)
    text = _noting(RecordParser.text)
    pixels = _noting(RecordParser.pixels)
    check_size = _noting(RecordParser.check_size)
    region = _noting(RecordParser.region)
    names = _noting(RecordParser.names)
    polygon = _noting(RecordParser.polygon)
    point = _noting(RecordParser.point)
    box = _noting(RecordParser.box)
    turn = _noting(RecordParser.turn)
    check_answer = _noting(RecordParser.check_answer)
    check_image_tokens = _noting(RecordParser.check_image_tokens)
    check_region_tokens = _noting(RecordParser.check_region_tokens)
    check_image = _noting(RecordParser.check_image)
    items = _noting(RecordParser.items, ())
    turns = _noting(RecordParser.turns, ())

    def role(self, value: object, where: str, due: str) -> str:
        """Whose turn it is: what the file says where that is a role, even out of turn."""
        try:
            return super().role(value, where, due)
        except RecordError as problem:
            self.problems.append(problem)
            return str(value) if value in ("human", "gpt") else due

    def check_tokens(self, record: Record) -> None:
        """Check what is known: nothing follows from a turn or a list that cannot be read, or from tokens in answers."""
        if not record.conversations or not all(turn and turn.value for turn in record.conversations):
            return
        turns = (turn if turn.role == "human" else Turn(turn.role, "") for turn in record.conversations)
        record = replace(record, conversations=tuple(turns))
        bad = {problem.field for problem in self.problems}
        self.check_image_tokens(record)
        if "regions" not in bad:
            self.check_region_tokens(record)
            if "image" not in bad:
                self.check_image(record)
