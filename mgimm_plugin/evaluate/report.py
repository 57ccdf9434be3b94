"""One self-contained page about one or several evaluations: their scores, and pictures with what was said."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.data.html_pages import jpeg_url, load_template
from mgimm_plugin.data.images import open_image
from mgimm_plugin.data.measures import SIZES
from mgimm_plugin.data.whole_files import write_whole
from mgimm_plugin.errors import ImageError, MgimmError
from mgimm_plugin.evaluate.captions import CAPTION_METRICS
from mgimm_plugin.evaluate.objects import DENSITIES, OBJECT_METRICS
from mgimm_plugin.evaluate.samples import SAMPLES, choose_samples
from mgimm_plugin.evaluate.store import METRICS_FILE, RUN_FILE, read_predictions

_JPEG_SIDE = 448
# Okabe and Ito's palette: told apart with every kind of colour vision, and on most images.
_BOX_COLORS = ("#e69f00", "#56b4e9", "#f0e442", "#009e73", "#d55e00", "#cc79a7", "#0072b2", "#ffffff")
_ACCURACIES = ("appearance", "geometry", "category", "color", "shape", "size", "position")
_STRONG = ("appearance_accuracy", "geometry_accuracy", *OBJECT_METRICS)
_OBJECTS = (
    *OBJECT_METRICS,
    *(f"object_recall_{group}" for group in (*SIZES, *DENSITIES)),
    *(f"hallucination_rate_{density}" for density in DENSITIES),
)
# Of a SHA-256: enough to tell two files of one name apart.
_SHOWN_DIGITS = 12
_SENTINELS = re.compile(r"<(?:image|region)>\s*")


@dataclass(frozen=True, slots=True)
class Run:
    """A finished evaluation.

    Attributes:
        name: What to call it on the page.
        folder: Its output folder.
    """

    name: str
    folder: str | Path


@dataclass
class _Loaded:
    """A run's files, and the SHA-256 of its data."""

    name: str
    data: str
    metrics: Mapping[str, Any]
    settings: Mapping[str, Any]
    rows: Mapping[int, Mapping[str, Any]]


