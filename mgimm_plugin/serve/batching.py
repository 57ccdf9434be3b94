"""Waiting requests are answered together, by one thread.

Streamed and whole answers are the same thing here: a job hears of its pieces as its row of the batch grows. There is
one way through the model and one thread that takes it, so a stream needs no second generation beside the batches, and
an answer is what it is alone, streamed or not.

Jobs go together that have the same temperature; each has its own image, length and stop texts. What fails for one job
alone (``Predictor.check``) was looked for before it came here.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from mgimm_plugin.growing_text import GrowingText, cut_at_stop
from mgimm_plugin.predictor import Predictor, Question
from mgimm_plugin.serve.settings import Limits, RequestRefused

logger = logging.getLogger(__name__)

_FAILURES_IN_A_ROW = 3
"""So many failed batches are no longer the fault of what was asked."""


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of a streamed answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer.

    Attributes:
        text: The whole answer.
        tokens: How many tokens it took.
        reason: ``stop``, or ``length`` where it was cut.
    """

    text: str
    tokens: int
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no answer; the log says why."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """There is no answer, because the server stops."""


Event = Piece | Finished | Failed | Stopped


@dataclass(eq=False, slots=True)
class Job:
    """A question on its way; made in the event loop that listens to it.

    Attributes:
        question: What is asked.
        max_new_tokens: Longest answer.
        temperature: 0 is greedy.
        stop: Texts before which the answer ends.
        stream: Whether pieces are wanted.
        cancelled: Nobody listens any more: the job is dropped, or its row ends.
    """

    question: Question
    max_new_tokens: int
    temperature: float = 0.0
    stop: Sequence[str] = ()
    stream: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event)
    _events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def next_event(self) -> Event:
        """Wait for the next event; the last one is no ``Piece``."""
        return await self._events.get()

    def tell(self, event: Event) -> None:
        """Pass an event on, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:  # the loop is closed: the server is stopping
            self.cancelled.set()


class Observer(Protocol):
    """Hears what the batcher does."""

    def batch_started(self, size: int) -> None:
        """A batch of so many jobs goes to the model."""


