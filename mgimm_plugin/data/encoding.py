"""From a record and its image to tensors: the same steps for training and for the predictor."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isqrt
from pathlib import Path
from typing import Any, NoReturn, TypedDict

import numpy as np
import torch
from llava.mm_utils import get_anyres_image_grid_shape
from llava.model.llava_arch import unpad_image
from PIL import Image
from torch import Tensor

from mgimm_plugin.constants import DEFAULT_MAX_PIXELS, IMAGE_TOKEN_INDEX, REGION_TOKEN_INDEX
from mgimm_plugin.data.feature_store import FeatureStore
from mgimm_plugin.data.formats import Presentation
from mgimm_plugin.data.images import frame_size_of, image_size, open_image, preprocess_image
from mgimm_plugin.data.records import Record, check_image_size
from mgimm_plugin.data.region_input import RegionInput
from mgimm_plugin.errors import ImageError, RecordError, SequenceTooLongError
from mgimm_plugin.geometry import as_boxes, clip_boxes, frame_for, quantize_boxes
from mgimm_plugin.tokenization import TokenizedConversation, tokenize_conversation

RECENT_IMAGES = 8
"""Encoded images that a process keeps: records of one image often come together."""


class Item(TypedDict):
    """One row of a batch, before it is padded."""

    input_ids: Tensor
    """``[L]`` int64, with the sentinels of ``<image>`` and ``<region>``."""
    labels: Tensor
    """``[L]`` int64, IGNORE_INDEX where there is no loss."""
    image: Tensor | None
    """``[3, S, S]`` float32, or ``[V, 3, S, S]`` for anyres; ``[T, C]`` or ``[V, T, C]`` where features are cached."""
    image_name: str | None
    """Its path as the record has it: what tells that two rows have the same image."""
    image_size: tuple[int, int] | None
    """(width, height) of the original image in pixels."""
    boxes: Tensor
    """``[R, 4]`` int64, xyxy in 1/BOX_UNITS of the tower's frame, one for each ``<region>``."""
    id: str


@dataclass(frozen=True, slots=True)
class ImageEncoder:
    """What a model's settings say about images.

    Attributes:
        image_processor: The vision tower's ``CLIPImageProcessor``.
        image_aspect_ratio: ``pad``, ``resize``, ``square`` or ``anyres``.
        image_grid_pinpoints: Canvases of ``anyres``.
        patch_merge_type: How its views are laid out, ``mm_patch_merge_type`` of the config.
        max_pixels: Larger images are refused.
    """

    image_processor: Any
    image_aspect_ratio: str
    image_grid_pinpoints: Any = None
    patch_merge_type: str = "flat"
    max_pixels: int = DEFAULT_MAX_PIXELS

    def open(self, path: str | Path) -> Image.Image:
        """Read an image file as RGB; ImageError where that is not possible."""
        return open_image(path, max_pixels=self.max_pixels)

    def size_of(self, path: str | Path) -> tuple[int, int]:
        """(width, height) in pixels of an image file, which is not decoded for it; ImageError as in ``open``."""
        return image_size(path, max_pixels=self.max_pixels)

    def encode_image(self, image: Image.Image) -> Tensor:
        """Return ``[3, S, S]`` (``[V, 3, S, S]`` for anyres) for an RGB image."""
        return preprocess_image(
            image,
            self.image_processor,
            self.image_aspect_ratio,
            self.image_grid_pinpoints,
            max_pixels=self.max_pixels,
        )

    def encode_boxes(
        self, boxes_xyxy: Sequence[Sequence[float]] | np.ndarray, width: int, height: int
    ) -> tuple[Tensor, int]:
        """Map boxes from pixels of the original image to the tower's frame.

        Args:
            boxes_xyxy: ``[R, 4]`` boxes.
            width: Width of the original image in pixels.
            height: Height of the original image in pixels.

        Returns:
            ``[R, 4]`` int64 in 1/BOX_UNITS of the frame, and the number of boxes that stuck out of the image, or of
            the part of it that the tower sees.

        Raises:
            BoxError: A box encloses nothing, or nothing that the tower sees.
        """
        clipped, _ = clip_boxes(boxes_xyxy, width, height)
        frame = frame_for(width, height, mode=self.image_aspect_ratio, frame_size=frame_size_of(self.image_processor))
        count = int(((clipped != as_boxes(boxes_xyxy)).any(axis=1) | frame.cuts(clipped)).sum())
        return torch.from_numpy(quantize_boxes(frame.to_unit(clipped))), count

    def positions(self, tokens_per_view: int, size: tuple[int, int]) -> int:
        """How many positions of the language model an image takes, all its views together.

        Args:
            tokens_per_view: Patches of a view, which is square.
            size: (width, height) of the original image in pixels.
        """
        if self.image_aspect_ratio != "anyres":
            return tokens_per_view
        columns, rows = get_anyres_image_grid_shape(
            size, self.image_grid_pinpoints, frame_size_of(self.image_processor)
        )
        if "unpad" not in self.patch_merge_type:
            return (1 + rows * columns) * tokens_per_view
        side = isqrt(tokens_per_view)
        height, width = unpad_image(torch.empty((1, rows * side, columns * side), device="meta"), size).shape[1:]
        return tokens_per_view + height * (width + 1)  # each row has an end


