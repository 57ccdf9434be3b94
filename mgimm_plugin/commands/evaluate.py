"""``mgimm evaluate``: load, evaluate, and put other runs beside it in the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mgimm_plugin.commands.loading import load_predictor
from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.evaluate import Run, evaluate, write_report
from mgimm_plugin.evaluate.ranks import joined_ranks
from mgimm_plugin.evaluate.report import check_finished
from mgimm_plugin.evaluate.store import REPORT_FILE, RUN_FILE


def run(
    model: str | None,
    base: str | None,
    data: Path,
    images: Path | None,
    output: Path,
    *,
    compare: Sequence[Path] = (),
    device: str | None = None,
    dtype: str | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate a model; ``options`` are those of ``mgimm_plugin.evaluate.evaluate``.

    Args:
        model: Folder or Hub id; by default the bundled model.
        base: Base model of an adapter or LoRA checkpoint.
        data: Records.
        images: Where image names start; by default the folder of ``data``.
        output: Folder for the results.
        compare: Finished evaluations to show in the report as well; checked before the model is loaded.
        device: Such as ``cpu`` or ``cuda``.
        dtype: Such as ``float32``.
        max_pixels: Larger images are refused.
        **options: The rest.

    Returns:
        The metrics.

    Raises:
        MgimmError: One of ``compare`` is no finished evaluation, or what ``evaluate`` raises.
    """
    with joined_ranks() as ranks:  # before anything can fail on one of them alone
        if ranks.is_first:
            for folder in compare:
                check_finished(folder)
        predictor, name = load_predictor(model, base, device=device, dtype=dtype, max_pixels=max_pixels)
        options |= {"model": name, "base": base, "max_pixels": max_pixels, "ranks": ranks}
        metrics = evaluate(predictor, data, images, output, **options)
        if compare and ranks.is_first:
            runs = [Run(_name(folder), folder) for folder in (output, *compare)]
            write_report(output / REPORT_FILE, runs)
    return metrics


def _name(folder: Path) -> str:
    """What tells a run from others: its folder, and whether it saw the images."""
    settings = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))["settings"]
    return f"{folder.resolve().name} (blank image)" if settings["blank_image"] else folder.resolve().name
