"""The order in which records are trained on: random, and a function of seed and epoch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

LARGEST_GROUP = 8
"""At most so many records of one image come in a row, lest a batch be about one image."""


class EpochSampler(Sampler[int]):
    """The order of another sampler that is made anew for each epoch, as a function of seed and epoch.

    Args:
        make: Makes the sampler of an epoch, which may draw from torch's global generator.
        seed: Seed of that generator.
    """

    def __init__(self, make: Callable[[int], Sampler[int]], seed: int) -> None:
        self._make, self._seed, self._epoch = make, seed, 0
        self._length = len(make(0))  # type: ignore[arg-type]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed + self._epoch)
            order = list(self._make(self._epoch))
        return iter(order)


class ImageGroupedSampler(Sampler[int]):
    """Records of one image come together, so that a batch opens and encodes it once.

    Args:
        images: For each item of the epoch a number that tells its image, below 0 for none.
        seed: Seed of the order.
        epoch: The epoch, which the order depends on too.
    """

    def __init__(self, images: Sequence[int], seed: int, epoch: int = 0) -> None:
        self._images = np.asarray(images, dtype=np.int64)
        self._seed, self._epoch = seed, epoch

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self._seed, self._epoch))
        count = len(self)
        # Items without an image are groups of one.
        groups = np.where(self._images < 0, -1 - np.arange(count), self._images)
        order = rng.permutation(count)
        order = order[np.argsort(groups[order], kind="stable")]
        starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order[:1]] - 1))
        within = np.arange(count) - np.repeat(starts, np.diff(starts, append=count))
        piece = np.cumsum(within % LARGEST_GROUP == 0) - 1
        key = rng.permutation(count)[piece]
        return iter(order[np.argsort(key, kind="stable")].tolist())
