"""Records made of annotated images: drafted, named, and let through only where training takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mgimm_plugin.data.formats import IMAGE_INSTRUCTION, LLAVA, REGION_INSTRUCTION, format_of
from mgimm_plugin.data.prepare.checking import Pixels
from mgimm_plugin.data.prepare.drafting import Drafter, Sourced
from mgimm_plugin.data.prepare.source import Losses
from mgimm_plugin.data.prepare.splits import image_name
from mgimm_plugin.data.question_templates import QuestionTemplates
from mgimm_plugin.data.records import parse_record
from mgimm_plugin.errors import ImageError, RecordError

FILES: Final[Mapping[str, str]] = {
    REGION_INSTRUCTION: "region.jsonl",
    IMAGE_INSTRUCTION: "image.jsonl",
    LLAVA: "text.jsonl",
}
"""Which file a record of a format goes to; referring expressions that were made have a file of their own."""


@dataclass(frozen=True, slots=True)
class Built:
    """A record that was made and checked.

    Attributes:
        value: The record as JSON.
        file: Name of the file it belongs in.
        image_name: ``splits.image_name`` of its image.
        split: Its part by the source.
        is_measured: Whether it says what was measured of its region.
    """

    value: dict[str, Any]
    file: str
    image_name: str
    split: str | None
    is_measured: bool


class Builder:
    """Builds the records of one conversion.

    Args:
        questions: The questions to ask.
        seed: Chooses questions and patterns.
        losses: Where what is dropped or changed is accounted for.
    """

    def __init__(self, questions: QuestionTemplates, seed: int, losses: Losses) -> None:
        self._questions, self._seed, self._losses = questions, seed, losses
        self._ids: set[str] = set()

    def build(self, sourced: Sourced, pixels: Pixels | None, joined: Sequence[Sourced] = ()) -> list[Built]:
        """Build the records of an image.

        Args:
            sourced: The image, from ``Checker.check``.
            pixels: The image itself, where it is at hand.
            joined: Other sources of texts about it.

        Returns:
            The good records; one that no training would take is dropped, and accounted for, as are all of an image
            that cannot be read where its pixels are needed.
        """
        try:
            drafter = Drafter(sourced, pixels, joined, questions=self._questions, seed=self._seed, losses=self._losses)
        except ImageError as error:
            self._losses.drop(error.at(record=sourced.image.source_id, field="image"))
            return []
        return list(self._checked(drafter, image_name(sourced.image)))

    def _checked(self, drafter: Drafter, name: str) -> Iterator[Built]:
        for value, split, file, is_measured in drafter.drafts():
            try:
                value["id"] = self._unique(value["id"])
                record = parse_record(value)
                record_format = format_of(record)
                record_format.check(record)
            except RecordError as error:
                self._losses.drop(error.at(record=value["id"]))
                continue
            file = file or FILES.get(record_format.name, f"{record_format.name}.jsonl")
            yield Built(value, file, name, split, is_measured)

    def _unique(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._ids:
            number += 1
            name = f"{wanted}-{number}"
        self._losses.change("id that another record has: a number was added", int(name != wanted))
        self._ids.add(name)
        return name
