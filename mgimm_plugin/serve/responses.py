"""Answers in OpenAI's form."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from mgimm_plugin.serve.batching import Finished

STREAM_END = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer to one request.

    Attributes:
        model: The served model's name.
        prompt_tokens: Tokens of the question, images and regions included.
    """

    model: str
    prompt_tokens: int
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, end: Finished) -> dict[str, Any]:
        """The answer in one piece."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": end.text, "refusal": None},
            "logprobs": None,
            "finish_reason": end.reason,
        }
        return {**self._head("chat.completion"), "choices": [choice], "usage": self._usage(end)}

    def opening(self) -> bytes:
        """The first event of a stream: who speaks."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> bytes:
        """An event with more text."""
        return self._chunk({"content": text})

    def ending(self, end: Finished, *, with_usage: bool) -> bytes:
        """The last events of a stream."""
        events = [self._chunk({}, end.reason)]
        if with_usage:
            events.append(sse({**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage(end)}))
        return b"".join((*events, STREAM_END))

    def _chunk(self, delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return sse({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _usage(self, end: Finished) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": end.tokens,
            "total_tokens": self.prompt_tokens + end.tokens,
        }


def sse(value: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
