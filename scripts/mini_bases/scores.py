"""Scores of the bundled model on held-out scenes, each with an interval: what its model card says and a test checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from mgimm_plugin.evaluate.attributes import APPEARANCE, GEOMETRY
from mgimm_plugin.evaluate.runner import evaluate
from mgimm_plugin.evaluate.store import read_predictions
from mgimm_plugin.predictor import Predictor


@dataclass(frozen=True)
class HeldOut:
    """Scenes, as ``mgimm scenes`` is asked for them."""

    count: int
    split: str
    seed: int


HELD_OUT: Final = HeldOut(200, "test", 301)
"""The scenes that are scored. Nothing was trained on or chosen by them."""

RUNS: Final = {
    "regions": ("region.jsonl", {}),
    "image, true boxes": ("image.jsonl", {}),
    "image, no boxes": ("image.jsonl", {"regions": "none"}),
    "regions, blank image": ("region.jsonl", {"blank_image": True}),
    "image, true boxes, blank image": ("image.jsonl", {"blank_image": True}),
}
"""What is asked: the records, and settings of the evaluation."""

LOWER_IS_BETTER: Final = frozenset({"hallucination_rate", "hallucinated_descriptions"})

_DRAWS: Final = 10_000
_LONGEST: Final = 320

Part = tuple[float, float]
"""What an answer adds to a score's numerator and denominator."""


class Score(NamedTuple):
    """A score and its 95 % interval, by drawing images with replacement."""

    value: float
    low: float
    high: float


def held_out_scores(
    model: Path, data: Path, output: Path, *, runs: Iterable[str] = tuple(RUNS), batch_size: int = 32
) -> dict[str, dict[str, Score]]:
    """Evaluate a checkpoint on a set of scenes, in float32 on every device.

    Args:
        model: Checkpoint.
        data: Folder of the scenes.
        output: Folder of the evaluations, a folder each; what is there already is not asked again.
        runs: Some of ``RUNS``.
        batch_size: Questions answered together.

    Returns:
        Scores by run and name.
    """
    predictor = Predictor.from_pretrained(model, dtype=torch.float32)
    found = {}
    for run in runs:
        file, settings = RUNS[run]
        folder = output / run.replace(", ", "-").replace(" ", "_")
        evaluate(
            predictor,
            data / file,
            data,
            folder,
            batch_size=batch_size,
            max_new_tokens=_LONGEST,
            model=model,
            **settings,
        )  # type: ignore[arg-type]
        found[run] = scores_of(read_predictions(folder))
    return found


def scores_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Score]:
    """Scores of an evaluation's predictions.

    Args:
        rows: Lines of ``predictions.jsonl``.

    Returns:
        Attribute accuracies for rows about regions, object rates for rows about images, and CIDEr where there is one.
    """
    by_name: dict[str, dict[str, list[Part]]] = {}
    for row in rows:
        for name, part in _parts(row).items():
            by_name.setdefault(name, {}).setdefault(row["image"], []).append(part)
    return {name: _score([np.sum(parts, axis=0) for parts in images.values()]) for name, images in by_name.items()}


def _parts(row: Mapping[str, Any]) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    marks, objects = row.get("correct") or {}, row.get("objects") or {}
    for group, names in (("appearance", APPEARANCE), ("geometry", GEOMETRY)):
        if known := [float(marks[name]) for name in names if name in marks]:
            parts[f"{group}_accuracy"] = (fmean(known), 1.0)
    parts |= {f"{name}_accuracy": (float(mark), 1.0) for name, mark in marks.items()}
    if objects:
        right = len(set(objects["named"]) - set(objects["not_there"]))
        parts["object_recall"] = (right, right + len(objects["missing"]))
        parts["hallucination_rate"] = (len(objects["not_there"]), len(objects["named"]))
        parts["hallucinated_descriptions"] = (float(bool(objects["not_there"])), 1.0)
    if (cider := (row.get("scores") or {}).get("CIDEr")) is not None:
        parts["CIDEr"] = (cider, 1.0)
    return parts


def _score(sums: list[Any]) -> Score:
    """A ratio of sums over images and its percentile interval."""
    table = np.array(sums)  # [images, 2]
    count = len(table)
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=_DRAWS) @ table
    ratios = drawn[:, 0] / np.maximum(drawn[:, 1], 1e-9)
    value = table[:, 0].sum() / max(table[:, 1].sum(), 1e-9)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Score(*(round(float(each), 4) for each in (value, low, high)))
