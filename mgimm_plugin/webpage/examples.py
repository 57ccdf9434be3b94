"""The bundled scenes, with the boxes of their regions."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from typing import Any

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN
from mgimm_plugin.data.records import read_records
from mgimm_plugin.resources import playground_folder
from mgimm_plugin.webpage.session import DrawnBox, color_of


def examples() -> list[tuple[str, list[DrawnBox]]]:
    """Path and boxes of each scene, from the records that show whole images."""
    folder = playground_folder() / "examples"
    return [
        (str(folder / str(record.image)), [DrawnBox(region.bbox) for region in record.regions])
        for record in read_records(folder / "examples.jsonl")
        if DEFAULT_IMAGE_TOKEN in record.conversations[0].value
    ]


def canvas_value(path: str, boxes: Sequence[DrawnBox]) -> dict[str, Any]:
    """What the drawing component takes: boxes in their colors, the last one first.

    It knows whole pixels alone, so that boxes grow to them. The image is a file because the component would save
    pixels with loss.

    Args:
        path: Image file that browsers can show.
        boxes: The first is number 1.
    """
    drawn = []
    for number, box in enumerate(boxes, 1):
        color = color_of(number, box)
        x1, y1, x2, y2 = box.bbox
        corners = {"xmin": floor(x1), "ymin": floor(y1), "xmax": ceil(x2), "ymax": ceil(y2)}
        rgb = tuple(int(color[at : at + 2], 16) for at in (1, 3, 5))
        drawn.append({**corners, "label": box.label, "color": rgb})
    return {"image": path, "boxes": drawn[::-1]}
