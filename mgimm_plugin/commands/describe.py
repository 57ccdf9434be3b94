"""``mgimm describe``: one image, its regions or all of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mgimm_patches
from tqdm import tqdm

from mgimm_plugin.commands.boxes import Box, parse_regions, read_boxes_file
from mgimm_plugin.commands.loading import load_predictor
from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.data.images import open_image
from mgimm_plugin.geometry import clip_boxes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Description:
    """What was said about an image; the JSON output has the same names.

    Attributes:
        image: The image as named by the user.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        model: The model that spoke.
        task: ``region`` or ``image``.
        regions: ``bbox`` (x1, y1, x2, y2 in pixels) and ``text`` of each; ``text`` is None for the task ``image``.
        text: The description of the image; None for the task ``region``.
    """

    image: str
    width: int
    height: int
    model: str
    task: str
    regions: list[dict[str, Any]]
    text: str | None

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    def as_text(self) -> str:
        """The image's description, or one line per region: its box, then the words."""
        if self.task == "image":
            return self.text or ""
        return "\n".join(f"[{', '.join(f'{v:g}' for v in item['bbox'])}] {item['text']}" for item in self.regions)


def describe(
    image_path: Path,
    *,
    boxes: Sequence[Box] = (),
    boxes_file: Path | None = None,
    regions: str | None = None,
    task: str | None = None,
    model: str | None = None,
    base: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    **generation: Any,
) -> Description:
    """Describe an image or its regions.

    Args:
        image_path: The image.
        boxes: Boxes in pixels, xyxy.
        boxes_file: A file with more of them.
        regions: ``grid:ROWSxCOLUMNS``.
        task: ``region`` or ``image``; by default ``region`` where there are boxes.
        model: Folder or Hub id; by default the bundled model.
        base: Base model of an adapter or LoRA checkpoint.
        device: Such as ``cpu`` or ``cuda``.
        dtype: Such as ``float32``.
        max_pixels: A larger image is refused.
        generation: ``max_new_tokens``, ``num_beams``, ``temperature``.

    Raises:
        MgimmError: The image, a box, the boxes file or the model cannot be used.
    """
    image = open_image(image_path, max_pixels=max_pixels)
    wanted = list(boxes)
    if boxes_file is not None:
        wanted += read_boxes_file(boxes_file, image_path, image.size)
    if regions is not None:
        wanted += parse_regions(regions, image.width, image.height)
    shown, clipped = clip_boxes(wanted, image.width, image.height)  # a bad box is told before a model is loaded
    if clipped:
        logger.warning("boxes that stuck out of the image and were clipped to it: %d of %d", clipped, len(wanted))
    task = task or ("region" if wanted else "image")
    if not model:
        # It speaks as fluently of a photograph, which it cannot read.
        logger.warning("the bundled model knows drawn scenes only; --model names another")
    mgimm_patches.put_off_compiler()
    predictor, name = load_predictor(model, base, device=device, dtype=dtype, max_pixels=max_pixels)
    predictor.set_image(image)
    text: str | None = None
    texts: Sequence[str | None] = [None] * len(wanted)
    if task == "region":
        # On a terminal, and only when it takes a while.
        with tqdm(total=len(wanted), unit="region", delay=2, leave=False, disable=None) as bar:
            texts = predictor.describe_regions(shown, on_progress=lambda done: bar.update(done - bar.n), **generation)
    else:
        text = predictor.describe_image(shown, **generation)
    described = [{"bbox": list(box), "text": said} for box, said in zip(wanted, texts, strict=True)]
    return Description(str(image_path), image.width, image.height, name, task, described, text)
