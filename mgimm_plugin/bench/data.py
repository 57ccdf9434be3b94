"""The data path: opening a large file, and loading beside the model's own work."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # accelerate needs it too
import torch
from torch.utils.data import DataLoader, Dataset

from mgimm_plugin.bench.measuring import Measurement, in_turns, wait_for
from mgimm_plugin.bench.training import batch_step
from mgimm_plugin.bench.workload import scenes, stage, to_device
from mgimm_plugin.data.files import RecordFile
from mgimm_plugin.train.sampling import ImageGroupedSampler

RECORDS = 38_320
"""As many as DIOR-RSVG has."""


WORKERS = 4


def data(device: torch.device) -> Iterator[Measurement]:
    """Opening as many records as DIOR-RSVG has; what loaders keep of them; loading against the step that it is for."""
    folder = scenes()
    file = _many_records(folder, RECORDS)

    def usual() -> list[object]:
        return [json.loads(line) for line in file.read_text().splitlines()]

    difference = float(usual()[RECORDS // 2] != RecordFile(file).load(RECORDS // 2))
    times = in_turns(usual, lambda: RecordFile(file).load(RECORDS // 2), device=device)
    yield Measurement(
        name="data", case=f"{RECORDS:,} records opened, one read", usual_s=times[0], ours_s=times[1],
        max_difference=difference, more={"file_mib": file.stat().st_size / 2**20},
    )  # fmt: skip
    for count in (RECORDS, 4 * RECORDS):
        yield _workers(_many_records(folder, count), count)
    yield _loading(device, folder)


def _many_records(folder: Path, count: int) -> Path:
    lines = (folder / "region.jsonl").read_text().splitlines()
    file = folder / f"{count}.jsonl"
    file.write_text("".join(lines[i % len(lines)] + "\n" for i in range(count)))
    return file


class _Reading(Dataset[int]):
    """Reads a record and gives its length: what is measured is the reading."""

    def __init__(self, load: Callable[[int], Any], count: int) -> None:
        self._load, self._count = load, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> int:
        return len(self._load(index))


def _workers(file: Path, count: int) -> Measurement:
    """Every record read once by worker processes, out of a decoded list and out of the file."""
    decoded = [json.loads(line) for line in file.read_text().splitlines()]
    usual = _read_by_workers(_Reading(decoded.__getitem__, count))
    del decoded
    ours = _read_by_workers(_Reading(RecordFile(file).load, count))
    return Measurement(
        name="data", case=f"{count:,} records read by {WORKERS} processes", usual_s=usual[0], ours_s=ours[0],
        more={"usual_private_mib": usual[1], "ours_private_mib": ours[1]},
    )  # fmt: skip


def _read_by_workers(dataset: _Reading) -> tuple[float, float]:
    """Seconds, and MiB of memory that the workers do not share with anybody, all together."""
    gc.collect()
    start = time.perf_counter()
    loader = DataLoader(dataset, batch_size=64, num_workers=WORKERS, persistent_workers=True)
    for _ in loader:
        pass
    seconds = time.perf_counter() - start
    children = psutil.Process().children()
    private = sum(child.memory_full_info().uss for child in children) / 2**20
    return seconds, private


def _loading(device: torch.device, folder: Path) -> Measurement:
    """Loading batches in a random order and by image; and how many processes have to load for one that trains."""
    ready, size, steps = stage("region", device), 32, 4
    by_image = list(ImageGroupedSampler(ready.data.image_numbers, 0))[: size * steps]
    shuffled = torch.randperm(len(ready.data), generator=torch.Generator().manual_seed(0)).tolist()[: size * steps]

    def load(order: list[int]) -> None:
        for start in range(0, len(order), size):
            ready.data.encoder.forget_images()
            ready.collate([ready.data[index] for index in order[start : start + size]])

    times = in_turns(lambda: load(shuffled), lambda: load(by_image), device=device)
    batches = [
        to_device(ready.collate([ready.data[index] for index in by_image[first : first + size]]), device)
        for first in range(0, size * steps, size)
    ]
    wait_for(device)
    start = time.perf_counter()
    for batch in batches:
        batch_step(ready.model, batch)
    wait_for(device)
    step = (time.perf_counter() - start) / steps
    return Measurement(
        name="data", case=f"loading {steps} batches of {size} records", usual_s=times[0], ours_s=times[1],
        more={"step_s": step, "loaders_that_feed_one_model": times[1] / steps / step},
    )  # fmt: skip
