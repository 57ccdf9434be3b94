"""Score the checkpoints of both stages on both tasks, beside the same models shown a blank image.

What a model says of a blank image with the same boxes is the floor: what boxes, question and habit alone achieve.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import mgimm_plugin
from mgimm_plugin.data.whole_files import write_whole
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.evaluate.objects import OBJECT_METRICS
from mgimm_plugin.evaluate.report import Run, write_report
from mgimm_plugin.evaluate.runner import evaluate
from mgimm_plugin.evaluate.store import METRICS_FILE, PREDICTIONS_FILE, REPORT_FILE, ResumeError, to_json

REGION_FILE, IMAGE_FILE = "region.jsonl", "image.jsonl"
_SCORES = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr", "SPICE")
_ATTRIBUTES = tuple(
    f"{name}_accuracy" for name in ("appearance", "geometry", "category", "color", "shape", "size", "position")
)


def evaluate_two_stages(
    region: Path, image: Path, data: Path, output: Path, *, batch_size: int = 64
) -> dict[str, dict[str, dict[str, Any]]]:
    """Evaluate a region checkpoint and an image checkpoint.

    Interrupted, it goes on where it stopped. What is there of other checkpoints or other data is replaced.

    Args:
        region: Checkpoint of the region stage.
        image: Checkpoint of the image stage.
        data: Folder with ``region.jsonl``, ``image.jsonl`` and their images, none of them trained on.
        output: Gets ``metrics.json``, ``predictions.jsonl`` and ``report.html``, and a folder for each run.
        batch_size: Questions answered together.

    Returns:
        ``{"region": {"tuned", "blank_image", "image_checkpoint"}, "image": {"tuned", "blank_image"}}``, each with the
        caption scores, with attribute accuracies for regions, and with object scores for images.
    """
    from mgimm_plugin.predictor import Predictor

    metrics: dict[str, dict[str, dict[str, Any]]] = {"region": {}, "image": {}}
    runs: dict[str, list[Run]] = {"region": [], "image": []}
    for name in (METRICS_FILE, PREDICTIONS_FILE, REPORT_FILE):  # an earlier run's do not hold until all is done
        (output / name).unlink(missing_ok=True)
    for checkpoint, jobs in (
        (region, [("region", "tuned", False), ("region", "blank_image", True)]),
        (image, [("image", "tuned", False), ("image", "blank_image", True), ("region", "image_checkpoint", False)]),
    ):
        predictor = Predictor.from_pretrained(checkpoint)
        for task, name, blank in jobs:
            folder = output / "evaluation" / f"{task}-{name}"
            file = data / (REGION_FILE if task == "region" else IMAGE_FILE)
            print(f"{task} task, {name.replace('_', ' ')}", file=sys.stderr)
            ask = partial(
                evaluate, predictor, file, data, folder, batch_size=batch_size, blank_image=blank, model=checkpoint
            )
            try:
                scores = ask()
            except ResumeError:
                print(
                    f"{folder}: holds answers of another model, or to other questions; starting over", file=sys.stderr
                )
                scores = ask(resume=False)
            own = _ATTRIBUTES if task == "region" else OBJECT_METRICS
            metrics[task][name] = {key: scores[key] for key in (*_SCORES, *own) if key in scores}
            runs[task].append(Run(name.replace("_", " "), folder))
    tuned = [output / "evaluation" / f"{task}-tuned" / PREDICTIONS_FILE for task in ("region", "image")]
    write_whole(output / PREDICTIONS_FILE, "".join(file.read_text(encoding="utf-8") for file in tuned))
    write_whole(output / METRICS_FILE, to_json(metrics))
    write_report(output / REPORT_FILE, [*runs["region"], *runs["image"]], title="Both stages on scenes not trained on")
    return metrics


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of ``python -m mgimm_plugin.evaluate.two_stages``; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, text in (
        ("region", "checkpoint of the region stage"),
        ("image", "checkpoint of the image stage"),
        ("data", "folder with region.jsonl, image.jsonl and images"),
        ("output", "folder for the results"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=text)
    args = parser.parse_args(argv)
    mgimm_plugin.register()
    try:
        metrics = evaluate_two_stages(args.region, args.image, args.data, args.output)
    except MgimmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(to_json(metrics))
    return 0


if __name__ == "__main__":
    sys.exit(main())
