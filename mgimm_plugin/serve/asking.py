"""From a request to a question for the predictor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.errors import ImageError, ImageTooLargeError, RecordError, SequenceTooLongError
from mgimm_plugin.geometry import fractions_to_pixels
from mgimm_plugin.predictor import Predictor, PreparedImage, Question
from mgimm_plugin.serve.images import open_request_image
from mgimm_plugin.serve.schema import ChatRequest, ImagePart, Message, TextPart
from mgimm_plugin.serve.settings import Limits, RequestRefused

_MOST_FRACTION = 1.01
"""Beyond 1 by no more than rounding."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A request that is checked as far as that goes without its image.

    Attributes:
        texts: Question and answer in turn, the question to answer last; ``<image>`` and ``<region>`` are in place.
        image_url: Where the image is.
        image_field: Where the request has it.
    """

    texts: tuple[str, ...]
    image_url: str | None
    image_field: str


def draft(request: ChatRequest, limits: Limits) -> Draft:
    """Bring a request's messages into the form that the model was tuned with.

    A message with the image gets ``<image>`` before its words, unless they have ``<image>`` or ``<region>`` themselves;
    regions that no message speaks of follow it, as in ``Predictor.describe_image``.

    Raises:
        RequestRefused: The messages, their image and the regions do not belong together, or are too many.
    """
    _check_counts(request, limits)
    first = 1 if request.messages[0].role in ("system", "developer") else 0
    _check_turns(request.messages, first)
    texts = [_text(message, f"messages[{at}]") for at, message in enumerate(request.messages)]
    url, field, owner = _image_of(request.messages, first)
    if first:
        texts = [f"{texts[0]}\n{texts[1]}", *texts[2:]]
    said = "".join(texts)
    if owner is not None and DEFAULT_IMAGE_TOKEN not in said and DEFAULT_REGION_TOKEN not in texts[owner]:
        regions = "" if DEFAULT_REGION_TOKEN in said else DEFAULT_REGION_TOKEN * len(request.regions)
        texts[owner] = "\n".join(part for part in (DEFAULT_IMAGE_TOKEN, regions, texts[owner]) if part)
    return Draft(tuple(texts), url, field)


def ask(
    request: ChatRequest, drafted: Draft, content: bytes | None, predictor: Predictor, limits: Limits
) -> tuple[Question, int]:
    """Read the image and check everything that the model would stumble over.

    Args:
        request: The request.
        drafted: What ``draft`` made of it.
        content: The image file.
        predictor: The model that will be asked; it is not asked here.
        limits: The server's limits.

    Returns:
        The question, and how many tokens it has.

    Raises:
        RequestRefused: The image cannot be read, a box is none, or the model has no room for the question.
    """
    image: PreparedImage | None = None
    boxes = [tuple(region.bbox) for region in request.regions]
    try:
        if content is not None:
            image = predictor.prepare_image(open_request_image(content, drafted.image_field, limits))
            if request.box_units == "fractions":
                _check_fractions(boxes)
                boxes = [tuple(fractions_to_pixels(box, *image.size).reshape(-1).tolist()) for box in boxes]
        *earlier, text = drafted.texts
        question = Question(image, text, boxes, earlier=tuple(earlier))
        return question, predictor.check(question, max_new_tokens=request.new_tokens)
    except ImageError as error:
        field = drafted.image_field
        too_large = isinstance(error, ImageTooLargeError)  # its own advice is for who starts the server
        told = f"{error.fact}; send it smaller, or cut it into tiles" if too_large else error.message
        message = told if field in told else f"{field}: {told}"
        raise RequestRefused(message, param=field, code="invalid_image") from error
    except SequenceTooLongError as error:
        length = "max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"
        raise RequestRefused(
            f"messages: {error.fact}; send less of the conversation or lower {length}", param="messages"
        ) from error
    except RecordError as error:
        field = error.field or "messages"
        raise RequestRefused(f"{field}: {error.message}", param=field) from error


def _check_counts(request: ChatRequest, limits: Limits) -> None:
    chars = sum(len(part.text) for m in request.messages for part in m.content if isinstance(part, TextPart))
    for number, limit, field, what in (
        (len(request.messages), limits.messages, "messages", "messages"),
        (chars, limits.prompt_chars, "messages", "characters of text"),
        (len(request.regions), limits.boxes, "regions", "regions"),
        (request.new_tokens, limits.new_tokens, "max_tokens", "new tokens"),
    ):
        if number > limit:
            raise RequestRefused(
                f"{field}: {number} {what} are more than the limit of {limit}; ask for less at once", param=field
            )


def _check_turns(messages: list[Message], first: int) -> None:
    """User and assistant alternate from the first turn on, the user first and last."""
    for at, message in enumerate(messages[first:]):
        role = "assistant" if at % 2 else "user"
        if message.role != role:
            field = f"messages[{at + first}].role"
            raise RequestRefused(
                f"{field} is {message.role!r} and must be {role!r}: user and assistant take turns, the user first, "
                "and instructions come before them",
                param=field,
            )
    if (len(messages) - first) % 2 == 0:
        raise RequestRefused("messages must end with one of the user: it is what is answered", param="messages")


def _image_of(messages: list[Message], first: int) -> tuple[str | None, str, int | None]:
    """URL and place of the one image, and the turn that shows it."""
    found = [
        (part.image_url.url, at, f"messages[{at}].content[{number}].image_url.url")
        for at, message in enumerate(messages)
        for number, part in enumerate(message.content)
        if isinstance(part, ImagePart)
    ]
    if not found:
        return None, "messages", None
    url, at, field = found[0]
    if messages[at].role != "user":
        raise RequestRefused(f"{field}: images are shown by the user only", param=field)
    if len(found) > 1:
        raise RequestRefused(
            f"messages have {len(found)} images; a conversation is about one: ask about each in a request of its own",
            param="messages",
        )
    return url, field, at - first


def _text(message: Message, field: str) -> str:
    text = "\n".join(part.text for part in message.content if isinstance(part, TextPart)).strip()
    if not text and message.role != "assistant":  # an answer is empty where it would begin with a stop text
        raise RequestRefused(f"{field}.content has no text; say what is asked", param=f"{field}.content")
    if message.role != "user" and (DEFAULT_IMAGE_TOKEN in text or DEFAULT_REGION_TOKEN in text):
        raise RequestRefused(
            f"{field}.content has {DEFAULT_IMAGE_TOKEN} or {DEFAULT_REGION_TOKEN}: the user alone shows",
            param=f"{field}.content",
        )
    return text


def _check_fractions(boxes: Sequence[Sequence[float]]) -> None:
    """Refuse what must be pixels: clipped to the image, such a box would be all of it, and nobody would be told."""
    for number, box in enumerate(boxes):
        if max(box) > _MOST_FRACTION:
            raise RecordError(
                f"{list(box)} are no fractions of the image, which end at 1; leave out box_units for pixels",
                field=f"regions[{number}].bbox",
            )
