"""Items to a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mgimm_plugin.constants import IGNORE_INDEX
from mgimm_plugin.data.encoding import Item


@dataclass(frozen=True, slots=True)
class RegionCollator:
    """Pads items and joins their images and boxes.

    Attributes:
        pad_token_id: What fills ``input_ids``; masked out, so any id will do.
        frame_size: Side S of the vision tower's input in pixels, the shape of a batch without images.
        padding_side: ``right`` for training, ``left`` for generation.
        no_features: ``[0, T, C]``, where items have features for images: those of a batch without images.
    """

    pad_token_id: int
    frame_size: int
    padding_side: Literal["right", "left"] = "right"
    no_features: Tensor | None = None

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Build a batch of B items with N images and R boxes; N and R may be 0.

        Returns:
            In this order (the Trainer takes the batch size from the first entry, boxes must not be it):
            ``input_ids [B, L]`` int64, ``attention_mask [B, L]`` bool, ``labels [B, L]`` int64,
            ``images [U, 3, S, S]`` float32 (a list of ``[V, 3, S, S]`` for anyres), each distinct image once, or
            ``image_features [U, T, C]`` (``[V, T, C]``) in their place,
            ``image_sizes`` N times (width, height), ``image_row [N]`` the row that owns an image, ``boxes [R, 4]``
            int64 in 1/BOX_UNITS of the tower's frame, in the order of the rows and of their ``<region>`` tokens,
            ``image_index [R]`` which of the N images a box is in, and ``image_source [N]`` which of the U each is.
        """
        images: dict[object, Tensor] = {}
        image_sizes, image_row, image_index, image_source = [], [], [], []
        for row, item in enumerate(items):
            if item["image"] is not None:
                key = item["image_name"] or row
                image_source.append(list(images).index(key) if key in images else len(images))
                images.setdefault(key, item["image"])
                image_sizes.append(item["image_size"])
                image_row.append(row)
            image_index += [len(image_row) - 1] * len(item["boxes"])
        ids = [item["input_ids"] for item in items]
        return {
            "input_ids": self._pad(ids, self.pad_token_id),
            "attention_mask": self._pad([torch.ones_like(row, dtype=torch.bool) for row in ids], False),
            "labels": self._pad([item["labels"] for item in items], IGNORE_INDEX),
            "images" if self.no_features is None else "image_features": self._stack(list(images.values())),
            "image_sizes": image_sizes,
            "image_row": torch.tensor(image_row, dtype=torch.int64),
            "boxes": torch.cat([item["boxes"] for item in items]),
            "image_index": torch.tensor(image_index, dtype=torch.int64),
            "image_source": torch.tensor(image_source, dtype=torch.int64),
        }

    def _pad(self, rows: Sequence[Tensor], value: int | bool) -> Tensor:
        return torch.nn.utils.rnn.pad_sequence(
            list(rows), batch_first=True, padding_value=value, padding_side=self.padding_side
        )

    def _stack(self, images: list[Tensor]) -> Tensor | list[Tensor]:
        nothing = self.no_features
        if nothing is None:
            nothing = torch.empty((0, 3, self.frame_size, self.frame_size))
        if not images:
            return nothing
        return torch.stack(images) if all(image.ndim == nothing.ndim - 1 for image in images) else images
