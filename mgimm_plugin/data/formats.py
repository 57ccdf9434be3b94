"""The registry of record formats: which records there are, and how each is put before the model.

A format of your own is one call::

    register_format(RecordFormat("captions", matches=..., check=..., present=...))

Formats registered later are asked first, so that they may take over records which a built-in one would match.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.records import Record, Turn
from mgimm_plugin.errors import MgimmError, RecordError

REGION_INSTRUCTION = "region-instruction"
IMAGE_INSTRUCTION = "image-instruction"
LLAVA = "llava"

_GUIDED_QUESTION = re.compile(
    rf"{DEFAULT_IMAGE_TOKEN}\s*(?:{DEFAULT_REGION_TOKEN}\s*)*(?P<question>.*)", flags=re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Presentation:
    """What the model is given of a record.

    Attributes:
        turns: The conversation.
        region_indices: Positions in ``record.regions``, one for each ``<region>`` token of ``turns``, in their order.
    """

    turns: tuple[Turn, ...]
    region_indices: tuple[int, ...]


def present_as_written(record: Record, rng: np.random.Generator | None) -> Presentation:
    """Present a record as its file has it."""
    return Presentation(record.conversations, tuple(range(record.region_token_count)))


def _accept(record: Record) -> None:
    """What ``parse_record`` asks of every record is enough."""


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """A kind of record.

    Attributes:
        name: How settings and reports call it.
        matches: Whether a record is of this kind.
        check: Raises RecordError where a record of this kind breaks the format's own rules.
        present: Turns a record into what the model is given. A generator of random numbers is handed over where the
            presentation may vary from epoch to epoch, None where it must not.
    """

    name: str
    matches: Callable[[Record], bool]
    check: Callable[[Record], None] = _accept
    present: Callable[[Record, np.random.Generator | None], Presentation] = present_as_written


_formats: dict[str, RecordFormat] = {}


def register_format(record_format: RecordFormat) -> None:
    """Add a format under its name.

    Raises:
        MgimmError: Another format has that name.
    """
    if _formats.get(record_format.name, record_format) != record_format:
        raise MgimmError(f"a record format {record_format.name!r} is registered already")
    _formats[record_format.name] = record_format


def get_format(name: str) -> RecordFormat:
    """Return the format of a name.

    Raises:
        MgimmError: There is none; the message lists those that exist.
    """
    if name not in _formats:
        raise MgimmError(f"no record format {name!r}; known: {', '.join(sorted(_formats))}")
    return _formats[name]


def format_of(record: Record) -> RecordFormat:
    """Tell a record's format from its content.

    Raises:
        RecordError: No format matches.
    """
    for record_format in reversed(_formats.values()):
        if record_format.matches(record):
            return record_format
    raise RecordError("no registered format matches", record=record.id)


def _is_image_instruction(record: Record) -> bool:
    starts_with_image = record.conversations[0].value.startswith(DEFAULT_IMAGE_TOKEN)
    return record.has_image_token and (starts_with_image or bool(record.regions))


def _check_image_instruction(record: Record) -> None:
    if not record.conversations[0].value.startswith(DEFAULT_IMAGE_TOKEN):
        raise RecordError(
            f"must start with {DEFAULT_IMAGE_TOKEN}, because the record has regions",
            record=record.id,
            field="conversations[0].value",
        )


def _present_with_random_regions(record: Record, rng: np.random.Generator | None) -> Presentation:
    """Guide the first question by a random subset of the regions, in random order; by none of them, too.

    The model then learns to describe an image with whatever boxes its user has. A conversation that speaks of its
    regions outside the row of tokens at the head of the first question is left as it is, as it would no longer be true.
    """
    match = _GUIDED_QUESTION.fullmatch(record.conversations[0].value)
    if rng is None or match is None or not record.regions:
        return present_as_written(record, rng)
    texts = [match["question"], *(turn.value for turn in record.conversations[1:])]
    if any(DEFAULT_REGION_TOKEN in text for text in texts):
        return present_as_written(record, rng)
    count = int(rng.integers(len(record.regions), endpoint=True))
    chosen = rng.permutation(len(record.regions))[:count]
    head = [DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN * count, match["question"]]
    question = Turn("human", "\n".join(part for part in head if part))
    return Presentation((question, *record.conversations[1:]), tuple(int(index) for index in chosen))


def _present_image_first(record: Record, rng: np.random.Generator | None) -> Presentation:
    """Put the image before the question, wherever in the question the file has it, as LLaVA does."""
    first, *others = record.conversations
    if record.has_image_token:
        question = first.value.replace(DEFAULT_IMAGE_TOKEN, "").strip()
        first = Turn(first.role, f"{DEFAULT_IMAGE_TOKEN}\n{question}".strip())
    return Presentation((first, *others), ())


register_format(RecordFormat(LLAVA, matches=lambda record: not record.regions, present=_present_image_first))
register_format(
    RecordFormat(REGION_INSTRUCTION, matches=lambda record: bool(record.regions) and not record.has_image_token)
)
register_format(
    RecordFormat(
        IMAGE_INSTRUCTION,
        matches=_is_image_instruction,
        check=_check_image_instruction,
        present=_present_with_random_regions,
    )
)
