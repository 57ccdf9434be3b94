"""``mgimm evaluate``: load, evaluate, and put other runs beside it in the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mgimm_plugin.commands.loading import load_predictor
from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.data.images import check_image_folder
from mgimm_plugin.evaluate import Run, evaluate, write_report
from mgimm_plugin.evaluate.asking import read_questions
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
    regions: str = "record",
    **options: Any,
) -> dict[str, Any]:
    """Evaluate a model; ``options`` are those of ``mgimm_plugin.evaluate.evaluate``.

    Records, folder of images and ``compare`` are looked at before the model is loaded.

    Args:
        model: Folder or Hub id; by default the bundled model.
        base: Base model of an adapter or LoRA checkpoint.
        data: Records.
        images: Where image names start; by default the folder of ``data``.
        output: Folder for the results.
        compare: Finished evaluations to show in the report as well.
        device: Such as ``cpu`` or ``cuda``.
        dtype: Such as ``float32``.
        max_pixels: Larger images are refused.
        regions: ``record`` or ``none``.
        **options: The rest.

    Returns:
        The metrics.

    Raises:
        MgimmError: There is no folder of images, one of ``compare`` is no finished evaluation, or what ``evaluate``
            raises.
    """
    with joined_ranks() as ranks:  # before anything can fail on one of them alone
        if ranks.is_first:
            for folder in compare:
                check_finished(folder)
            read_questions(data, regions=regions)  # seconds, where loading may take minutes
            check_image_folder(images)
        ranks.wait()  # what is wrong for all is said once
        check_image_folder(images)  # a node may lack it that the others have
        predictor, _ = load_predictor(model, base, device=device, dtype=dtype, max_pixels=max_pixels)
        options |= {"regions": regions, "max_pixels": max_pixels, "ranks": ranks}
        metrics = evaluate(predictor, data, images, output, **options)
        if compare and ranks.is_first:
            write_report(output / REPORT_FILE, _runs([output, *compare]), max_pixels=max_pixels)
    return metrics


def _runs(folders: Sequence[Path]) -> list[Run]:
    """Name each run by what tells it from the others: the shortest end of its path, and whether it saw the images."""
    paths = [folder.resolve() for folder in folders]
    runs = []
    for path in paths:
        name = str(_shortest_end(path, [other for other in paths if other != path]))
        settings = json.loads((path / RUN_FILE).read_text(encoding="utf-8"))["settings"]
        runs.append(Run(f"{name} (blank image)" if settings["blank_image"] else name, path))
    return runs


def _shortest_end(path: Path, others: Sequence[Path]) -> Path:
    for count in range(1, len(path.parts)):
        end = path.parts[-count:]
        if all(other.parts[-count:] != end for other in others):
            return Path(*end)
    return path
