"""Errors that are meant for a person: what was wrong, where, and what to do.

The command line prints them as one line; everything else that is raised is a defect and keeps its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Self, TypeVar

_Value = TypeVar("_Value")


class MgimmError(Exception):
    """Base of every error caused by input, files or settings rather than by a defect of the code."""


class SettingError(MgimmError):
    """A setting that cannot be meant; the command line exits with 2, as for any bad usage."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU had too little memory; torch is not imported to tell, which whoever raises that has done."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def look_up(table: Mapping[str, _Value], name: str, what: str) -> _Value:
    """Return what a table has under a name.

    Args:
        table: All that there is, by name.
        name: One of its names.
        what: What the table holds, for the message.

    Raises:
        SettingError: There is no such name; the message lists those that exist.
    """
    if name not in table:
        raise SettingError(f"no {what} {name!r}; there are {', '.join(table)}")
    return table[name]


class RecordError(MgimmError):
    """A record that cannot be used.

    Args:
        message: What is wrong, in words.
        advice: What to do, where that depends on who is told: a server's client has other means than its owner.
        file: File the record came from.
        index: 0-based position of the record in its file.
        record: Its ``id``.
        field: The field that is wrong, as a path such as ``regions[2].bbox``.

    Attributes:
        fact: What is wrong, without the advice.
        message: What is wrong, and the advice where there is one.
    """

    def __init__(
        self,
        message: str,
        *,
        advice: str | None = None,
        file: object = None,
        index: int | None = None,
        record: object = None,
        field: str | None = None,
    ) -> None:
        self.fact, self.advice = message, advice
        self.message = message if advice is None else f"{message}; {advice}"
        self.file, self.index, self.record, self.field = file, index, record, field
        where = [
            f"{name} {value}"
            for name, value in (("file", file), ("index", index), ("record", record), ("field", field))
            if value is not None
        ]
        super().__init__(f"{', '.join(where)}: {self.message}" if where else self.message)

    def at(
        self, *, file: object = None, index: int | None = None, record: object = None, field: str | None = None
    ) -> Self:
        """The same error, with as much of its place filled in as it does not know itself."""
        return type(self)(
            self.fact,
            advice=self.advice,
            file=file if self.file is None else self.file,
            index=index if self.index is None else self.index,
            record=record if self.record is None else self.record,
            field=field if self.field is None else self.field,
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip from a data loader's worker process, keyword arguments included."""
        place = (self.file, self.index, self.record, self.field)
        return (_rebuild_record_error, (type(self), self.fact, self.advice, *place))


def _rebuild_record_error(
    kind: type[RecordError],
    fact: str,
    advice: str | None,
    file: object,
    index: int | None,
    record: object,
    field: str | None,
) -> RecordError:
    return kind(fact, advice=advice, file=file, index=index, record=record, field=field)


class BoxError(RecordError):
    """A box that encloses nothing: NaN, reversed corners, or empty once it is clipped to the image."""


class ImageError(RecordError):
    """An image that is missing, unreadable, truncated or larger than the pixel limit."""


class ImageTooLargeError(ImageError):
    """An image with more pixels than the limit."""


class SequenceTooLongError(RecordError):
    """A record whose tokens do not fit the model's context."""


class CheckpointError(MgimmError):
    """A model folder of unknown kind, incomplete, or whose keys are not the expected ones."""


class MissingExtraError(MgimmError):
    """An optional dependency is needed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'mgimm-plugin[{extra}]'")
