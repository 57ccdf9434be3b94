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


class _Collector(RecordParser):
    """Notes a part that is bad and reads on; what stands for a bad part is never handed out."""

    def __init__(self, file: object, index: int | None) -> None:
        super().__init__(file, index)
        self.problems: list[RecordError] = []

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


def _noting(read: Callable[..., Any], instead: object) -> Callable[..., Any]:
    @wraps(read)
    def read_or_note(self: _Collector, *args: Any, **options: Any) -> Any:
        try:
            return read(self, *args, **options)
        except RecordError as problem:
            self.problems.append(problem)
            return instead

    return read_or_note


_SURVIVED_BY: dict[object, tuple[str, ...]] = {
    None: (
        *("record", "identity", "text", "pixels", "check_size", "region", "names", "polygon", "point", "box"),
        *("turn", "check_answer", "check_image_tokens", "check_region_tokens", "check_image"),
    ),
    (): ("items", "turns"),
}
"""What stands for a part that is bad, so that the parts after it can be read."""

for _instead, _names in _SURVIVED_BY.items():
    for _name in _names:
        setattr(_Collector, _name, _noting(getattr(RecordParser, _name), _instead))
