"""From predictions to the values that are compared: one for each image."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from mgimm_plugin.data.records import Record, read_records
from mgimm_plugin.data.whole_files import write_whole
from mgimm_plugin.evaluate.attributes import APPEARANCE, GEOMETRY
from mgimm_plugin.evaluate.captions import score_captions, unavailable_reason
from mgimm_plugin.evaluate.objects import NamedCategories, check_objects
from mgimm_plugin.evaluate.store import METRICS_FILE, PREDICTIONS_FILE, read_predictions

OUTCOMES: Final = {
    "appearance_accuracy": ("region", "appearance", True),
    "geometry_accuracy": ("region", "geometry", True),
    "category_accuracy": ("region", "category", True),
    "color_accuracy": ("region", "color", True),
    "shape_accuracy": ("region", "shape", True),
    "BLEU-4": ("image", "BLEU-4", True),
    "METEOR": ("image", "METEOR", True),
    "ROUGE-L": ("image", "ROUGE-L", True),
    "CIDEr": ("image", "CIDEr", True),
    "hallucination_rate": ("image", "hallucination", False),
    "object_recall": ("image", "object recall", True),
    "object_precision": ("image", "object precision", True),
}
"""Name to task, heading, and whether more is better."""

CAPTION_OUTCOMES: Final = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr")

DENSITIES: Final = ((5, "up to 5 objects"), (8, "6 to 8"), (10**9, "9 and more"))

Row = dict[str, Any]
ByImage = dict[str, dict[str, float]]
"""For each outcome, image to value."""


def read_rows(folder: Path) -> list[Row]:
    """The predictions of an evaluation; caption scores are filled in where they were not possible then and are now.

    Raises:
        MgimmError: There are none, or a line is broken.
    """
    rows = read_predictions(folder)
    if any("scores" not in row for row in rows) and unavailable_reason() is None:
        captions = score_captions([row["prediction"] for row in rows], [row["references"] for row in rows])
        for index, row in enumerate(rows):
            row["scores"] = {name: values[index] for name, values in captions.per_item.items()}
        metrics = json.loads((folder / METRICS_FILE).read_text()) | captions.corpus
        write_whole(folder / METRICS_FILE, json.dumps(metrics, indent=2) + "\n")
        write_whole(folder / PREDICTIONS_FILE, "".join(json.dumps(row) + "\n" for row in rows))
    return rows


@dataclass(frozen=True)
class Truth:
    """What is in the scenes of a set, whatever of it an answer was shown: a perturbed file does not have it.

    Attributes:
        records: The image records with the true boxes, by id.
        categories: Of all of them.
    """

    records: Mapping[str, Record] = field(default_factory=dict)
    categories: NamedCategories = field(default_factory=lambda: NamedCategories({}))

    @classmethod
    def read(cls, data: Path) -> Truth:
        """Read the file with the true boxes."""
        records = {record.id: record for record in read_records(data)}
        there = (region.category for record in records.values() for region in record.regions if region.category)
        return cls(records, NamedCategories.of(there))


def row_outcomes(task: str, row: Row, truth: Truth) -> dict[str, float]:
    """The values of one answer. An outcome that could not be computed is not there.

    Args:
        task: ``region`` or ``image``.
        row: A line of ``predictions.jsonl``.
        truth: Of the set that it is about.
    """
    if task == "region":
        marks = row.get("correct", {})
        values = {f"{name}_accuracy": float(marks[name]) for name in (*APPEARANCE, *GEOMETRY) if name in marks}
        for group, names in (("appearance", APPEARANCE), ("geometry", GEOMETRY)):
            known = [float(marks[name]) for name in names if name in marks]
            values |= {f"{group}_accuracy": fmean(known)} if known else {}
    else:
        values = object_outcomes(check_objects(row["prediction"], truth.records[row["id"]], truth.categories))
        values |= {name: float(score) for name, score in row.get("scores", {}).items() if score is not None}
    return {name: value for name, value in values.items() if name in OUTCOMES}


def object_outcomes(marks: Mapping[str, list[str]]) -> dict[str, float]:
    """How the categories that a description names agree with those of the scene; each counts once.

    Args:
        marks: From ``check_objects``.
    """
    if not marks:
        return {}
    named, wrong, missing = (len(set(marks[key])) for key in ("named", "not_there", "missing"))
    return {
        "hallucination_rate": wrong / named if named else 0.0,
        "object_precision": (named - wrong) / named if named else 0.0,
        "object_recall": (named - wrong) / (named - wrong + missing),
    }


def by_image(task: str, rows: Iterable[Row], truth: Truth) -> ByImage:
    """Values by outcome and image: the mean over the answers about the image."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for name, value in row_outcomes(task, row, truth).items():
            found[name][row["image"]].append(value)
    return {name: {image: fmean(values) for image, values in images.items()} for name, images in found.items()}


def by_group(task: str, rows: Iterable[Row], truth: Truth) -> dict[str, dict[str, float]]:
    """Means by outcome and group: the size of a region, the number of objects of the scene.

    Args:
        task: ``region`` or ``image``.
        rows: Predictions.
        truth: Of the set that they are about.
    """
    objects = {record.image: len(record.regions) for record in truth.records.values()}
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        groups = [next(text for most, text in DENSITIES if objects[row["image"]] <= most)]
        if task == "region":
            groups += [region["attributes"]["size"] for region in row["regions"] if "attributes" in region]
        for name, value in row_outcomes(task, row, truth).items():
            for group in groups:
                found[name][group].append(value)
    return {name: {group: fmean(values) for group, values in groups.items()} for name, groups in found.items()}
