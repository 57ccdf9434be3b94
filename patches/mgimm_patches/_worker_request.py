"""What a request to the model worker says, checked before anything of it reaches the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mgimm_plugin.errors import MgimmError

MAX_NEW_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """The fields of a request, each with LLaVA's default where it is missing or null.

    Attributes:
        prompt: The prompt, with ``<image>`` and ``<region>`` tokens.
        images: Image files in base64.
        regions: Boxes, looked at where their image is known.
        temperature: Up to 0.001 is greedy, as LLaVA has it.
        top_p: Used where answers are sampled.
        max_new_tokens: Longest answer, at most ``MAX_NEW_TOKENS``.
        stop: Texts before which the answer ends.
    """

    prompt: str
    images: tuple[str, ...]
    regions: Any
    temperature: float
    top_p: float
    max_new_tokens: int
    stop: tuple[str, ...]

    @classmethod
    def read(cls, params: Any) -> WorkerRequest:
        """Read a request's JSON.

        Raises:
            MgimmError: It is no object, or a field is missing or has another form than it must have.
        """
        if not isinstance(params, Mapping):
            raise MgimmError("the request is no JSON object; send one with a prompt")
        given = {name: value for name, value in params.items() if value is not None}
        if not isinstance(given.get("prompt"), str):
            raise MgimmError(f"prompt {_is(given, 'prompt')}; send a text")
        images = given.get("images", [])
        if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
            raise MgimmError("images is no list of texts; send each image file in base64")
        stop = given.get("stop", ())
        stop = (stop,) if isinstance(stop, str) else stop
        if not isinstance(stop, list | tuple) or not all(isinstance(text, str) for text in stop):
            raise MgimmError(f"stop {_is(given, 'stop')}; send a text, or a list of texts")
        new_tokens = _number(given, "max_new_tokens", 256.0, 1.0)
        if new_tokens != int(new_tokens):
            raise MgimmError(f"max_new_tokens {_is(given, 'max_new_tokens')}; send a whole number")
        return cls(
            prompt=given["prompt"],
            images=tuple(images),
            regions=given.get("regions", []),
            temperature=_number(given, "temperature", 1.0, 0.0),
            top_p=_number(given, "top_p", 1.0, 0.0, 1.0),
            max_new_tokens=min(int(new_tokens), MAX_NEW_TOKENS),
            stop=tuple(text for text in stop if text),
        )


def _number(given: Mapping[str, Any], name: str, default: float, least: float, most: float = math.inf) -> float:
    """A finite number within bounds; one in quotes is one too, as it always was for this endpoint."""
    try:
        number = float(given.get(name, default))
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (least <= number <= most and math.isfinite(number)):
        bounds = f"of at least {least:g}" if math.isinf(most) else f"from {least:g} to {most:g}"
        raise MgimmError(f"{name} {_is(given, name)}; send a number {bounds}")
    return number


def _is(given: Mapping[str, Any], name: str) -> str:
    return f"is {str(given[name])[:100]!r}" if name in given else "is missing"
