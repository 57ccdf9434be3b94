"""Asking the model what the page asks: regions, the whole image, and a conversation about both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN, IMAGE_QUESTION, REGION_QUESTION
from mgimm_plugin.data.record_types import Box
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.webpage.models import Options
from mgimm_plugin.webpage.session import Drawing, DrawnBox, Session, Turn

if TYPE_CHECKING:
    from mgimm_plugin.growing_answers import GrowingAnswer
    from mgimm_plugin.predictor import Predictor, Question

_NUMBER: Final = r"#?\d{1,4}\b(?!\.\d|,\d{3}\b)"
"""No part of 2.5, nor of 2,500."""
_TO: Final = r"(?:\s*[-–]\s*|\s+(?:to|through)\s+)"
_AND: Final = r"(?:\s*,\s*(?:and|or)\s+|\s+(?:and|or)\s+|\s*&\s*)"
_SPAN: Final = rf"{_NUMBER}(?:{_TO}{_NUMBER})?"
# In "in region 1, 20 planes are parked" 20 is a count. After one region, or after "and", a comma leads to another only
# in what is plainly a list: it has an "and" to come, or ends where the sentence or a part of it does.
_LISTED: Final = rf"(?:\s*,\s*{_SPAN})+(?:{_AND}{_SPAN}|(?=\s*(?:[.;:?!)]|\Z)))"
_MENTION: Final = re.compile(
    rf"\b(?:regions\s*{_SPAN}(?:\s*,\s*{_SPAN})*|region\s*{_SPAN})(?:{_AND}{_SPAN}|{_LISTED})*", flags=re.IGNORECASE
)
_RANGE: Final = re.compile(rf"(\d+){_TO}#?(\d+)", flags=re.IGNORECASE)
_THROUGH: Final = re.compile(r"(\d+)\s+through\s+#?(\d+)", flags=re.IGNORECASE)
_NAMED: Final = re.compile(r"^regions?\s*", flags=re.IGNORECASE)

_ROWS: Final = 16
"""Of a batch at the model, where each beam of a question is one: they share the GPU's memory."""


def describe_regions(predictor: Predictor, drawing: Drawing, options: Options) -> Iterator[list[GrowingAnswer]]:
    """Describe all boxes, in batches; yields all answers after each step.

    Raises:
        MgimmError: There are no boxes, or a question cannot be asked.
    """
    from mgimm_plugin.predictor import Question

    if not drawing.boxes:
        raise MgimmError("there are no boxes: draw some on the image first")
    image = predictor.encode_image(drawing.image)
    text = f"{DEFAULT_REGION_TOKEN}\n{REGION_QUESTION}"
    yield from _grow(predictor, [Question(image, text, (box.bbox,)) for box in drawing.boxes], options)


def describe_image(
    predictor: Predictor, drawing: Drawing, options: Options, *, guided: bool
) -> Iterator[GrowingAnswer]:
    """Describe the image, guided by its boxes or without them; yields the answer after each step."""
    from mgimm_plugin.predictor import Question

    boxes = tuple(box.bbox for box in drawing.boxes) if guided else ()
    head = [DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN * len(boxes), IMAGE_QUESTION]
    question = Question(drawing.image, "\n".join(part for part in head if part), boxes)
    for (answer,) in _grow(predictor, [question], options):
        yield answer


def reply(
    predictor: Predictor, drawing: Drawing, session: Session, message: str, options: Options
) -> Iterator[GrowingAnswer]:
    """Answer a message of the chat, in the light of those before; "region 2" in it stands for box 2.

    The turn is kept in the session when the answer has ended, or as far as it had come when it was stopped; not when
    another conversation has begun meanwhile.

    Raises:
        MgimmError: The message is empty, or speaks of a region that is not there.
    """
    from mgimm_plugin.predictor import Question

    turns = session.turns
    text, boxes = with_regions(message, drawing.boxes)
    if not turns:
        text = f"{DEFAULT_IMAGE_TOKEN}\n{text}"
    earlier = tuple(said for turn in turns for said in (turn.text, turn.answer))
    all_boxes = [box for turn in turns for box in turn.boxes] + boxes
    answer = None
    try:
        for (answer,) in _grow(predictor, [Question(drawing.image, text, all_boxes, earlier=earlier)], options):
            yield answer
    finally:
        if answer is not None and answer.text and session.turns is turns:
            turns.append(Turn(message, text, tuple(boxes), answer.text))


def with_regions(message: str, boxes: Sequence[DrawnBox]) -> tuple[str, list[Box]]:
    """Put ``<region>`` where a message says "region N", and several where it says "regions N, M and K".

    Args:
        message: The visitor's words.
        boxes: The boxes, the first is region 1.

    Returns:
        The text for the model, and the boxes of its tokens.

    Raises:
        MgimmError: It is empty, or there is no such region.
    """
    # The visitor's own words must not become tokens that count images and boxes.
    for token in (DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN):
        message = message.replace(token, " ")
    if not message.strip():
        raise MgimmError("there is no question: write one first")
    found: list[Box] = []

    def token_of(written: re.Match[str]) -> str:
        number = int(written[1])
        if not 1 <= number <= len(boxes):
            raise MgimmError(f"there is no region {number}; the image has {len(boxes)}")
        found.append(boxes[number - 1].bbox)
        return DEFAULT_REGION_TOKEN

    def numbers_of(ends: re.Match[str]) -> str:
        first, last = int(ends[1]), int(ends[2])
        if last > len(boxes):
            raise MgimmError(f"there is no region {last}; the image has {len(boxes)}")
        return ", ".join(map(str, range(first, last + 1))) if first < last else f"{first}, {last}"

    def tokens(mention: re.Match[str]) -> str:
        # "Compare region 1 to 3" speaks of two, "regions 1 to 3" and "region 1 through 3" of three.
        ranges = _RANGE if mention[0].lower().startswith("regions") else _THROUGH
        numbers = ranges.sub(numbers_of, _NAMED.sub("", mention[0]))
        return re.sub(r"#?(\d+)", token_of, numbers)

    return _MENTION.sub(tokens, message.strip()), found


def _grow(predictor: Predictor, questions: Sequence[Question], options: Options) -> Iterator[list[GrowingAnswer]]:
    batch_size = max(1, _ROWS // options.beams)
    return predictor.stream_answers(questions, batch_size=batch_size, num_beams=options.beams, **options.sampling)
