"""Records whose boxes are not quite right: moved, left out, or joined by boxes around nothing in particular.

Pure functions of a record and a source of randomness. What a record says (answers, references, counts) stays as it is:
the picture has not changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from mgimm_plugin.constants import DEFAULT_REGION_TOKEN
from mgimm_plugin.data.region_input import without_regions
from mgimm_plugin.data.whole_files import written_whole

JITTER = 0.15
"""Standard deviation of an edge's shift, over the box's side in that direction."""
DROP = 0.4
"""Chance of each box to be left out."""
EXTRA = 0.4
"""Boxes that are put in, over the number of true ones (rounded up)."""
LARGEST_OVERLAP = 0.1
"""Intersection over union that an extra box may have with a true one."""
EXTRA_SIDES = (0.06, 0.4)
"""Sides of an extra box over those of the image."""
SMALLEST_SIDE = 2.0
"""Pixels that a jittered box keeps in either direction."""
_TRIES: Final = 200
_HEAD: Final = re.compile(rf"(?:{DEFAULT_REGION_TOKEN}\s*)+")

Record = dict[str, Any]
Perturbation = Callable[[Record, np.random.Generator], Record]


def jittered(record: Record, rng: np.random.Generator) -> Record:
    """Move every edge of every box by a normal draw; boxes stay inside the image and at least two pixels wide."""
    return {
        **record,
        "regions": [{**region, "bbox": _moved(region["bbox"], record, rng)} for region in record["regions"]],
    }


def dropped(record: Record, rng: np.random.Generator) -> Record:
    """Leave each box of an image record out with chance ``DROP``; all may go."""
    kept = [region for region in record["regions"] if rng.random() >= DROP]
    return _with_regions(record, kept)


def spurious(record: Record, rng: np.random.Generator) -> Record:
    """Put boxes into an image record, in random places of its list, that hardly overlap any true one."""
    regions = list(record["regions"])
    true = np.array([region["bbox"] for region in regions], dtype=np.float64).reshape(-1, 4)
    for _ in range(int(np.ceil(EXTRA * len(true)))):
        box = _elsewhere(true, record, rng)
        if box is not None:
            regions.insert(int(rng.integers(len(regions), endpoint=True)), {"bbox": box})
    return _with_regions(record, regions)


def plain(record: Record) -> Record:
    """An image record without regions."""
    return _with_regions(record, [])


PERTURBATIONS: Final[Mapping[str, Perturbation]] = {"jittered": jittered, "dropped": dropped, "spurious": spurious}


def write_perturbed(source: Path, target: Path, name: str, seed: int) -> None:
    """Write a record file anew with a perturbation; each record draws from ``(seed, its position)``.

    Args:
        source: JSONL file.
        target: JSONL file.
        name: A key of ``PERTURBATIONS``.
        seed: Any integer from 0.
    """
    change = PERTURBATIONS[name]
    number = list(PERTURBATIONS).index(name)
    rewrite(source, target, lambda record, index: change(record, np.random.default_rng((seed, number, index))))


def rewrite(source: Path, target: Path, change: Callable[[Record, int], Record]) -> None:
    """Write a record file anew, record by record; the target is there completely or not at all."""
    with written_whole(target) as partial, source.open() as lines, partial.open("w") as file:
        for index, line in enumerate(lines):
            file.write(json.dumps(change(json.loads(line), index)) + "\n")


def _with_regions(record: Record, regions: list[Record]) -> Record:
    """The record with these regions, and one ``<region>`` for each at the head of the question."""
    first, *others = record["conversations"]
    text = first["value"]
    text = _HEAD.sub(DEFAULT_REGION_TOKEN * len(regions) + "\n", text, count=1) if regions else without_regions(text)
    return {**record, "regions": regions, "conversations": [{**first, "value": text}, *others]}


def _moved(box: list[float], record: Record, rng: np.random.Generator) -> list[float]:
    corners = np.array(box, dtype=np.float64).reshape(2, 2)
    limits = np.array([record["width"], record["height"]], dtype=np.float64)
    moved = np.sort(corners + rng.normal(0.0, JITTER, (2, 2)) * (corners[1] - corners[0]), axis=0).clip(0.0, limits)
    lack = np.maximum(0.0, SMALLEST_SIDE - (moved[1] - moved[0]))
    moved[0] = (moved[0] - lack / 2).clip(0.0, limits - SMALLEST_SIDE)
    moved[1] = np.maximum(moved[1], moved[0] + SMALLEST_SIDE)
    return moved.ravel().round(1).tolist()


def _elsewhere(true: NDArray[np.float64], record: Record, rng: np.random.Generator) -> list[float] | None:
    limits = np.array([record["width"], record["height"]], dtype=np.float64)
    for _ in range(_TRIES):
        sides = rng.uniform(*EXTRA_SIDES, 2) * limits
        corner = rng.uniform(0.0, 1.0, 2) * (limits - sides)
        box = np.concatenate([corner, corner + sides]).round(1)
        if not len(true) or box_iou(torch.from_numpy(box[None]), torch.from_numpy(true)).max() <= LARGEST_OVERLAP:
            return box.tolist()
    return None
