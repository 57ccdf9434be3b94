"""Hearing of the tokens of a batch as they come, and ending answers from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import StoppingCriteria


class Reader:
    """Hears each token of a batch's answers, and says where an answer ends before its batch does.

    Args:
        rows: The position of each row's question.
        limits: Longest answer of each row, in tokens.
        end_ids: Tokens that end an answer.
        on_token: As in ``Predictor.answer``.

    Attributes:
        lengths: Tokens of each row so far, end tokens left out.
    """

    def __init__(
        self,
        rows: Sequence[int],
        limits: Sequence[int],
        end_ids: Sequence[int],
        on_token: Callable[[int, int], bool] | None,
    ) -> None:
        self._rows, self._limits, self._end_ids, self._on_token = rows, limits, end_ids, on_token
        self.lengths = [0] * len(rows)

    def __call__(self, row: int, token: int) -> bool:
        """Hear a token of a row that has not ended; whether it ends here."""
        enough = self._on_token is not None and self._on_token(self._rows[row], token)
        if token in self._end_ids:
            return True
        self.lengths[row] += 1
        return enough or self.lengths[row] == self._limits[row]


class EndWhereTold(StoppingCriteria):
    """Ends the rows of a sampled batch where their reader says so; all rows stay in the batch to its end."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._ended = [False] * len(reader.lengths)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """``[B]``: which rows of ids ``[B, new tokens]`` have ended."""
        for row, token in enumerate(input_ids[:, -1].tolist()):
            self._ended[row] = self._ended[row] or self._reader(row, token)
        return torch.tensor(self._ended, device=input_ids.device)


class StopWhen(StoppingCriteria):
    """Ends generation at the next word once an event is set."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """``[B]``: all rows, once the event is set."""
        return torch.full((len(input_ids),), self._event.is_set(), dtype=torch.bool, device=input_ids.device)
