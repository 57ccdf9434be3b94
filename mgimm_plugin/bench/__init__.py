"""Speed and memory, each as a ratio against the usual way to do the same, both measured in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Final

import mgimm_plugin
from mgimm_plugin.errors import look_up

if TYPE_CHECKING:
    import torch

    from mgimm_plugin.bench.measuring import Measurement

BENCHMARKS: Final = {
    "rim": ("rim", "rim"),
    "regions": ("answering", "regions"),
    "evaluate": ("answering", "evaluate"),
    "region-stage": ("training", "region_stage"),
    "image-stage": ("training", "image_stage"),
    "memory": ("memory", "memory"),
    "data": ("data", "data"),
    "serving": ("serving", "serving"),
    "start": ("start", "start"),
    "scale-out": ("scale_out", "scale_out"),
}
"""Name to module and function of this package."""


def get_benchmark(name: str) -> Callable[[torch.device], Iterator[Measurement]]:
    """Return the benchmark of a name: a function of the device that yields measurements.

    Raises:
        SettingError: There is none; the message lists those that exist.
    """
    module, function = look_up(BENCHMARKS, name, "benchmark")
    mgimm_plugin.register()
    return getattr(import_module(f"mgimm_plugin.bench.{module}"), function)
