"""What a request may say: OpenAI's chat completions, and regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError, PydanticKnownError

from mgimm_plugin.constants import MIN_TEMPERATURE
from mgimm_plugin.serve.settings import Limits, RequestRefused

DEFAULT_NEW_TOKENS = 200


class _Strict(BaseModel):
    # A number in quotes is not a number, NaN is none either, and a field that does nothing is told, not ignored.
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class TextPart(_Strict):
    """Words of a message."""

    type: Literal["text"]
    text: str


class ImageUrl(_Strict):
    """Where an image is."""

    url: str
    detail: Literal["auto", "low", "high"] = "auto"  # a tower has one resolution


class ImagePart(_Strict):
    """The image of a conversation."""

    type: Literal["image_url"]
    image_url: ImageUrl


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _as_region(region: object) -> object:
    return {"bbox": region} if isinstance(region, list) else region


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _nothing(value: object) -> None:
    if value not in (None, "", []):
        raise PydanticKnownError("extra_forbidden")


def _no_overflow(temperature: float) -> float:
    if 0 < temperature < MIN_TEMPERATURE:
        raise PydanticCustomError("temperature_too_low", f"use 0 for greedy, or at least {MIN_TEMPERATURE}")
    return temperature


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]
Content = Annotated[list[Part], BeforeValidator(_as_parts), Field(min_length=1)]


StopTexts = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=4)]
Nothing = Annotated[None, BeforeValidator(_nothing)]


class Message(_Strict):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    name: str | None = None
    # Answers have these, empty here, and clients send an answer back as it came.
    refusal: Nothing = None
    annotations: Nothing = None
    audio: Nothing = None
    tool_calls: Nothing = None
    function_call: Nothing = None


class Region(_Strict):
    """A box, and what the client calls it (which the model is not told)."""

    bbox: Annotated[list[float], Field(min_length=4, max_length=4)]
    label: Annotated[str, Field(max_length=200)] | None = None


class StreamOptions(_Strict):
    """How a stream ends."""

    include_usage: bool = False


class ChatRequest(_Strict):
    """The body of ``POST /v1/chat/completions``.

    Attributes:
        regions: Boxes of the image, for the ``<region>`` tokens of the messages in their order.
        box_units: ``pixels`` of the image as it was sent, or ``fractions`` of its width and height.
    """

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    regions: list[Annotated[Region, BeforeValidator(_as_region)]] = []
    box_units: Literal["pixels", "fractions"] = "pixels"
    temperature: Annotated[float, Field(ge=0, le=2), AfterValidator(_no_overflow)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: Annotated[StopTexts | None, BeforeValidator(_as_list)] = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    # Clients send these by default; other values would change nothing here.
    top_p: Annotated[float, Field(ge=1, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    logprobs: Literal[False] | None = None
    user: str | None = None

    @property
    def new_tokens(self) -> int:
        """Longest answer, in tokens."""
        return self.max_completion_tokens or self.max_tokens or DEFAULT_NEW_TOKENS


def read_request(body: bytes, limits: Limits) -> ChatRequest:
    """Read a request.

    Raises:
        RequestRefused: The first thing that is wrong with it.
    """
    # A body is large because of its image, one text. Many small values would take a hundred times their bytes when they
    # are read, and minutes when each of them is wrong.
    if sum(map(body.count, (b",", b"[", b"{"))) > limits.body_values:
        raise RequestRefused(
            f"the body has more than {limits.body_values} commas and brackets; ask for less at once", status=413,
            code="body_too_large",
        )  # fmt: skip
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise _refusal(first) from error


def _refusal(error: ErrorDetails) -> RequestRefused:
    field = field_path(error["loc"])
    if error["type"] == "json_invalid":
        return RequestRefused(f"the body is not JSON: {error['msg']}; send one JSON object", code="invalid_json")
    if error["type"] == "extra_forbidden":
        return RequestRefused(f"{field} is not supported; leave it out", param=field, code="unknown_parameter")
    if error["type"] == "missing":
        return RequestRefused(f"{field} is missing; send it", param=field, code="missing_required_parameter")
    name = field or "the body"
    return RequestRefused(f"{name}: {error['msg'][0].lower()}{error['msg'][1:]}", param=field or None)


def field_path(places: Sequence[int | str]) -> str:
    """``messages[0].content[1].text`` for the place of an error; the kind of a part is no field and left out."""
    path, before = "", ""
    for at, place in enumerate(places):
        if isinstance(place, int):
            path += f"[{place}]"
        elif not (at >= 2 and isinstance(places[at - 1], int) and before == "content"):
            path += f".{place}" if path else place
        before = place if isinstance(place, str) else before
    return path
