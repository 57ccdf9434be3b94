"""From all predictions of a run to its metrics."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mgimm_plugin.data.whole_files import write_whole
from mgimm_plugin.evaluate.asking import Asked
from mgimm_plugin.evaluate.attributes import attribute_metrics, check_attributes, vocabulary
from mgimm_plugin.evaluate.captions import CaptionScores, score_captions
from mgimm_plugin.evaluate.objects import NamedCategories, check_objects, object_metrics
from mgimm_plugin.evaluate.store import METRICS_FILE, PredictionStore, to_json

if TYPE_CHECKING:
    from mgimm_plugin.data.records import Record

logger = logging.getLogger(__name__)


def conclude(
    store: PredictionStore, records: Sequence[Record], asked: Sequence[Asked], skipped: Mapping[int, str]
) -> dict[str, Any]:
    """Score all predictions and write them, in order, and the metrics."""
    metrics, rows = _score(store.rows, records, asked)
    metrics |= {"records_skipped": len(skipped), "skipped": [text for _, text in sorted(skipped.items())]}
    metrics["clipped_boxes"] = sum(row.get("clipped_boxes", 0) for row in rows)
    if skipped:
        logger.warning(
            "records that were left out: %d; they are listed in %s", len(skipped), store.folder / METRICS_FILE
        )
    if metrics["clipped_boxes"]:
        logger.warning("boxes that stuck out of their image and were clipped to it: %d", metrics["clipped_boxes"])
    store.write(rows)
    write_whole(store.folder / METRICS_FILE, to_json(metrics))
    return metrics


def _score(
    rows: Mapping[int, dict[str, Any]], records: Sequence[Record], asked: Sequence[Asked]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Score all predictions; return the metrics, and the rows in order with their own scores and marks."""
    order = sorted(index for index in rows if index < len(records))
    scored = [index for index in order if asked[index].references]
    captions = score_captions(
        [rows[index]["prediction"] for index in scored], [asked[index].references for index in scored]
    )
    words = vocabulary(_all_attributes(records))
    marks = {
        index: check_attributes(
            rows[index]["prediction"], asked[index].attributes or {}, words, asked[index].references
        )
        for index in order
    }
    metrics: dict[str, Any] = {**captions.corpus, **attribute_metrics(list(marks.values()))}
    categories = NamedCategories.of(
        region.category for record in records for region in record.regions if region.category
    )
    objects = {index: check_objects(rows[index]["prediction"], records[index], categories) for index in order}
    metrics |= object_metrics(list(objects.values()), [records[index] for index in order], categories)
    metrics |= {"records": len(records), "records_answered": len(order), "records_with_references": len(scored)}
    metrics["caption_metrics_reason"] = _reasons(captions)
    own = {index: {name: values[at] for name, values in captions.per_item.items()} for at, index in enumerate(scored)}
    described = []
    for index in order:
        row = {key: value for key, value in rows[index].items() if key not in ("scores", "correct", "objects")}
        row |= {"scores": own[index]} if own.get(index) else {}
        row |= {"correct": marks[index]} if marks[index] else {}
        row |= {"objects": objects[index]} if objects[index] else {}
        described.append(row)
    return metrics, described


def _all_attributes(records: Sequence[Record]) -> Iterator[Mapping[str, str]]:
    for record in records:
        for region in record.regions:
            yield region.attributes


def _reasons(captions: CaptionScores) -> str | None:
    """Why scores are missing, each reason once, with the scores it took away."""
    missing: dict[str, list[str]] = {}
    for name, reason in captions.reasons.items():
        missing.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in missing.items()) or None
