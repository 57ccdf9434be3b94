"""What one visitor has drawn and been told. Nothing here is shared between visitors."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from mgimm_plugin.data.record_types import Box
from mgimm_plugin.errors import BoxError, ImageError, MgimmError
from mgimm_plugin.geometry import clip_boxes

if TYPE_CHECKING:
    from mgimm_plugin.growing_answers import GrowingAnswer

COLORS: Final = ("#e4572e", "#17a398", "#7b5cd6", "#d99a00", "#2f7ed8", "#c2318c", "#5a8f29", "#8a5a44")
"""Of boxes that are not drawn with the mouse, by number, in turn."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the page takes.

    Attributes:
        image_bytes: Largest upload.
        pixels: Largest image.
        boxes: Most boxes on an image.
        pasted: Longest pasted text, in characters.
        written: Longest question or correction, in characters.
        waiting: Most requests that wait for the model.
    """

    image_bytes: int = 20_000_000
    pixels: int = 50_000_000
    boxes: int = 32
    pasted: int = 200_000
    written: int = 1000
    waiting: int = 16


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box and what the visitor calls it.

    Attributes:
        bbox: xyxy in pixels of the image.
        label: Empty where there is none.
        color: ``#rrggbb``, as the drawing component shows it; empty where it has not been shown yet.
    """

    bbox: Box
    label: str = ""
    color: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """An image with boxes.

    Attributes:
        image: RGB.
        boxes: In the order of their numbers, the first is number 1.
    """

    image: Image.Image
    boxes: tuple[DrawnBox, ...]

    @property
    def digest(self) -> str:
        """What tells the image from others: a hash of its size and pixels."""
        key = repr(self.image.size).encode()
        return hashlib.blake2b(self.image.tobytes(), key=key, digest_size=16).hexdigest()


@dataclass(slots=True)
class Row:
    """What was said of a box.

    Attributes:
        box: The box.
        phrase: The model's words, or the visitor's correction of them.
        confidence: exp of the mean log-probability of its tokens; nan where it is not known.
        model: Who said it; empty for a visitor.
        moment: ``Session.next_moment`` when it was asked for, or corrected.
    """

    box: DrawnBox
    phrase: str = ""
    confidence: float = math.nan
    model: str = ""
    moment: int = 0


@dataclass(frozen=True, slots=True)
class Description:
    """What was said of the whole image.

    Attributes:
        text: The words.
        boxes: Those that guided it.
        model: Who said it; empty for a visitor.
        moment: ``Session.next_moment`` when it was asked for, or corrected.
    """

    text: str
    boxes: tuple[DrawnBox, ...]
    model: str
    moment: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """A question of the chat and its answer.

    Attributes:
        message: The visitor's words.
        text: The question as the model was asked.
        boxes: Of the ``<region>`` tokens of ``text``.
        answer: The model's words.
    """

    message: str
    text: str
    boxes: tuple[Box, ...]
    answer: str