class Batcher:
    """The queue, and the thread that works on it.

    Args:
        predictor: The model; nobody else asks it.
        limits: Length of the queue, size of a batch and how long it is waited for.
        observer: Hears of batches.
    """

    def __init__(self, predictor: Predictor, limits: Limits, observer: Observer) -> None:
        self._predictor, self._limits, self._observer = predictor, limits, observer
        self._waiting: deque[Job] = deque()
        self._running: Sequence[Job] = ()
        self._changed = threading.Condition()
        self._closed = False  # nothing more is taken
        self._stopped = False  # and what runs ends
        self._failures = 0
        self._thread = threading.Thread(target=self._work, name="mgimm-serve-model", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether requests are being worked on, and not in vain; after failures, the next success makes it true."""
        return self._thread.is_alive() and self._failures < _FAILURES_IN_A_ROW

    def __len__(self) -> int:
        """How many jobs wait that somebody waits for."""
        with self._changed:
            self._drop_cancelled()
            return len(self._waiting)

    def submit(self, job: Job) -> None:
        """Put a job into the queue.

        Raises:
            RequestRefused: The queue is full, or the server stops.
        """
        with self._changed:
            if self._closed:
                raise server_stops()
            self._drop_cancelled()
            if len(self._waiting) >= self._limits.queue_length:
                raise queue_is_full(len(self._waiting))
            self._waiting.append(job)
            self._changed.notify()

    def drain(self) -> None:
        """Take nothing more, and tell all who wait; the batch that runs goes on to its end."""
        with self._changed:
            self._closed = True
            while self._waiting:
                self._waiting.popleft().tell(Stopped())
            self._changed.notify()

    def stop(self) -> None:
        """End the batch that runs, too, and tell its clients without waiting for the model's next step."""
        self.drain()
        with self._changed:
            self._stopped = True
            for job in self._running:
                job.tell(Stopped())  # those that have their answer listen no more

    def close(self) -> None:
        """Stop, and wait until the model is still."""
        self.stop()
        self._thread.join()

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            if not batch:
                continue
            self._observer.batch_started(len(batch))
            try:
                self._answer(batch)
            except Exception as error:  # the thread's outermost frame: a defect of one batch must not end the server
                logger.exception("a batch of %d requests failed", len(batch))
                self._failures = _FAILURES_IN_A_ROW if _is_of_device(error) else self._failures + 1
                for job in batch:
                    job.tell(Failed())
            self._running = ()

    def _next_batch(self) -> list[Job] | None:
        """Wait for jobs that go together; [] where all that came have gone, None when the batcher is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            deadline = time.monotonic() + self._limits.batch_seconds
            while not self._closed and len(self._waiting) < self._limits.batch_size:
                if not self._changed.wait(deadline - time.monotonic()):
                    break
            self._drop_cancelled()
            if self._closed:
                return None
            first = self._waiting[0].temperature if self._waiting else 0.0
            fitting = [job for job in self._waiting if job.temperature == first][: self._limits.batch_size]
            for job in fitting:
                self._waiting.remove(job)
            self._running = fitting
        return fitting

    def _drop_cancelled(self) -> None:
        self._waiting = deque(job for job in self._waiting if not job.cancelled.is_set())

    def _answer(self, batch: Sequence[Job]) -> None:
        rows = [_Row(job, self._predictor, self._ending, self._succeed) for job in batch]
        self._predictor.answer(
            [job.question for job in batch],
            max_new_tokens=[job.max_new_tokens for job in batch],
            temperature=batch[0].temperature,
            batch_size=len(batch),
            on_token=lambda at, token, _: rows[at].hear(token),
        )

    def _ending(self) -> bool:
        return self._stopped

    def _succeed(self) -> None:
        self._failures = 0


def _is_of_device(error: Exception) -> bool:
    """Whether the GPU itself has failed: its context is lost then, and so is every batch of this process."""
    # torch 2.7 has no AcceleratorError; it raises a RuntimeError with these words, as cuBLAS and cuDNN still do.
    return isinstance(error, getattr(torch, "AcceleratorError", ())) or "CUDA error" in str(error)


def queue_is_full(waiting: int) -> RequestRefused:
    """What a client hears that comes when the queue is full."""
    return RequestRefused(
        f"the queue is full: {waiting} requests wait; try again in a second",
        status=429, code="queue_full", retry_after=1,
    )  # fmt: skip


def server_stops() -> RequestRefused:
    """What a client hears that waits for an answer, or comes, when the server stops."""
    return RequestRefused(
        "the server is being stopped; ask again when it is back",
        status=503, code="server_stopping", retry_after=5,
    )  # fmt: skip


class _Row:
    """One job's row of a batch."""

    def __init__(self, job: Job, predictor: Predictor, ending: Callable[[], bool], succeed: Callable[[], None]) -> None:
        self._job, self._decode, self._end_ids = job, predictor.decode, predictor.end_ids
        self._ending, self._succeed = ending, succeed
        self._ids: list[int] = []
        self._text = GrowingText(job.stop)

    def hear(self, token: int) -> bool:
        """Take a token of the answer; whether the answer ends here."""
        if token in self._end_ids:
            self.finish("stop")
            return True
        self._ids.append(token)
        if self._job.cancelled.is_set() or self._ending():
            return True
        if self._job.stream or self._job.stop:
            piece, stopped = self._text.grow(self._decode(self._ids))
            if piece and self._job.stream:
                self._job.tell(Piece(piece))
            if stopped:
                self.finish("stop")
                return True
        if len(self._ids) == self._job.max_new_tokens:
            self.finish("length")
            return True
        return False

    def finish(self, reason: str) -> None:
        """Tell the whole answer; the other rows of the batch may go on."""
        text = cut_at_stop(self._decode(self._ids), self._job.stop).rstrip()
        if self._job.stream and (piece := self._text.rest(text)):
            self._job.tell(Piece(piece))
        self._succeed()  # before it is told: who has an answer and then asks for /health must not hear of failures
        self._job.tell(Finished(text, len(self._ids), reason))
