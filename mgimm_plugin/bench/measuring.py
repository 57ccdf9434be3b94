"""Two ways to do one thing, timed in turns, with what they give compared."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

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


def in_turns(*ways: Callable[[], Any], repeats: int = REPEATS, device: torch.device | None = None) -> list[float]:
    """Median seconds of functions that do the same, called in turns after one call each to warm up.

    Args:
        *ways: The usual way first.
        repeats: Timed calls of each.
        device: Where they work; a GPU is waited for.
    """
    for way in ways:
        way()
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for function, taken in zip(ways, times, strict=True):
            wait_for(device)
            start = time.perf_counter()
            function()
            wait_for(device)
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def peak_mib(function: Callable[[], Any], device: torch.device) -> float:
    """MiB of tensors at the highest while a function runs, beyond what there was before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    with TemporaryDirectory() as folder:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            function()
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    return max(event["args"]["Total Allocated"] for event in events if event["name"] == "[memory]") / 2**20


def wait_for(device: torch.device | None) -> None:
    """Let a GPU finish what it was given."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device: torch.device) -> float:
    """Operations a second of the device's matrix products in bfloat16: the best of ten."""
    side = 8192 if device.type == "cuda" else 512
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / _best(lambda: a @ b, device)


def copy_rate(device: torch.device) -> float:
    """Bytes a second that the device reads and writes in a copy: the best of ten."""
    source = torch.empty(2**30 if device.type == "cuda" else 2**26, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _best(lambda: target.copy_(source), device)


def _best(function: Callable[[], Any], device: torch.device) -> float:
    taken = []
    for _ in range(11):
        wait_for(device)
        start = time.perf_counter()
        function()
        wait_for(device)
        taken.append(time.perf_counter() - start)
    return min(taken)