@dataclass(slots=True)
class Session:
    """One visitor's answers, all of them about one image.

    Attributes:
        image: ``Drawing.digest``; empty where there is none.
        size: (width, height) of the image.
        rows: One a box.
        description: Of the whole image; None before there is one.
        turns: The chat; another list for each conversation.
        moment: The last one; it only grows, with another image too.
    """

    image: str = ""
    size: tuple[int, int] = (1, 1)
    rows: list[Row] = field(default_factory=list)
    description: Description | None = None
    turns: list[Turn] = field(default_factory=list)
    moment: int = 0

    def show(self, drawing: Drawing) -> bool:
        """Take over a drawing; what was said of a box that has not moved stays, and nothing that is of another image.

        Returns:
            Whether the image is another one than before.
        """
        image = drawing.digest
        is_another = image != self.image
        if is_another:
            self.clear()
            self.image, self.size = image, drawing.image.size
        said = {row.box.bbox: row for row in self.rows}
        self.rows = [replace(said.get(box.bbox, Row(box)), box=box) for box in drawing.boxes]
        return is_another

    def clear(self) -> None:
        """Forget everything: there is no image any more."""
        self.image, self.size, self.rows, self.description = "", (1, 1), [], None
        self.forget_chat()

    def next_moment(self) -> int:
        """What puts questions and corrections in order: an answer may still grow when it is corrected."""
        self.moment += 1
        return self.moment

    def hear(self, boxes: Sequence[DrawnBox], answers: Sequence[GrowingAnswer], model: str, moment: int) -> None:
        """Take over what is said of boxes, where they still are: a visitor may go on drawing and correcting meanwhile.

        Args:
            boxes: That were asked about.
            answers: One a box.
            model: Who answers.
            moment: Of the question; what was said of a box later stays.
        """
        said = {box.bbox: answer for box, answer in zip(boxes, answers, strict=True)}
        for row in self.rows:
            if (answer := said.get(row.box.bbox)) is not None and row.moment <= moment:
                row.phrase, row.confidence, row.model, row.moment = answer.text, answer.confidence, model, moment

    def hear_of_image(self, description: Description) -> None:
        """Take over what is said of the whole image; no words are no description, and what was said later stays."""
        if self.description is None or self.description.moment <= description.moment:
            self.description = description if description.text else None

    def forget_chat(self) -> None:
        """Begin a new conversation."""
        self.turns = []

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat, as the page shows it."""
        return [
            {"role": role, "content": content}
            for turn in self.turns
            for role, content in (("user", turn.message), ("assistant", turn.answer))
        ]


def read_drawing(value: Mapping[str, Any] | None, limits: Limits) -> Drawing:
    """Check what the drawing component holds.

    Args:
        value: Its value: ``image`` (RGB, or None), ``boxes``, the last one first, and ``orientation`` (quarter turns,
            clockwise).
        limits: What the page takes.

    Raises:
        MgimmError: There is no image, it or the number of its boxes is too large, or a box is none.
    """
    image = (value or {}).get("image")
    if not isinstance(image, Image.Image):
        raise ImageError("there is no image yet: upload one, or pick an example")
    if image.width * image.height > limits.pixels:
        raise ImageError(
            f"the image has {image.width}x{image.height} pixels; the most are {limits.pixels:,}: cut it into tiles"
        )
    turns = int((value or {}).get("orientation") or 0) % 4
    if turns:
        image = image.rotate(-90 * turns, expand=True)
    # The component puts a new box before the others; numbers must not change for it.
    drawn = reversed((value or {}).get("boxes") or ())
    boxes = [DrawnBox(_corners(box), str(box.get("label") or "").strip()[:80], _color(box)) for box in drawn]
    return Drawing(image, check_boxes(boxes, image.size, limits))


def without_beginnings(value: Mapping[str, Any]) -> dict[str, Any]:
    """What the drawing component holds, without the box that a visitor has just begun to draw: it has no area yet."""
    edges = (("xmin", "xmax"), ("ymin", "ymax"))
    boxes = [box for box in value.get("boxes") or () if all(box.get(low) != box.get(high) for low, high in edges)]
    return {**value, "boxes": boxes}


def check_boxes(boxes: Sequence[DrawnBox], size: tuple[int, int], limits: Limits) -> tuple[DrawnBox, ...]:
    """Clip boxes to an image of ``size`` (width, height).

    Raises:
        MgimmError: There are too many.
        BoxError: One encloses nothing of the image.
    """
    if len(boxes) > limits.boxes:
        raise MgimmError(f"there are {len(boxes)} boxes; the most are {limits.boxes}")
    try:
        clipped, _ = clip_boxes([box.bbox for box in boxes], *size)
    except BoxError as error:
        raise BoxError(error.message) from error  # it names the box by its corners; its place in a list says nothing
    return tuple(
        replace(box, bbox=(float(x1), float(y1), float(x2), float(y2)))
        for (x1, y1, x2, y2), box in zip(clipped, boxes, strict=True)
    )


def _corners(box: Mapping[str, Any]) -> Box:
    try:
        x1, y1, x2, y2 = (float(box[edge]) for edge in ("xmin", "ymin", "xmax", "ymax"))
    except (KeyError, TypeError, ValueError) as error:
        raise BoxError("a box needs four numbers: xmin, ymin, xmax and ymax") from error
    return (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def _color(box: Mapping[str, Any]) -> str:
    color = box.get("color")
    is_color = isinstance(color, Sequence) and len(color) == 3 and all(isinstance(part, int) for part in color)
    return "#" + "".join(f"{min(max(part, 0), 255):02x}" for part in color) if is_color else ""  # type: ignore[union-attr]


def check_written(text: str, limits: Limits) -> None:
    """See whether a question or a correction is short enough; the page's own limit binds no program.

    Raises:
        MgimmError: It is not.
    """
    if len(text) > limits.written:
        raise MgimmError(f"the text has {len(text):,} characters; the most are {limits.written:,}: write less")


def color_of(number: int, box: DrawnBox) -> str:
    """The color of a box: the one it is drawn in, else that of its number, counted from 1."""
    return box.color or COLORS[(number - 1) % len(COLORS)]


def ink_on(color: str) -> str:
    """Black or white, whichever can be read better on a color: by contrast ratio, as WCAG 2.2 defines it."""
    parts = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"
