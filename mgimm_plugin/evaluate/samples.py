"""Which records a report shows: the weakest answers, and an even spread of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SAMPLES = 60
"""How many records a page shows at most: a third of them the weakest, the others spread over the data set."""

_CAPTION_SCORES = ("METEOR", "CIDEr", "ROUGE-L")
"""What tells how good a single caption is, best first; BLEU says little of one."""


def choose_samples(
    rows: Sequence[Mapping[str, Any]], count: int
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Choose what to show: the weakest third, and an even spread over the others; all of them where there are few.

    Rows are weak among those that have the same kind of score, and each kind has its share of the weakest: an attribute
    accuracy says nothing beside a METEOR.

    Returns:
        The weakest, weakest first; then the others in their order.
    """
    if len(rows) <= count:
        return [], list(rows)
    weakest = _weakest_first(rows)[: count // 3]
    taken = {row["index"] for row in weakest}
    others = [row for row in rows if row["index"] not in taken]
    wanted = count - len(weakest)
    return weakest, [others[number * len(others) // wanted] for number in range(wanted)]


def _weakest_first(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that have a score, by where they stand among those of their kind."""
    kinds: dict[str, list[tuple[tuple[float, ...], int, Mapping[str, Any]]]] = {}
    for row in rows:
        if scored := _quality(row):
            kind, quality = scored
            kinds.setdefault(kind, []).append((quality, row["index"], row))
    ranked = []
    for some in kinds.values():
        for rank, (_, index, row) in enumerate(sorted(some, key=lambda item: item[:2]), 1):
            ranked.append((rank / len(some), index, row))
    return [row for *_, row in sorted(ranked, key=lambda item: item[:2])]


def _quality(row: Mapping[str, Any]) -> tuple[str, tuple[float, ...]] | None:
    """What kind of score tells how good an answer is, and its value, more is better; None where there is none."""
    correct, scores, objects = row.get("correct"), row.get("scores") or {}, row.get("objects")
    caption = next((name for name in _CAPTION_SCORES if name in scores), None)
    if correct:  # many share the same few values: captions tell them apart
        return "attributes", (sum(correct.values()) / len(correct), scores[caption] if caption else 0.0)
    if caption:
        return caption, (scores[caption],)
    if objects:
        wrong, all_named = {*objects["not_there"], *objects["missing"]}, {*objects["named"], *objects["missing"]}
        return "objects", (1 - len(wrong) / len(all_named),)
    return None
