"""Questions about images and regions, and what they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from mgimm_plugin.model.vision_features import VisionFeatures

Box = Sequence[float]
"""xyxy in pixels of the original image."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """An image after its vision pass, to be asked about any number of times.

    Attributes:
        size: (width, height) of the original image in pixels.
        features: The tower's features of this one image.
    """

    size: tuple[int, int]
    features: VisionFeatures


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """An image as the vision tower takes it, before its vision pass: small, however large the original was.

    Attributes:
        size: (width, height) of the original image in pixels.
        views: ``[3, S, S]`` float32, or ``[V, 3, S, S]`` for anyres.
    """

    size: tuple[int, int]
    views: torch.Tensor


ImageLike = Image.Image | str | Path
"""An image or its path."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A question and what it is about.

    Attributes:
        image: An image, its path, or what ``Predictor.prepare_image`` or ``encode_image`` made of it; None for a
            question of text alone.
        text: The user's words, with ``<image>`` where the whole image is shown and one ``<region>`` for each box.
        boxes: xyxy in pixels of the original image, in the order of the ``<region>`` tokens.
        id: Names the question in errors.
        earlier: What was said before, question and answer in turn; ``<image>`` and ``<region>`` may stand here too.
    """

    image: ImageLike | PreparedImage | EncodedImage | None
    text: str
    boxes: Sequence[Box] = ()
    id: str | None = None
    earlier: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """All that was said, question and answer in turn, this question last."""
        return (*self.earlier, self.text)
