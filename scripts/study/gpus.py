"""Which GPU a job takes: of those that are visible, the one with the fewest jobs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import torch

_jobs: Counter[str] = Counter()
"""Jobs that run now, by the name of their GPU."""
_counting = Lock()


@contextmanager
def one_gpu() -> Iterator[dict[str, str]]:
    """Environment variables under which a process sees one GPU; without a GPU there are none.

    A training that sees several asks for a process each. As long as the block lasts, others rather take other GPUs.
    """
    names = visible_gpus()
    if not names:
        yield {}
        return
    with _counting:
        name = min(names, key=lambda each: _jobs[each])
        _jobs[name] += 1
    try:
        yield {"CUDA_VISIBLE_DEVICES": name}
    finally:
        with _counting:
            _jobs[name] -= 1


def visible_gpus() -> list[str]:
    """Names for ``CUDA_VISIBLE_DEVICES``, in its order: what it lists, and all GPUs where it is not set."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [str(number) for number in range(torch.cuda.device_count())]
    return [name.strip() for name in listed.split(",") if name.strip()]
