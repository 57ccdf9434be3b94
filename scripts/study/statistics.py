"""Paired differences per image, a bootstrap over seeds and images, and Holm's procedure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mgimm_plugin.errors import MgimmError

Differences = NDArray[np.float64]
"""``[S, N]``: first minus second, of each seed and image."""

Values = Mapping[int, Mapping[str, float]]
"""For each seed, image to value."""

REPLICATES = 10_000
LEVEL = 0.05
_AT_ONCE = 1_000


def paired_differences(first: Values, second: Values) -> Differences:
    """First minus second, for the seeds that both have.

    Args:
        first: Values of one system.
        second: Values of another on the same images.

    Raises:
        MgimmError: They have no seed in common, or a seed of theirs was not asked about the same images.
    """
    seeds = sorted(set(first) & set(second))
    if not seeds:
        raise MgimmError("the two systems have no seed in common: run the missing ones")
    images = sorted(first[seeds[0]])
    for seed in seeds:
        if set(first[seed]) != set(images) or set(second[seed]) != set(images):
            raise MgimmError(f"seed {seed}: the two systems were not asked about the same images")
    return np.array([[first[seed][image] - second[seed][image] for image in images] for seed in seeds])


def bootstrap_means(differences: Differences, *, replicates: int = REPLICATES, seed: int = 0) -> NDArray[np.float64]:
    """Means of ``replicates`` draws: seeds with replacement, then images with replacement.

    The images are the same for all seeds, so one draw of images serves all the seeds drawn with it.

    Args:
        differences: ``[S, N]``.
        replicates: Number of draws.
        seed: Seed of the draws.

    Returns:
        ``[replicates]``.
    """
    seeds, images = differences.shape
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, replicates, _AT_ONCE):
        count = min(_AT_ONCE, replicates - start)
        # How often each was drawn: the same as drawing indices, and a mean is then two products.
        seed_counts = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=count)
        image_counts = rng.multinomial(images, np.full(images, 1 / images), size=count)
        means.append(np.einsum("bn,bn->b", seed_counts @ differences, image_counts) / (seeds * images))
    return np.concatenate(means)


@dataclass(frozen=True)
class Difference:
    """What is known of a difference.

    Attributes:
        mean: Over seeds and images.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p: Two-sided.
        by_seed: Mean of each seed.
        images: Number of images.
    """

    mean: float
    low: float
    high: float
    p: float
    by_seed: tuple[float, ...]
    images: int

    @property
    def has_one_sign(self) -> bool:
        """Whether all seeds agree on who is ahead."""
        return all(value > 0 for value in self.by_seed) or all(value < 0 for value in self.by_seed)


def difference(differences: Differences, *, replicates: int = REPLICATES, seed: int = 0) -> Difference:
    """Mean, percentile interval and p-value; the p-value is of draws moved so that their center is 0.

    Args:
        differences: ``[S, N]``.
        replicates: Number of draws.
        seed: Seed of the draws.
    """
    mean = float(differences.mean())
    draws = bootstrap_means(differences, replicates=replicates, seed=seed)
    low, high = np.quantile(draws, [LEVEL / 2, 1 - LEVEL / 2])
    # Rounding alone must not make a draw equal to the mean count as smaller.
    beyond = int(np.count_nonzero(np.abs(draws - mean) >= abs(mean) * (1 - 1e-9)))
    p = (1 + beyond) / (1 + replicates)
    by_seed = tuple(differences.mean(axis=1).tolist())
    return Difference(mean, float(low), float(high), p, by_seed, differences.shape[1])


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family of tests (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
