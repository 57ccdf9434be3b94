"""How much the server takes on, and how it refuses what is more."""

from __future__ import annotations

from dataclasses import dataclass

from mgimm_plugin.errors import MgimmError, SettingError

_SPACE = " \t\n\r\v\f"
"""What ``bytes.strip`` takes from the key in a header."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, and all of them together, may take.

    Attributes:
        body_bytes: Size of a request's JSON.
        body_seconds: Time in which it has to arrive.
        bodies: Requests whose body is on its way; a client that holds it back takes one of these for ``body_seconds``.
        bodies_bytes: What has come of them, all together.
        body_values: Values in it, counted by what separates them; commas and brackets of the texts count as well.
        image_bytes: Size of an image file, decoded from its data URL or loaded.
        pixels: Pixels of an image.
        boxes: Regions of a request.
        prompt_chars: Characters of all messages; how many tokens there may be is the model's own limit.
        messages: Number of messages.
        new_tokens: Longest answer that can be asked for, in tokens.
        queue_length: Requests that may wait, once they have come; one more is told to come again.
        batch_size: Requests answered together.
        batch_seconds: How long a first request waits for others to be answered with.
        remote_bytes: Size of an image that is loaded from a URL.
        remote_seconds: Time for loading it, redirects included.
        remote_redirects: Redirects that are followed.
    """

    body_bytes: int = 32 << 20
    body_seconds: float = 30.0
    bodies: int = 512
    bodies_bytes: int = 2 << 30
    body_values: int = 32_000
    image_bytes: int = 20 << 20
    pixels: int = 64_000_000
    boxes: int = 64
    prompt_chars: int = 16_000
    messages: int = 64
    new_tokens: int = 1024
    queue_length: int = 64
    batch_size: int = 16
    batch_seconds: float = 0.02
    remote_bytes: int = 20 << 20
    remote_seconds: float = 10.0
    remote_redirects: int = 3


def usable_key(key: str | None) -> str | None:
    """An API key as clients can send it: without the white space around it, which a file or a shell may have added.

    Args:
        key: The key; None where none is asked for.

    Raises:
        SettingError: Nothing is left of it, or it has a control character, which no header can carry.
    """
    if key is None:
        return None
    key = key.strip(_SPACE)
    if not key:
        raise SettingError("the API key (--api-key, MGIMM_API_KEY) is empty; give one, or leave it out to ask for none")
    if any(letter < " " or letter == "\x7f" for letter in key):
        raise SettingError(
            "the API key (--api-key, MGIMM_API_KEY) has a line break or another control character, "
            "which no client can send; give one without"
        )
    return key


class RequestRefused(MgimmError):
    """A request that is not answered, as OpenAI's clients understand it.

    Args:
        message: What is wrong, and what to do.
        status: HTTP status.
        param: The field that is wrong, as a path such as ``messages[0].content``.
        code: A short word for programs.
        retry_after: Seconds after which the same request may be answered.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str = "invalid_value",
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.retry_after = status, param, code, retry_after

    def as_dict(self) -> dict[str, object]:
        """The body of the answer."""
        return error_body(str(self), status=self.status, param=self.param, code=self.code)


def error_body(message: str, *, status: int, param: str | None = None, code: str | None = None) -> dict[str, object]:
    """An error in OpenAI's form."""
    kinds = {401: "authentication_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
