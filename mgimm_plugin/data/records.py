"""The record: one image, its regions, and a conversation about them. ``docs/data_formats.md`` has it in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.files import RecordFile
from mgimm_plugin.errors import BoxError, RecordError

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_NEXT_ROLE = MappingProxyType({"human": "gpt", "gpt": "human"})
_REGION_FIELDS = frozenset({"bbox", "category", "phrase", "attributes", "polygon"})
_LARGEST_SIDE = 2**31 - 1
_RECORD_FIELDS = frozenset({"id", "image", "width", "height", "regions", "conversations", "references"})

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Region:
    """An object or place in an image.

    Attributes:
        bbox: ``x1, y1, x2, y2`` in pixels of the original image, continuous edges, 0-based; may stick out of the image.
        category: Its class.
        phrase: A short description of it.
        attributes: Ground truth by name: ``category``, ``color``, ``shape``, ``size``, ``position``.
        polygon: Its outline as ``(x, y)`` points in the frame of ``bbox``.
        extra: Keys of the file that mean nothing here.
    """

    bbox: Box
    category: str | None = None
    phrase: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    polygon: tuple[tuple[float, float], ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says; ``role`` is ``human`` or ``gpt``."""

    role: str
    value: str


@dataclass(frozen=True, slots=True)
class Record:
    """An image with regions and a conversation.

    Attributes:
        id: Names the record in errors and predictions.
        image: Path relative to the image folder, or None for text alone.
        width: Width of the image in pixels, where the file says it.
        height: Height of the image in pixels, where the file says it.
        regions: Regions, in the order in which the conversation's ``<region>`` tokens take them.
        conversations: Turns, human and gpt by turns, the human first.
        references: Further reference answers to the first question.
        extra: Keys of the file that mean nothing here.
    """

    id: str
    image: str | None
    width: int | None
    height: int | None
    regions: tuple[Region, ...]
    conversations: tuple[Turn, ...]
    references: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def region_token_count(self) -> int:
        """Number of ``<region>`` tokens in the conversation."""
        return sum(turn.value.count(DEFAULT_REGION_TOKEN) for turn in self.conversations)

    @property
    def has_image_token(self) -> bool:
        """Whether the language model is shown the whole image."""
        return DEFAULT_IMAGE_TOKEN in self.conversations[0].value


def parse_record(obj: object, *, file: object = None, index: int | None = None) -> Record:
    """Check a decoded JSON value and turn it into a record.

    Args:
        obj: The decoded JSON value.
        file: File it came from, for errors.
        index: Its position in that file, for errors.

    Raises:
        RecordError: It is not a record; the error names file, index, id and field.
        BoxError: A box has a NaN or infinite number, or reversed corners.
    """
    return _Parser(file, index).record(obj)


def record_to_json(record: Record) -> dict[str, Any]:
    """Turn a record back into what its file holds; ``parse_record`` of it gives the same record."""
    result: dict[str, Any] = {"id": record.id}
    for name in ("image", "width", "height"):
        if getattr(record, name) is not None:
            result[name] = getattr(record, name)
    if record.regions:
        result["regions"] = [_region_to_json(region) for region in record.regions]
    result["conversations"] = [{"from": turn.role, "value": turn.value} for turn in record.conversations]
    if record.references:
        result["references"] = list(record.references)
    return {**result, **record.extra}


def read_records(path: str | Path) -> Iterator[Record]:
    """Read a JSON array or JSONL file, told apart by content; JSONL is read line by line.

    Raises:
        RecordError: The file is missing, is no JSON (the line is named), or holds something that is not a record.
    """
    file = RecordFile(path)
    for index in range(len(file)):
        yield parse_record(file.load(index), file=path, index=index)


def _region_to_json(region: Region) -> dict[str, Any]:
    result: dict[str, Any] = {"bbox": list(region.bbox)}
    for name in ("category", "phrase"):
        if getattr(region, name) is not None:
            result[name] = getattr(region, name)
    if region.attributes:
        result["attributes"] = dict(region.attributes)
    if region.polygon is not None:
        result["polygon"] = [list(point) for point in region.polygon]
    return {**result, **region.extra}


