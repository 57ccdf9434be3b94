"""Two ways to do one thing, timed in turns, with what they give compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One row of the benchmark.

    Attributes:
        name: The benchmark.
        case: What of it was measured.
        usual_s: Median seconds of the usual way.
        ours_s: Median seconds of ours.
        max_difference: Largest difference between what the two give; None where there is nothing to compare.
        more: Further figures by name.
    """

    name: str
    case: str
    usual_s: float
    ours_s: float
    max_difference: float | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.usual_s / self.ours_s

    def as_dict(self) -> dict[str, Any]:
        """As the JSON output has it."""
        values = asdict(self)
        more = values.pop("more")
        return {**values, "ratio": self.ratio, **more}


def in_turns(
    usual: Callable[[], Any], ours: Callable[[], Any], *, repeats: int = REPEATS, device: torch.device | None = None
) -> tuple[float, float]:
    """Median seconds of two functions, called in turns after one call each to warm up.

    Args:
        usual: The usual way.
        ours: Our way.
        repeats: Timed calls of each.
        device: Where they work; a GPU is waited for.
    """
    usual(), ours()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for function, taken in zip((usual, ours), times, strict=True):
            wait_for(device)
            start = time.perf_counter()
            function()
            wait_for(device)
            taken.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def wait_for(device: torch.device | None) -> None:
    """Let a GPU finish what it was given."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
