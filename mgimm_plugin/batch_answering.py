"""Questions at the model, batch by batch; a batch that does not fit the GPU's memory is answered in halves."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import torch
from transformers import GenerationConfig

from mgimm_plugin.model.listening import OnToken, Reader
from mgimm_plugin.model.searching import search
from mgimm_plugin.question_encoder import QuestionEncoder
from mgimm_plugin.questions import EncodedImage, Question

logger = logging.getLogger(__name__)


class BatchAnswering:
    """The questions of one call, on their way through the model.

    Args:
        encoder: Makes their batches; the model that it makes them for is asked.
        questions: The questions.
        limits: Longest answer of each, in tokens.
        settings: What ``search_settings`` returns for ``max_new_tokens``.
        on_token: As in ``Predictor.answer``.
        is_unwanted: As in ``Predictor.answer``.

    Raises:
        RecordError: A question that cannot be asked, by its id; the subclass says why.
    """

    def __init__(
        self,
        encoder: QuestionEncoder,
        questions: Sequence[Question],
        limits: Sequence[int],
        settings: Callable[..., GenerationConfig],
        on_token: OnToken | None,
        is_unwanted: Callable[[], bool] | None,
    ) -> None:
        self._encoder, self._questions, self._limits, self._settings = encoder, questions, limits, settings
        self._on_token, self._is_unwanted = on_token, is_unwanted
        self._prompts = [encoder.tokenize(q, limit) for q, limit in zip(questions, limits, strict=True)]
        self._at_hand: dict[object, EncodedImage] = {}

    def batches(self, size: int) -> Iterator[tuple[Sequence[int], list[list[int]]]]:
        """Ask in batches of similar length, for as long as the answers are wanted.

        Args:
            size: Questions in a batch.

        Yields:
            The positions of a batch's questions, and the token ids of each answer, as ``search`` returns them.

        Raises:
            torch.OutOfMemoryError: A question does not fit by itself, or a batch does no longer whose first words were
                told; a note says how long they are.
        """
        # Longest first: a batch too large for the memory fails at once. The sort is stable, so that neighbours, which
        # often share an image, stay together.
        order = sorted(range(len(self._questions)), key=lambda i: -len(self._prompts[i]))
        waiting = deque(order[start : start + size] for start in range(0, len(order), size))
        while waiting and not (self._is_unwanted is not None and self._is_unwanted()):
            rows = waiting.popleft()
            if len(rows) > size:  # more did not fit before
                waiting.appendleft(rows[size:])
                rows = rows[:size]
            new_ids = self._ask(rows)
            if new_ids is None:
                _tell_of_halves(len(rows))
                size = (len(rows) + 1) // 2
                waiting.extendleft((rows[size:], rows[:size]))
            else:
                yield rows, new_ids

    def _ask(self, rows: Sequence[int]) -> list[list[int]] | None:
        """The token ids of each answer of a batch; None where it does not fit; its cache is free again then."""
        questions, prompts = [self._questions[i] for i in rows], [self._prompts[i] for i in rows]
        wanted = [self._limits[i] for i in rows]
        settings = self._settings(max_new_tokens=max(wanted))
        listens = self._on_token is not None or len(set(wanted)) > 1
        reader = Reader(rows, wanted, settings.eos_token_id, self._on_token) if listens else None
        clipped = self._encoder.clipped_boxes
        try:
            batch = self._encoder.batch(questions, prompts, self._at_hand)
            return search(self._encoder.model, batch, settings, reader, self._is_unwanted)
        except torch.OutOfMemoryError as error:
            if len(rows) == 1 or (reader is not None and reader.has_told):
                error.add_note(self._too_small_for(questions, wanted))
                raise
        self._encoder.clipped_boxes = clipped  # the halves count theirs
        return None

    def _too_small_for(self, questions: Sequence[Question], limits: Sequence[int]) -> str:
        longest = max(map(self._encoder.check, questions, limits))
        first = "a question" if questions[0].id is None else f"the question of record {questions[0].id}"
        who = first if len(questions) == 1 else f"{len(questions)} questions together"
        return f"the GPU's memory is too small for {who} (up to {longest} tokens, and {max(limits)} of an answer)"


@cache  # once for each size: an evaluation may have hundreds of such batches
def _tell_of_halves(rows: int) -> None:
    logger.warning("%d questions together did not fit the GPU's memory and are answered in halves", rows)
