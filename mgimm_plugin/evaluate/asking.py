"""What records ask a model, and what their pictures and answers are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from mgimm_plugin.constants import DEFAULT_MAX_PIXELS, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.formats import format_of
from mgimm_plugin.data.images import open_image
from mgimm_plugin.data.region_input import without_regions
from mgimm_plugin.errors import ImageError, MgimmError, RecordError

if TYPE_CHECKING:
    from mgimm_plugin.data.records import Record, Region

BLANK_COLOR = (122, 116, 104)
"""Mean colour of CLIP's training images: what its processor turns into zeros."""

REGION_MODES = ("record", "none")
"""Ask with the regions that a record's question has, or ask about the image without them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The first question of a record.

    Attributes:
        text: The human turn, sentinels included.
        regions: The regions that its ``<region>`` tokens stand for, in order.
        references: Right answers, the conversation's own first; may be empty.
        attributes: What is known of the one region that a region record asks about, else None.
    """

    text: str
    regions: tuple[Region, ...]
    references: tuple[str, ...]
    attributes: dict[str, str] | None


def read_questions(data: Path, *, regions: str = "record") -> tuple[list[Record], list[Asked]]:
    """Read a file of records, and the first question of each.

    Args:
        data: JSON array or JSONL file of records.
        regions: One of ``REGION_MODES``.

    Raises:
        MgimmError: There are no records, or one cannot be asked without its regions.
        RecordError: The file or one of its records is broken.
    """
    from mgimm_plugin.data.records import read_records

    records, asked = [], []
    for index, record in enumerate(read_records(data)):
        try:
            asked.append(first_question(record, regions=regions, index=index))
        except RecordError as error:
            raise error.at(file=data, index=index) from error
        records.append(record)
    if not records:
        raise MgimmError(f"{data} has no records")
    return records, asked


def first_question(record: Record, *, regions: str = "record", index: int | None = None) -> Asked:
    """Take the first question of a record apart.

    Args:
        record: A valid record.
        regions: One of ``REGION_MODES``.
        index: Position of the record in its file, for errors.

    Raises:
        MgimmError: A record that asks only about regions cannot be asked without them.
        RecordError: The record breaks a rule of its format.
    """
    record_format = format_of(record)
    record_format.check(record)
    shown = record_format.present(record, None)
    text = shown.turns[0].value
    answers = [turn.value for turn in shown.turns[1:2]]
    asked = tuple(record.regions[at] for at in shown.region_indices[: text.count(DEFAULT_REGION_TOKEN)])
    if regions == "none" and asked:
        if not record.has_image_token:
            raise MgimmError(
                f"index {index}, record {record.id}: a question about a region cannot be asked without it; "
                "--regions none is for records that show the whole image"
            )
        text, asked = without_regions(text), ()
    only = asked[0].attributes if len(asked) == 1 and not record.has_image_token else None
    return Asked(text, asked, (*answers, *record.references), dict(only) if only else None)


def image_opener(
    folder: Path,
    *,
    blank: bool,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    prepare: Callable[[Image.Image], Any] | None = None,
) -> Callable[[Record], Any]:
    """Make the function that opens a record's image, keeping the last few: neighbours often share one.

    Args:
        folder: Where the records' ``image`` names start.
        blank: Give a uniform image of the same size instead (its true size, so that the same boxes fit).
        max_pixels: Larger images are refused.
        prepare: What makes of an image something with the same ``size`` that takes less memory, such as
            ``Predictor.prepare_image``; images stay as they are without it.

    Returns:
        A function from a record to its image, None for a record without one. It raises ImageError naming the record.
    """

    @lru_cache(maxsize=4)
    def load(name: str) -> Any:
        image = open_image(folder / name, max_pixels=max_pixels)
        shown = Image.new("RGB", image.size, BLANK_COLOR) if blank else image
        return shown if prepare is None else prepare(shown)

    def open_for(record: Record) -> Any:
        if record.image is None:
            return None
        try:
            return load(record.image)
        except ImageError as error:
            raise error.at(record=record.id, field="image") from error

    return open_for
