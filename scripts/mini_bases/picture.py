"""Draw what a checkpoint says of some scenes: the picture with numbered boxes, an answer for each, and of the whole.

python -m scripts.mini_bases.picture playground/examples/examples.jsonl docs/images/result.png --scenes 0 2 5
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle
from PIL import Image

import mgimm_plugin
from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN
from mgimm_plugin.data.records import Record, read_records
from mgimm_plugin.predictor import Predictor

COLORS = plt.get_cmap("tab10").colors  # type: ignore[attr-defined]
_LETTERS = 88
"""Of a line."""


def draw(predictor: Predictor, records: list[Record], images: Path, file: Path) -> None:
    """Ask about each region and the whole of each image, guided by its regions, and draw it all.

    Args:
        predictor: The model.
        records: Records of whole images with their regions.
        images: Where their images are.
        file: The picture.
    """
    figure, rows = plt.subplots(
        len(records), 2, figsize=(13, 4.3 * len(records)), width_ratios=(1, 2), squeeze=False, layout="constrained"
    )
    for (left, right), record in zip(rows, records, strict=True):
        boxes = [region.bbox for region in record.regions]
        predictor.set_image(images / str(record.image))
        answers, whole = predictor.describe_regions(boxes), predictor.describe_image(boxes)
        _draw_boxes(left, Image.open(images / str(record.image)), boxes)
        _write(right, answers, whole)
        print(f"{record.image}\n" + "\n".join(answers) + f"\n{whole}\n")
    figure.savefig(file, dpi=100)
    Image.open(file).convert("RGB").quantize(256).save(file, optimize=True)  # a third of the size


def _draw_boxes(axes: Any, image: Image.Image, boxes: list[Any]) -> None:
    axes.imshow(image)
    axes.set_axis_off()
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        color = COLORS[number % len(COLORS)]
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=color, linewidth=2))
        tag = {"facecolor": color, "edgecolor": "none", "pad": 1.5}
        axes.text(x1, max(y1, 6), str(number + 1), color="white", fontsize=9, weight="bold", bbox=tag)


def _write(axes: Any, answers: list[str], whole: str) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    place, step = 0.99, 0.052
    for number, answer in enumerate(answers):
        lines = textwrap.wrap(answer, _LETTERS)
        axes.text(0, place, str(number + 1), color=COLORS[number % len(COLORS)], weight="bold", va="top", fontsize=11)
        axes.text(0.03, place, "\n".join(lines), va="top", fontsize=11)
        place -= step * len(lines) + 0.012
    axes.axhline(place, color="lightgray", linewidth=1)
    axes.text(0, place - 0.02, textwrap.fill(whole, _LETTERS), va="top", fontsize=11, color="dimgray")
    axes.set_ylim(0, 1)


def main() -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, help="file of records, in the folder of their images")
    parser.add_argument("file", type=Path, help="the picture")
    parser.add_argument("--scenes", type=int, nargs="+", default=[0, 1, 2], help="numbers of the scenes")
    parser.add_argument("--model", type=Path, help="checkpoint; the bundled model by default")
    options = parser.parse_args()
    mgimm_plugin.register()
    predictor = Predictor.from_pretrained(*([options.model] if options.model else []))
    found = [record for record in read_records(options.records) if DEFAULT_IMAGE_TOKEN in record.conversations[0].value]
    draw(predictor, [found[index] for index in options.scenes], options.records.parent, options.file)


if __name__ == "__main__":
    main()
