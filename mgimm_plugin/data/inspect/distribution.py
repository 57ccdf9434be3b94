"""Distributions of numbers, counted in bounded memory."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

_STEPS_PER_OCTAVE = 32
_FINEST = 2.0**-30


class Distribution:
    """How often each number came: whole numbers as they are, or ratios in steps of 2 percent.

    Args:
        ratios: Count positive fractions by their logarithm; False counts whole numbers.
    """

    def __init__(self, *, ratios: bool = False) -> None:
        self._ratios = ratios
        self._numbers: Counter[int] = Counter()
        self._sum = 0.0
        self._least, self._most = math.inf, -math.inf

    def add(self, number: float, times: int = 1) -> None:
        """Count a number; a ratio beyond one to a thousand million counts as that."""
        if self._ratios:
            number = min(max(number, _FINEST), 1 / _FINEST)
        key = round(_STEPS_PER_OCTAVE * math.log2(number)) if self._ratios else int(number)
        self._numbers[key] += times
        self._sum += number * times
        self._least, self._most = min(self._least, number), max(self._most, number)

    @property
    def count(self) -> int:
        """How many numbers came."""
        return self._numbers.total()

    def summary(self) -> dict[str, Any]:
        """Count, mean, least, most and quantiles (of ratios within 1 percent); the count alone where nothing came."""
        if not self._numbers:
            return {"count": 0}
        quantiles = {f"p{percent}": self.quantile(percent / 100) for percent in (5, 25, 50, 75, 95)}
        least, most = (_short(number) for number in (self._least, self._most))
        return {"count": self.count, "mean": _short(self._sum / self.count), "min": least, **quantiles, "max": most}

    def quantile(self, part: float) -> float:
        """The number that ``part`` of all numbers do not exceed."""
        wanted, so_far = part * self.count, 0
        for key in sorted(self._numbers):
            so_far += self._numbers[key]
            if so_far >= wanted:
                break
        number = 2.0 ** (key / _STEPS_PER_OCTAVE) if self._ratios else key
        return _short(min(max(number, self._least), self._most))

    def histogram(self, edges: Sequence[float]) -> dict[str, list[float]]:
        """Counts between edges, each bin with its lower edge; numbers beyond the ends count in the bins at the ends."""
        counts = [0] * (len(edges) - 1)
        for key, times in self._numbers.items():
            number = 2.0 ** (key / _STEPS_PER_OCTAVE) if self._ratios else key
            counts[min(max(bisect.bisect_right(edges, number) - 1, 0), len(counts) - 1)] += times
        return {"edges": [_short(edge) for edge in edges], "counts": [float(count) for count in counts]}

    def whole_bins(self, most: int = 30) -> list[float]:
        """Edges of at most ``most`` bins of one width, a whole number, for numbers from 0 to the 99th percentile."""
        last = int(self.quantile(0.99)) + 1 if self._numbers else 1
        step = next(width for width in _widths() if last <= width * most)
        return [float(edge) for edge in range(0, (math.ceil(last / step) + 1) * step, step)]


def _widths() -> Any:
    for power in range(19):
        yield from (10**power, 2 * 10**power, 5 * 10**power)


def _short(number: float) -> float:
    """Four significant digits, and whole numbers whole."""
    return int(number) if float(number).is_integer() else float(f"{number:.4g}")