class _Parser:
    """Checks one record and knows where it stands, so that every error can say so.

    Each method reads one part and raises ``RecordError`` where it is bad; ``inspect.collecting`` reads on from there.
    """

    def __init__(self, file: object, index: int | None) -> None:
        self.file, self.index = file, index
        self.id: str | None = None

    def fail(self, message: str, field: str | None = None, kind: type[RecordError] = RecordError) -> NoReturn:
        raise kind(message, file=self.file, index=self.index, record=self.id, field=field)

    def record(self, obj: object) -> Record:
        if not isinstance(obj, dict):
            self.fail(f"a record is a JSON object, not {_kind(obj)}")
        self.id = self.identity(obj.get("id"))
        image = self.text(obj.get("image"), "image", optional=True)
        width, height = self.pixels(obj.get("width"), "width"), self.pixels(obj.get("height"), "height")
        self.check_size(obj)
        regions = [
            self.region(value, f"regions[{i}]") for i, value in enumerate(self.items(obj.get("regions"), "regions"))
        ]
        conversations = self.turns(obj.get("conversations"))
        references = [
            value if _is_text(value) else self.text(value, f"references[{i}]")
            for i, value in enumerate(self.items(obj.get("references"), "references"))
        ]
        extra = {key: value for key, value in obj.items() if key not in _RECORD_FIELDS}
        record = Record(self.id, image, width, height, tuple(regions), conversations, tuple(references), extra)
        self.check_tokens(record)
        return record

    def identity(self, value: object) -> str:
        # LLaVA's own files have both strings and numbers.
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(value, "id")

    def check_size(self, obj: Mapping[str, Any]) -> None:
        width_is_missing, height_is_missing = obj.get("width") is None, obj.get("height") is None
        if width_is_missing != height_is_missing:
            self.fail("width and height come together", "width" if width_is_missing else "height")

    def region(self, value: object, where: str) -> Region:
        if not isinstance(value, dict):
            self.fail(f"must be an object with a bbox, not {_kind(value)}", where)
        attributes = self.names(value.get("attributes"), f"{where}.attributes") or _EMPTY
        polygon = self.polygon(value.get("polygon"), f"{where}.polygon")
        return Region(
            bbox=self.box(value.get("bbox"), f"{where}.bbox"),
            category=self.text(value.get("category"), f"{where}.category", optional=True),
            phrase=self.text(value.get("phrase"), f"{where}.phrase", optional=True),
            attributes={
                name: text if _is_text(text) else self.text(text, f"{where}.attributes.{name}")
                for name, text in attributes.items()
            },
            polygon=polygon,
            extra={key: item for key, item in value.items() if key not in _REGION_FIELDS},
        )

    def names(self, value: object, where: str) -> Mapping[str, Any] | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            self.fail(f"must be an object of names and texts, not {_kind(value)}", where)
        return value

    def polygon(self, value: object, where: str) -> tuple[tuple[float, float], ...] | None:
        points = self.items(value, where)
        if not points:
            return None
        if len(points) < 3:
            self.fail(f"has {len(points)} points; an outline needs three", where)
        return tuple(self.point(point, f"{where}[{i}]") for i, point in enumerate(points))

    def box(self, value: object, where: str) -> Box:
        if not isinstance(value, list) or len(value) != 4:
            self.fail(f"must be a list of four numbers x1, y1, x2, y2, not {_kind(value)}", where)
        x1, y1, x2, y2 = [self.number(item, where, BoxError) for item in value]
        if not (x1 < x2 and y1 < y2):
            self.fail(
                f"box {value} encloses nothing: it must have x1 < x2 and y1 < y2 (is it x, y, width, height?)",
                where,
                BoxError,
            )
        return (x1, y1, x2, y2)

    def point(self, value: object, where: str) -> tuple[float, float]:
        if not isinstance(value, list) or len(value) != 2:
            self.fail(f"must be a point x, y, not {_kind(value)}", where)
        return (self.number(value[0], where), self.number(value[1], where))

    def turns(self, value: object) -> tuple[Turn, ...]:
        items = self.items(value, "conversations")
        if not items:
            self.fail("is missing or empty: a record needs at least one turn", "conversations")
        turns, due = [], "human"
        for position, item in enumerate(items):
            turns.append(self.turn(item, f"conversations[{position}]", due))
            # After a turn that is out of order the others count from there, so that one missing turn is one problem.
            role = item.get("from") if isinstance(item, dict) else None
            due = _NEXT_ROLE[role if isinstance(role, str) and role in _NEXT_ROLE else due]
        return tuple(turns)

    def turn(self, value: object, where: str, due: str) -> Turn:
        if not isinstance(value, dict):
            self.fail(f"must be an object with from and value, not {_kind(value)}", where)
        role = self.role(value.get("from"), f"{where}.from", due)
        text = self.text(value.get("value"), f"{where}.value")
        if role == "gpt" and text:
            self.check_answer(text, f"{where}.value")
        return Turn(role, text)

    def role(self, value: object, where: str, due: str) -> str:
        if value != due:
            self.fail(f"is {value!r} where {due!r} is due: turns alternate human, gpt, the human first", where)
        return due

    def check_answer(self, text: str, where: str) -> None:
        for token in (DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN):
            if token in text:
                self.fail(f"an answer may not contain {token}; only questions may", where)

    def check_tokens(self, record: Record) -> None:
        self.check_image_tokens(record)
        self.check_region_tokens(record)
        self.check_image(record)

    def check_image_tokens(self, record: Record) -> None:
        images = [turn.value.count(DEFAULT_IMAGE_TOKEN) for turn in record.conversations]
        if sum(images) > 1:
            self.fail(f"has {sum(images)} {DEFAULT_IMAGE_TOKEN} tokens; a record has one image", "conversations")
        if sum(images) != images[0]:
            self.fail(f"{DEFAULT_IMAGE_TOKEN} belongs in the first question", f"conversations[{images.index(1)}].value")

    def check_region_tokens(self, record: Record) -> None:
        tokens, regions = record.region_token_count, len(record.regions)
        if tokens != regions and not (record.has_image_token and tokens == 0):
            self.fail(
                f"the questions have {tokens} {DEFAULT_REGION_TOKEN} tokens and there are {regions} regions; "
                "each token takes the next region",
                "regions",
            )

    def check_image(self, record: Record) -> None:
        """An image is there if, and only if, the conversation speaks of it."""
        if record.image is None and (record.has_image_token or record.regions):
            what = "regions" if record.regions else DEFAULT_IMAGE_TOKEN
            self.fail(f"is missing, but the record has {what}", "image")
        if record.image is not None and not record.regions and not record.has_image_token:
            self.fail(
                f"no question has {DEFAULT_IMAGE_TOKEN} or {DEFAULT_REGION_TOKEN}: the model would not see the image",
                "conversations",
            )

    def items(self, value: object, where: str) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            self.fail(f"must be a list, not {_kind(value)}", where)
        return value

    def text(self, value: object, where: str, optional: bool = False) -> Any:
        """Return a text that is not blank; Any, because the type depends on ``optional``."""
        if _is_text(value) or (value is None and optional):
            return value
        if isinstance(value, str):
            self.fail("is empty", where)
        self.fail("is missing" if value is None else f"must be a text, not {_kind(value)}", where)

    def pixels(self, value: object, where: str) -> int | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            self.fail(f"must be a whole number of pixels above 0, not {_kind(value)}", where)
        if value > _LARGEST_SIDE:
            self.fail(f"is more than {_LARGEST_SIDE} pixels", where)
        return value

    def number(self, value: object, where: str, kind: type[RecordError] = RecordError) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail(f"must hold numbers, not {_kind(value)}", where)
        try:
            number = float(value)
        except OverflowError:  # a whole number of more than 308 digits
            number = math.inf
        if not math.isfinite(number):
            self.fail(f"has the number {number}; only finite numbers are places in an image", where, kind)
        return number


def _is_text(value: object) -> bool:
    """Whether a value is a text that is not blank."""
    return isinstance(value, str) and bool(value) and not value.isspace()


def _kind(value: object) -> str:
    """How JSON calls a value's type; short lists and plain values are shown."""
    if value is None:
        return "nothing"
    if isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, list):
        return repr(value) if len(value) <= 8 and not any(isinstance(i, dict | list) for i in value) else "a list"
    return "a text" if isinstance(value, str) else "an object"