@dataclass
class _Page:
    """What is collected while the page is put together: each image of up to ``max_pixels``, once."""

    max_pixels: int
    images: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_report(
    output: str | Path,
    runs: Sequence[Run],
    *,
    title: str = "Evaluation",
    samples: int = SAMPLES,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> None:
    """Write a page about runs. Runs over the same data are shown side by side, others below each other.

    Data are the same where their content is, whatever the file is called.

    Args:
        output: The HTML file; pictures are inside it.
        runs: Finished evaluations, with ``predictions.jsonl``, ``metrics.json`` and ``run.json``.
        title: Heading of the page.
        samples: Records shown of each data.
        max_pixels: Larger images are left out; as in ``evaluate``.

    Raises:
        MgimmError: A run lacks one of its files.
        MissingExtraError: jinja2 is not installed.
    """
    template = load_template(__package__, "report.html.j2", extra="eval", purpose="the report", score=_shown_score)
    groups: dict[str, list[_Loaded]] = {}
    for run in runs:
        loaded = _load(run)
        groups.setdefault(loaded.data, []).append(loaded)
    page = _Page(max_pixels)
    sections = [_section(group, samples, page) for group in groups.values()]
    text = template.render(title=title, sections=sections, images=page.images, colors=_BOX_COLORS)
    write_whole(output, text.encode("utf-8", "backslashreplace").decode())  # names of files may be no UTF-8


def check_finished(folder: str | Path) -> None:
    """Check that a folder holds a finished evaluation, which a report can show.

    Raises:
        MgimmError: It lacks a file, or one is broken.
    """
    _load(Run("", folder))


def _load(run: Run) -> _Loaded:
    folder = Path(run.folder)
    try:
        metrics = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
        settings = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MgimmError(f"{folder} is not a finished evaluation: {error}") from error
    try:
        data = str(settings["settings"]["data"])
    except (KeyError, TypeError) as error:
        raise MgimmError(
            f"{folder} is not a finished evaluation: its {RUN_FILE} does not say what data it is of; evaluate again"
        ) from error
    return _Loaded(run.name, data, metrics, settings, {row["index"]: row for row in read_predictions(folder)})


def _section(runs: Sequence[_Loaded], samples: int, page: _Page) -> dict[str, Any]:
    """All that the template shows of the runs over the same data."""
    first = runs[0]
    common = [index for index in first.rows if all(index in run.rows for run in runs)]
    weakest, spread = choose_samples([first.rows[index] for index in common], samples)
    questions = {_bare_question(first.rows[index]["question"]) for index in common}
    groups = (("Across the data set", spread), ("Weakest answers", weakest))
    return {
        "data": Path(first.settings["data"]).name,
        "digest": first.data[:_SHOWN_DIGITS],
        "models": list(dict.fromkeys(Path(run.settings["model"]).name for run in runs if run.settings["model"])),
        "records": len(common),
        "runs": [run.name for run in runs],
        "tables": _tables(runs),
        "reasons": [reason for run in runs[:1] if (reason := run.metrics.get("caption_metrics_reason"))],
        "skipped": [f"{run.name}: {text}" for run in runs for text in run.metrics.get("skipped", ())],
        "question": questions.pop() if len(questions) == 1 else None,
        "groups": [(name, [_card(row["index"], runs, page) for row in rows]) for name, rows in groups if rows],
    }


def _tables(runs: Sequence[_Loaded]) -> list[dict[str, Any]]:
    """The blocks of scores, without the rows that no run has."""
    blocks = (
        (
            "Attributes named correctly",
            "Share of answers with the true value and no other; ✓ and ✗ below stand before the true value.",
            [(name, f"{name}_accuracy", 1.0) for name in _ACCURACIES],
        ),
        (
            "Objects named",
            "Categories that are there and named; hallucination: named and not there, less is better.",
            [(key.replace("_", " "), key, 1.0) for key in _OBJECTS],
        ),
        (
            "Caption scores",
            "CIDEr goes up to 10, the others to 1.",
            [(name, name, 10.0 if name == "CIDEr" else 1.0) for name in CAPTION_METRICS],
        ),
    )
    tables = []
    for heading, note, names in blocks:
        rows = []
        for label, key, top in names:
            values = [run.metrics.get(key) for run in runs]
            if any(value is not None for value in values):
                cells = [(value, None if value is None else round(100 * min(value / top, 1), 1)) for value in values]
                rows.append({"label": label, "cells": cells, "strong": key in _STRONG})
        if rows:
            tables.append({"heading": heading, "note": note, "rows": rows})
    return tables


def _card(index: int, runs: Sequence[_Loaded], page: _Page) -> dict[str, Any]:
    row = runs[0].rows[index]
    image = _embed(row["image"], Path(runs[0].settings["images"]), page)
    return {
        "id": row["id"],
        "image": image,
        "question": _bare_question(row["question"]),
        "boxes": [_drawn_box(number, region, image) for number, region in enumerate(row["regions"])] if image else [],
        "legend": [region.get("phrase") or region.get("category") or "" for region in row["regions"]],
        "references": row["references"],
        "answers": [_answer(run.name, run.rows[index]) for run in runs],
    }


def _answer(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    known = row["regions"][0].get("attributes", {}) if row["regions"] else {}
    correct = row.get("correct") or {}
    marks = [{"name": key, "value": known.get(key, ""), "right": right} for key, right in correct.items()]
    marks += _object_marks(row.get("objects") or {})
    scores = row.get("scores") or {}
    shown = [(key, scores[key]) for key in ("BLEU-4", "METEOR", "CIDEr") if key in scores]
    return {"name": name, "text": row["prediction"], "marks": marks, "scores": shown}


def _object_marks(objects: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Each category once: named and there, named but not there, there but not named."""
    wrong = dict.fromkeys(objects.get("not_there", ()), "not there")
    marks = {name: wrong.get(name, "there") for name in objects.get("named", ())}
    marks |= dict.fromkeys(objects.get("missing", ()), "not named")
    return [{"name": name, "value": said, "right": said == "there"} for name, said in marks.items()]


def _embed(name: str | None, folder: Path, page: _Page) -> dict[str, Any] | None:
    """Add an image to the page, small, once; None where there is none or it cannot be read any more."""
    if name is None:
        return None
    key = str(folder / name)
    if key not in page.images:
        try:
            image = open_image(folder / name, max_pixels=page.max_pixels)
        except ImageError:
            return None
        small = image.copy()
        small.thumbnail((_JPEG_SIDE, _JPEG_SIDE), Image.Resampling.LANCZOS)
        page.images[key] = {
            "id": f"image-{len(page.images)}", "uri": jpeg_url(small), "width": image.width, "height": image.height
        }  # fmt: skip
    return page.images[key]


def _drawn_box(number: int, region: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    """A box in the image's own pixels, and where its number goes: above it, or inside where there is no room."""
    x1, y1, x2, y2 = region["bbox"]
    side = 0.062 * max(image["width"], image["height"])
    top = y1 - side if y1 >= side else y1
    return {
        "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1,
        "label_x": min(max(x1, 0), image["width"] - side), "label_y": top, "side": side,
        "number": number + 1, "color": _BOX_COLORS[number % len(_BOX_COLORS)],
    }  # fmt: skip


def _bare_question(text: str) -> str:
    return _SENTINELS.sub("", text).strip()


def _shown_score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
