"""A decoded JSON value, checked field by field and turned into a record."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.record_types import Box, Polygon, Record, Region, Turn
from mgimm_plugin.errors import BoxError, RecordError

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_NEXT_ROLE = MappingProxyType({"human": "gpt", "gpt": "human"})
_REGION_FIELDS = frozenset({"bbox", "category", "phrase", "attributes", "polygon"})
_SURROGATE = re.compile("[\ud800-\udfff]")
_LARGEST_SIDE = 2**31 - 1
_RECORD_FIELDS = frozenset({"id", "image", "width", "height", "regions", "conversations", "references"})
HALF_A_CHARACTER = "has half a character (a lone surrogate)"


def has_lone_surrogate(text: str) -> bool:
    r"""Whether a text cannot be written as UTF-8: JSON may say half of a pair, such as ``\ud83d``."""
    return not text.isascii() and _SURROGATE.search(text) is not None


class RecordParser:
    """Checks one record and knows where it stands, so that every error can say so.

    Each method reads one part and raises ``RecordError`` where it is bad; ``inspect.collecting`` reads on from there.
    """

    def __init__(self, file: object, index: int | None) -> None:
        self.file, self.index = file, index
        self.id: str | None = None

    def fail(self, message: str, field: str | None = None, kind: type[RecordError] = RecordError) -> NoReturn:
        """Raise an error of this place."""
        raise kind(message, file=self.file, index=self.index, record=self.id, field=field)

    def record(self, obj: object) -> Record:
        """A whole record."""
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
        """Its name."""
        # LLaVA's own files have both strings and numbers.
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(value, "id")

    def check_size(self, obj: Mapping[str, Any]) -> None:
        """Width and height come together."""
        width_is_missing, height_is_missing = obj.get("width") is None, obj.get("height") is None
        if width_is_missing != height_is_missing:
            self.fail("width and height come together", "width" if width_is_missing else "height")

    def region(self, value: object, where: str) -> Region:
        """One region."""
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
        """Attributes by name, or None."""
        if value is None:
            return None
        if not isinstance(value, dict):
            self.fail(f"must be an object of names and texts, not {_kind(value)}", where)
        if any(map(has_lone_surrogate, value)):
            self.fail(f"a name {HALF_A_CHARACTER}", where)
        return value

    def polygon(self, value: object, where: str) -> Polygon | None:
        """An outline, or None."""
        points = self.items(value, where)
        if not points:
            return None
        if len(points) < 3:
            self.fail(f"has {len(points)} points; an outline needs three", where)
        return tuple(self.point(point, f"{where}[{i}]") for i, point in enumerate(points))

    def box(self, value: object, where: str) -> Box:
        """Four finite numbers that enclose something."""
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
        """Two finite numbers."""
        if not isinstance(value, list) or len(value) != 2:
            self.fail(f"must be a point x, y, not {_kind(value)}", where)
        return (self.number(value[0], where), self.number(value[1], where))

    def turns(self, value: object) -> tuple[Turn, ...]:
        """The conversation."""
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
        """One turn."""
        if not isinstance(value, dict):
            self.fail(f"must be an object with from and value, not {_kind(value)}", where)
        role = self.role(value.get("from"), f"{where}.from", due)
        text = self.text(value.get("value"), f"{where}.value")
        if role == "gpt" and text:
            self.check_answer(text, f"{where}.value")
        return Turn(role, text)

    def role(self, value: object, where: str, due: str) -> str:
        """Whose turn it is."""
        if value != due:
            self.fail(f"is {value!r} where {due!r} is due: turns alternate human, gpt, the human first", where)
        return due

    def check_answer(self, text: str, where: str) -> None:
        """Tokens belong to questions."""
        for token in (DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN):
            if token in text:
                self.fail(f"an answer may not contain {token}; only questions may", where)

    def check_tokens(self, record: Record) -> None:
        """Tokens, regions and image agree."""
        self.check_image_tokens(record)
        self.check_region_tokens(record)
        self.check_image(record)

    def check_image_tokens(self, record: Record) -> None:
        """One image, in the first question."""
        images = [turn.value.count(DEFAULT_IMAGE_TOKEN) for turn in record.conversations]
        if sum(images) > 1:
            self.fail(f"has {sum(images)} {DEFAULT_IMAGE_TOKEN} tokens; a record has one image", "conversations")
        if sum(images) != images[0]:
            self.fail(f"{DEFAULT_IMAGE_TOKEN} belongs in the first question", f"conversations[{images.index(1)}].value")

    def check_region_tokens(self, record: Record) -> None:
        """A token for each region."""
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
        """A list; none for a field that is not there."""
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
            self.fail(HALF_A_CHARACTER if has_lone_surrogate(value) else "is empty", where)
        self.fail("is missing" if value is None else f"must be a text, not {_kind(value)}", where)

    def pixels(self, value: object, where: str) -> int | None:
        """A whole number of pixels, or None."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            self.fail(f"must be a whole number of pixels above 0, not {_kind(value)}", where)
        if value > _LARGEST_SIDE:
            self.fail(f"is more than {_LARGEST_SIDE} pixels", where)
        return value

    def number(self, value: object, where: str, kind: type[RecordError] = RecordError) -> float:
        """A finite number."""
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
    """Whether a value is a text that is not blank, and can be written as UTF-8."""
    return isinstance(value, str) and bool(value) and not value.isspace() and not has_lone_surrogate(value)


def _kind(value: object) -> str:
    """How JSON calls a value's type; short lists and plain values are shown."""
    if value is None:
        return "nothing"
    if isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, list):
        return repr(value) if len(value) <= 8 and not any(isinstance(i, dict | list) for i in value) else "a list"
    return "a text" if isinstance(value, str) else "an object"
