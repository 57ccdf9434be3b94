"""Several processes that evaluate one model together, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

_PATIENCE = timedelta(days=1)
"""How long a rank that is done waits for the others."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those of its evaluation.

    Attributes:
        rank: Its number, from 0.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes the results."""
        return self.rank == 0

    def share(self, todo: Sequence[int]) -> list[int]:
        """This rank's part of the work, a run of neighbours: records of one image stay together."""
        return list(todo[len(todo) * self.rank // self.count : len(todo) * (self.rank + 1) // self.count])

    def wait(self) -> None:
        """Wait for all ranks."""
        self.gather(None)

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, by rank."""
        if self.count == 1:
            return [value]
        from torch import distributed

        values = [None] * self.count
        distributed.all_gather_object(values, value)
        return values


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """The ranks that torchrun started; a single one otherwise."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks()
        return
    from torch import distributed

    distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()
