"""Hearing of the tokens of a batch as they come, and ending answers from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, tensor
from transformers import LogitsProcessor, StoppingCriteria

OnToken = Callable[[int, int, float], bool]
"""Told of each token of an answer: which answer, the token's id and its log-probability; True ends the answer."""


class Reader:
    """Hears each token of a batch's answers, and says where an answer ends before its batch does.

    Args:
        rows: The position of each row's question.
        limits: Longest answer of each row, in tokens.
        end_ids: Tokens that end an answer.
        on_token: As in ``Predictor.answer``.

    Attributes:
        lengths: Tokens of each row so far, end tokens left out.
        has_told: Whether ``on_token`` was told of any.
    """

    def __init__(
        self, rows: Sequence[int], limits: Sequence[int], end_ids: Sequence[int], on_token: OnToken | None
    ) -> None:
        self._rows, self._limits, self._end_ids, self._on_token = rows, limits, end_ids, on_token
        self.lengths = [0] * len(rows)
        self.has_told = False

    def __call__(self, row: int, token: int, log_probability: float) -> bool:
        """Hear a token of a row that has not ended; whether it ends here."""
        enough = False
        if self._on_token is not None:
            self.has_told = True
            enough = self._on_token(self._rows[row], token, log_probability)
        if token in self._end_ids:
            return True
        self.lengths[row] += 1
        return enough or self.lengths[row] == self._limits[row]


def tell(on_token: OnToken, row: Tensor, tokens: Tensor, scores: Tensor, ended: Tensor) -> Tensor:
    """Pass the tokens of a step on.

    Args:
        on_token: Who hears of them.
        row: ``[B]``, which answer each row is.
        tokens: ``[B]`` ids.
        scores: ``[B, V]``, the model's own: logits, or logarithms of probabilities, before temperature and sampling.
        ended: ``[B]`` bool; nothing is told of these.

    Returns:
        ``[B]``, which rows have ended now.
    """
    chosen = scores.float().log_softmax(dim=-1).gather(1, tokens[:, None])[:, 0]
    said = zip(row.tolist(), tokens.tolist(), chosen.tolist(), ended.tolist(), strict=True)
    return tensor([over or on_token(place, token, score) for place, token, score, over in said], device=ended.device)


class ScoresAtHand(LogitsProcessor):
    """Keeps the scores ``[B, V]`` of the next token, before temperature and sampling, and hands them on as they are."""

    scores: Tensor

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores."""
        self.scores = scores
        return scores


class EndWhereTold(StoppingCriteria):
    """Tells of the tokens of a batch that transformers samples; rows that have ended stay in the batch to its end.

    Args:
        on_token: Who hears of them.
        at_hand: The last logits processor of the same ``generate``.
    """

    def __init__(self, on_token: OnToken, at_hand: ScoresAtHand) -> None:
        self._on_token, self._at_hand = on_token, at_hand
        self._ended: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """``[B]``: which rows of ids ``[B, new tokens]`` have ended."""
        tokens = input_ids[:, -1]
        ended = tokens.new_zeros(len(tokens)).bool() if self._ended is None else self._ended
        row = tokens.new_tensor(range(len(tokens)))
        self._ended = tell(self._on_token, row, tokens, self._at_hand.scores, ended)
        return self._ended


class EndWhenUnwanted(StoppingCriteria):
    """Ends all answers of a batch when nobody wants them any more; for a search of which no tokens are told.

    Args:
        is_unwanted: Asked at each step.
    """

    def __init__(self, is_unwanted: Callable[[], bool]) -> None:
        self._is_unwanted = is_unwanted

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """``[B]``, all the same."""
        return input_ids.new_full((len(input_ids),), self._is_unwanted(), dtype=torch.bool)