def sequence_length(input_ids: Sequence[int], tokens_per_image: int, tokens_per_region: int) -> int:
    """Return how many positions of the language model ids take once images and regions are in their places."""
    images, regions = input_ids.count(IMAGE_TOKEN_INDEX), input_ids.count(REGION_TOKEN_INDEX)
    return len(input_ids) + images * (tokens_per_image - 1) + regions * (tokens_per_region - 1)


def check_length(
    input_ids: Sequence[int],
    tokens_per_image: int,
    context_length: int,
    *,
    tokens_per_region: int,
    answer_length: int = 0,
) -> None:
    """Refuse a sequence that the model has no room for.

    Args:
        input_ids: Ids with sentinels.
        tokens_per_image: Positions that an image takes.
        context_length: Positions of the language model.
        tokens_per_region: Positions that a region takes.
        answer_length: Positions that an answer still to come may take.

    Raises:
        SequenceTooLongError: With both lengths.
    """
    length = sequence_length(input_ids, tokens_per_image, tokens_per_region)
    if length + answer_length <= context_length:
        return
    needs = f"takes {length} tokens, images and regions included"
    if answer_length:
        needs = f"the question {needs}, and its answer up to {answer_length} more"
        advice = "shorten the question or lower max_new_tokens"
    else:
        advice = "shorten the record or raise --model_max_length"
    raise SequenceTooLongError(f"{needs}, but the model's context has {context_length}", advice=advice)


@dataclass(frozen=True, slots=True)
class RecordEncoder:
    """Turns records into items.

    Attributes:
        images: The model's image settings.
        tokenizer: The language model's tokenizer.
        template: Name of the conversation template.
        context_length: Positions of the language model.
        tokens_per_image: Positions that one view of an image takes.
        regions: How the model takes regions.
        features: Features of all images, which then are not decoded.
    """

    images: ImageEncoder
    tokenizer: Any
    template: str
    context_length: int
    tokens_per_image: int
    regions: RegionInput = RegionInput()  # noqa: RUF009 - frozen
    features: FeatureStore | None = None
    _recent: OrderedDict[Path, tuple[Tensor, tuple[int, int]]] = field(default_factory=OrderedDict, repr=False)

    def encode(self, record: Record, presentation: Presentation, image_folder: Path) -> tuple[Item, int]:
        """Encode a record.

        Args:
            record: The record.
            presentation: What of it the model is given.
            image_folder: Where the paths of its image start.

        Returns:
            The item, and the number of the record's boxes that stuck out of the image.

        Raises:
            RecordError: It cannot be used; the subclass says why.
        """
        if len(presentation.turns) < 2:
            raise RecordError("has no answer to learn from", field="conversations")
        texts = self.regions.shown([turn.value for turn in presentation.turns])
        # Tokens first: a record that is too long is told without decoding its image.
        tokens = self._tokenize(presentation, texts)
        image, size = None, None
        boxes, clipped = torch.empty((0, 4), dtype=torch.int64), 0
        if record.image is not None:
            image, size = self._read(image_folder / record.image)
            check_image_size(record, *size)
            # All boxes are mapped, so that an error names the region by its place in the record.
            boxes, clipped = self.images.encode_boxes([region.bbox for region in record.regions], *size)
            boxes = boxes[list(presentation.region_indices)]
            if not self.regions.takes_boxes:
                tokens = self._tokenize(presentation, self.regions.written(texts, boxes))
                boxes = boxes[:0]
            self._check_length(tokens, self.images.positions(self.tokens_per_image, size))
        item = Item(
            input_ids=torch.tensor(tokens.input_ids, dtype=torch.int64),
            labels=torch.tensor(tokens.labels, dtype=torch.int64),
            image=image,
            image_name=record.image,
            image_size=size,
            boxes=boxes,
            id=record.id,
        )
        return item, clipped

    def _tokenize(self, presentation: Presentation, texts: Sequence[str]) -> TokenizedConversation:
        """Tokenize ``texts``, said by the sides whose turns they are."""
        turns = [(turn.role, text) for turn, text in zip(presentation.turns, texts, strict=True)]
        tokens = tokenize_conversation(turns, self.template, self.tokenizer)
        self._check_length(tokens, self.tokens_per_image)
        return tokens

    def _check_length(self, tokens: TokenizedConversation, tokens_per_image: int) -> None:
        check_length(
            tokens.input_ids,
            tokens_per_image,
            self.context_length,
            tokens_per_region=self.regions.tokens_per_region,
        )

    def forget_images(self) -> None:
        """Open every image again."""
        self._recent.clear()

    def _read(self, path: Path) -> tuple[Tensor, tuple[int, int]]:
        """An image as the tower takes it, or what the tower made of it, and its size; the last few are at hand."""
        if self.features is not None:
            return self.features.read(path) or self._fail(path)
        if path not in self._recent:
            picture = self.images.open(path)
            if len(self._recent) == RECENT_IMAGES:
                self._recent.popitem(last=False)
            self._recent[path] = self.images.encode_image(picture), picture.size
        return self._recent[path]

    def _fail(self, path: Path) -> NoReturn:
        """Say why an image has no features: nearly always because it cannot be encoded."""
        self.images.encode_image(self.images.open(path))
        raise ImageError(f"image {path} could not be read when features were cached; start the run again")
