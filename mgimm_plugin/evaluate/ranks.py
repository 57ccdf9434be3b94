"""Several processes that evaluate one model together, as torchrun or another launcher starts them.

They keep in touch through the launcher's key-value store alone: no process group is needed, and none is in the way.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from mgimm_plugin.errors import MgimmError

_JOINING = timedelta(minutes=30)
"""How long the first rank waits for the others to start."""
_LOOK_AROUND_S = 0.1
"""How often a rank that waits for another looks whether it is there, or has failed."""
_BEAT_S = 3.0
"""How often each rank shows that it is alive: a rank that was killed tells nobody, nor does every launcher."""
_MISSED_BEATS = 20
"""A rank is lost once another has beaten so often in its silence: beats, since all may have been suspended together."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those of its evaluation.

    Attributes:
        rank: Its number, from 0.
        count: How many there are.
        store: What they share, a ``torch.distributed.Store``; None for a single process.
    """

    rank: int = 0
    count: int = 1
    store: Any = None

    @property
    def is_first(self) -> bool:
        """Whether this one writes the results."""
        return self.rank == 0

    def batches(self, todo: Sequence[int], size: int) -> Iterator[tuple[int, list[int]]]:
        """Take the next batch whenever this rank is free, so that none waits for one whose answers are long.

        The batches are those of a single process, whatever the number of ranks.

        Args:
            todo: Positions of the records; the same on all ranks.
            size: Records in a batch.

        Yields:
            Where in ``todo`` a batch starts, and the batch: a run of neighbours, which often share an image.

        Raises:
            MgimmError: Another rank has failed.
        """
        starts = range(0, len(todo), size)
        for number in range(len(starts)) if self.store is None else self._numbers():
            if number >= len(starts):
                return
            yield starts[number], list(todo[starts[number] : starts[number] + size])

    def wait(self) -> None:
        """Wait for all ranks."""
        self.gather(None)

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, by rank; they travel as JSON. All ranks call it equally often.

        Raises:
            MgimmError: Another rank has failed.
        """
        if self.store is None:
            return [value]
        with _in_touch():
            call = self.store.add(f"calls of {self.rank}", 1)
            self.store.set(f"{call} of {self.rank}", json.dumps(value))
            return [json.loads(self._read(f"{call} of {rank}")) for rank in range(self.count)]

    def leave(self) -> None:
        """End in agreement; the first rank, which may hold the store, goes last."""
        with _in_touch():
            self.store.set(f"{self.rank} left", "")
            if self.store.add("left", 1) == self.count:
                self.store.set("all left", "")
            if self.is_first:
                self._read("all left")

    def give_up(self) -> None:
        """Tell the others that this rank has failed."""
        from torch.distributed import DistError

        with suppress(DistError):  # the store itself may be what is gone
            self._stop_all(f"process {self.rank} has failed")

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Show that this rank is alive, in a thread of its own, and stop all ranks when another no longer is."""
        with _in_touch():
            self.store.add(f"{self.rank} alive", 1)
        done = threading.Event()
        thread = threading.Thread(target=self._beat, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(_BEAT_S)  # it may hang in a store that is gone

    def _beat(self, done: threading.Event) -> None:
        from torch.distributed import DistError

        watched = range(1, self.count) if self.is_first else range(1)  # the first one is the last to leave
        heard, missed = dict.fromkeys(watched, 0), dict.fromkeys(watched, 0)
        with suppress(DistError):  # whatever this rank does next says so
            while not done.wait(_BEAT_S):
                self.store.add(f"{self.rank} alive", 1)
                for rank in watched:
                    beats = self.store.add(f"{rank} alive", 0)
                    missed[rank] = missed[rank] + 1 if beats == heard[rank] else 0
                    heard[rank] = beats
                    patience = _MISSED_BEATS if beats else _JOINING.total_seconds() / _BEAT_S
                    if missed[rank] >= patience and not self.store.check([f"{rank} left"]):
                        self._stop_all(f"process {rank} gives no sign of life (was it killed?)")

    def _stop_all(self, reason: str) -> None:
        self.store.compare_set("failed", "", reason)  # the first reason stays

    def _numbers(self) -> Iterator[int]:
        while True:
            with _in_touch():
                self._check()
                number = self.store.add("batches", 1) - 1
            yield number

    def _read(self, key: str) -> bytes:
        while not self.store.check([key]):
            self._check()
            time.sleep(_LOOK_AROUND_S)
        return self.store.get(key)

    def _check(self) -> None:
        if self.store.check(["failed"]):
            raise MgimmError(f"{self.store.get('failed').decode()}, and this one stops with it")


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """The ranks that a launcher started (``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR``, ``MASTER_PORT``), or a single one.

    Raises:
        MgimmError: The launcher has not said which rank this is, or another rank has failed.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks()
        return
    from torch.distributed import PrefixStore

    with _in_touch():
        store, rank = _common_store()
        evaluation = store.add(f"mgimm evaluations of {rank}", 1)  # a process may evaluate several times
    ranks = Ranks(rank, count, PrefixStore(f"mgimm evaluation {evaluation}", store))
    try:
        with ranks.kept_alive():
            yield ranks
            ranks.leave()
    except BaseException:  # whatever it is, the others need not wait
        ranks.give_up()
        raise


def is_first_process() -> bool:
    """Whether a launcher has started this process as the first, or not at all."""
    return os.environ.get("RANK", "0") == "0"


@cache
def _common_store() -> tuple[Any, int]:
    """The launcher's store and this process's rank. Kept: the first process may be its only server."""
    from torch.distributed.rendezvous import rendezvous

    try:
        store, rank, _ = next(iter(rendezvous("env://", timeout=_JOINING)))
    except ValueError as error:  # a variable is not set
        raise MgimmError(f"WORLD_SIZE says that there are several processes, but: {error}") from error
    return store, rank


@contextmanager
def _in_touch() -> Iterator[None]:
    """A store that cannot be reached, or does not answer in time, is another process's end."""
    from torch.distributed import DistError

    try:
        yield
    except DistError as error:
        reason = str(error).partition("\n")[0]  # what follows are addresses in libraries
        raise MgimmError(f"other processes cannot be reached; their own messages may say why ({reason})") from error
