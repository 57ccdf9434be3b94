"""Several files as one data set: which record of which file an item of an epoch is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mgimm_plugin.errors import MgimmError


@dataclass(frozen=True, slots=True)
class DataSource:
    """A file of records and how often an epoch goes through it.

    Attributes:
        path: A JSON array or JSONL file.
        weight: 1 is every record once an epoch, 2 twice, 0.5 one half of them in this epoch and the other in the next.

    Raises:
        MgimmError: ``weight`` is not a finite number above 0.
    """

    path: str | Path
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise MgimmError(f"data source {self.path}: weight {self.weight} must be a finite number above 0")


def weighted_counts(sizes: Sequence[int], weights: Sequence[float]) -> list[int]:
    """Return how many items of an epoch each source gives, at least one."""
    return [max(1, round(size * weight)) for size, weight in zip(sizes, weights, strict=True)]


def replay_counts(sizes: Sequence[int], weights: Sequence[float], main_count: int, fraction: float) -> list[int]:
    """Return how many items each replay source gives, so that together they are ``fraction`` of all items.

    Raises:
        MgimmError: ``fraction`` is not in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise MgimmError(f"region_replay_fraction is {fraction}; it must be at least 0 and below 1")
    shares = np.array([size * weight for size, weight in zip(sizes, weights, strict=True)], dtype=np.float64)
    if not len(shares):
        return []
    total = round(main_count * fraction / (1 - fraction))
    # Rounding the running sum, and not each share, keeps the total.
    edges = np.rint(total * np.cumsum(shares) / shares.sum()).astype(int)
    return np.diff(edges, prepend=0).tolist()


class Mixture:
    """Maps an item's index to a record, as a pure function of seed, epoch and index.

    An index belongs to the same source in every epoch. A source is walked through again and again, and an epoch takes
    the next ``counts[source]`` records of that walk: so no record is seen twice before every other has been seen. Where
    an epoch does not end with a whole walk, each walk is in a new random order; else the order is that of the file, and
    shuffling is left to the sampler.

    Args:
        sizes: Number of records of each source.
        counts: Number of items of each source in an epoch.
        seed: Seed of the orders.
    """

    def __init__(self, sizes: Sequence[int], counts: Sequence[int], seed: int) -> None:
        self.sizes, self.counts, self.seed = list(sizes), list(counts), seed
        self._ends = np.cumsum(self.counts)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def locate(self, epoch: int, index: int) -> tuple[int, int]:
        """Return ``(source, position of the record in it)`` of an item.

        Raises:
            IndexError: There is no such item.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of a data set of {len(self)}")
        source = int(np.searchsorted(self._ends, index, side="right"))
        size, count = self.sizes[source], self.counts[source]
        slot = index - (int(self._ends[source]) - count)
        walk, position = divmod(epoch * count + slot, size)
        if count % size == 0:
            return source, position
        return source, int(_order(self.seed, source, walk, size)[position])


@lru_cache(maxsize=32)
def _order(seed: int, source: int, walk: int, size: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, source, walk)).permutation(size)
