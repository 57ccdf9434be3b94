"""Answers while they grow, for readers that do not wait for the end."""

from __future__ import annotations

import math
import queue
import threading
import traceback
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

from mgimm_plugin.growing_text import UNFINISHED, GrowingText
from mgimm_plugin.model.listening import OnToken

_LONGEST_SILENCE = 0.5
"""In seconds."""


@dataclass(frozen=True, slots=True)
class GrowingAnswer:
    """An answer so far.

    Attributes:
        text: The words.
        confidence: exp of the mean log-probability of the tokens, in (0, 1]; nan where none was told yet. The token
            that ends the answer counts as well.
        done: Whether it has ended.
    """

    text: str
    confidence: float
    done: bool


def growing_answers(
    answer: Callable[[OnToken, Callable[[], bool]], list[str]],
    count: int,
    end_ids: Collection[int],
    decode: Callable[[list[int]], str],
) -> Generator[list[GrowingAnswer]]:
    """Run a model in a thread of its own and show all its answers as often as there is news of one.

    Closing the iterator ends the answers, without waiting for the step that the model is at: who asks the predictor
    next waits for it.

    Args:
        answer: Asks the model and returns the texts, given what hears of each token and what says that nobody wants
            the answers any more, as in ``Predictor.answer``.
        count: Number of answers.
        end_ids: Tokens that end an answer.
        decode: Turns the tokens of an answer into its text.

    Yields:
        All answers so far, in the order of the questions; at last all are done.
    """
    closed = threading.Event()
    heard: queue.SimpleQueue[tuple[int, int, float] | None] = queue.SimpleQueue()
    failures: list[Exception] = []
    texts: list[str] = []

    def hear(place: int, token: int, log_probability: float) -> bool:
        heard.put((place, token, log_probability))
        return closed.is_set()

    def work() -> None:
        try:
            texts.extend(answer(hear, closed.is_set))
        except Exception as error:  # whatever it is, it belongs to the reader, who would wait for ever
            traceback.clear_frames(error.__traceback__)  # they hold tensors for as long as somebody has the error
            failures.append(error)
        finally:
            heard.put(None)

    rows = [_Row() for _ in range(count)]
    threading.Thread(target=work, name="mgimm-answers", daemon=True).start()
    try:
        # Who reads slowly finds several tokens at a time, not a line of old states. Who waits for long is shown the
        # same again, because only there can a reader leave.
        while True:
            with suppress(queue.Empty):
                if (news := heard.get(timeout=_LONGEST_SILENCE)) is None:
                    break
                rows[news[0]].hear(*news[1:], end_ids)
            if heard.empty():
                yield [row.so_far(decode) for row in rows]
    finally:
        closed.set()
    if failures:
        raise failures.pop()  # or it would be in a circle with this frame, until the garbage collector comes
    yield [GrowingAnswer(text, row.confidence, True) for text, row in zip(texts, rows, strict=True)]


def pieces(answers: Generator[list[GrowingAnswer]]) -> Iterator[str]:
    """The one answer of a batch of one piece by piece; closing the iterator closes ``answers``."""
    text = GrowingText()
    with closing(answers):
        for (answer,) in answers:
            if piece := text.rest(answer.text) if answer.done else text.grow(answer.text)[0]:
                yield piece


class _Row:
    """The tokens of one answer."""

    def __init__(self) -> None:
        self.done = False
        self._ids: list[int] = []
        self._log_probabilities: list[float] = []
        self._text: str | None = ""

    def hear(self, token: int, log_probability: float, end_ids: Collection[int]) -> None:
        self._log_probabilities.append(log_probability)
        if token in end_ids:
            self.done = True
        else:
            self._ids.append(token)
            self._text = None

    def so_far(self, decode: Callable[[list[int]], str]) -> GrowingAnswer:
        if self._text is None:
            self._text = decode(self._ids)
        return GrowingAnswer(self._text if self.done else self._text.rstrip(UNFINISHED), self.confidence, self.done)

    @property
    def confidence(self) -> float:
        heard = self._log_probabilities
        return math.exp(math.fsum(heard) / len(heard)) if heard else math.nan
