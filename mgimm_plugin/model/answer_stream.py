"""The answers of a batch while they grow, with how likely the model found its own words."""

from __future__ import annotations

import math
import queue
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import LogitsProcessor
from transformers.generation.streamers import BaseStreamer


@dataclass(frozen=True, slots=True)
class GrowingAnswer:
    """An answer so far.

    Attributes:
        text: The words.
        confidence: exp of the mean log-probability of the tokens, in (0, 1]; nan before the first one. The token that
            ends the answer counts as well.
        done: Whether it has ended.
    """

    text: str
    confidence: float
    done: bool


class AnswerStream(LogitsProcessor, BaseStreamer):
    """Collects the tokens of a batch: given to ``generate`` as streamer, and as the last logits processor too.

    Args:
        rows: Number of questions in the batch.
        end_ids: Tokens that end an answer.
        decode: Turns the tokens of an answer into its text.
    """

    def __init__(self, rows: int, end_ids: Collection[int], decode: Callable[[list[int]], str]) -> None:
        self._ids: list[list[int]] = [[] for _ in range(rows)]
        self._sums = [0.0] * rows
        self._done = [False] * rows
        self._end_ids, self._decode = end_ids, decode
        self._log_probabilities: Tensor | None = None
        self._snapshots: queue.SimpleQueue[list[GrowingAnswer] | None] = queue.SimpleQueue()

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Look at the scores ``[B, V]`` of a step; they stay as they are."""
        self._log_probabilities = scores.float().log_softmax(dim=-1)
        return scores

    def put(self, value: Tensor) -> None:
        """Take the tokens ``[B]`` of a step; what comes before the first step is the prompt."""
        if self._log_probabilities is None:
            return
        value = value.to(self._log_probabilities.device)
        chosen = self._log_probabilities.gather(1, value[:, None])[:, 0].tolist()
        for row, (token, log_probability) in enumerate(zip(value.tolist(), chosen, strict=True)):
            if not self._done[row]:
                self._ids[row].append(token)
                self._sums[row] += log_probability
                self._done[row] = token in self._end_ids
        self._snapshots.put(self._snapshot())

    def end(self) -> None:
        """No tokens follow: answers cut at the longest length are done, too."""
        self._done = [True] * len(self._done)
        self._snapshots.put(self._snapshot())
        self._snapshots.put(None)

    def __iter__(self) -> Iterator[list[GrowingAnswer]]:
        """Yield all answers of the batch after each step."""
        while (snapshot := self._snapshots.get()) is not None:
            yield snapshot

    def _snapshot(self) -> list[GrowingAnswer]:
        return [
            GrowingAnswer(self._decode(ids), math.exp(total / len(ids)) if ids else math.nan, done)
            for ids, total, done in zip(self._ids, self._sums, self._done, strict=True)
        ]
