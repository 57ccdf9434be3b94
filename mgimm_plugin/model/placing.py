"""What the tower and the region encoder make of a batch, put into the places of its sentinels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mgimm_plugin.constants import IMAGE_TOKEN_INDEX
from mgimm_plugin.errors import RecordError
from mgimm_plugin.model.splicing import FeatureBlocks, Spliced, splice
from mgimm_plugin.model.vision_features import VisionFeatures, merge_views


class FeaturePlacing:
    """The part of a causal language model that knows which features belong where."""

    config: Any
    model: Any
    get_vision_tower: Any
    training: bool

    def splice_batch(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        labels: Tensor | None,
        features: VisionFeatures,
        image_sizes: Sequence[tuple[int, int]] | None = None,
        image_row: Tensor | None = None,
        boxes: Tensor | None = None,
        image_index: Tensor | None = None,
        image_source: Tensor | None = None,
        padding_side: str = "right",
    ) -> Spliced:
        """Put images and regions in their places; the arguments are those of ``forward``."""
        mask = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        is_image = (input_ids == IMAGE_TOKEN_INDEX) & mask
        if image_source is None:
            image_source = torch.arange(len(features.view_counts), device=input_ids.device)
        if image_row is None:
            image_row = _rows_by_convention(is_image, len(image_source))
        if boxes is None or image_index is None:
            boxes, image_index = (input_ids.new_zeros(shape) for shape in ((0, 4), (0,)))
        return splice(
            input_ids,
            mask,
            labels,
            self.model.get_input_embeddings(),
            self._image_blocks(features, image_source, image_row, is_image.any(dim=1), image_sizes),
            self._region_blocks(features, image_row[image_index], boxes, image_source[image_index]),
            padding_side=padding_side,
        )

    def _image_blocks(
        self,
        features: VisionFeatures,
        image_source: Tensor,
        image_row: Tensor,
        row_has_image: Tensor,
        image_sizes: Sequence[tuple[int, int]] | None,
    ) -> FeatureBlocks:
        """Project the images that a prompt shows; an image that only serves its regions is left out."""
        order = image_row.argsort(stable=True)
        shown = order[row_has_image[image_row[order]]]
        newline = getattr(self.model, "image_newline", None)
        if features.views is None:
            joined = self._project(features.base[image_source[shown]]).flatten(0, 1)
            lengths = torch.full_like(shown, features.base.shape[1])
        else:
            views = self._project(features.views).split(features.view_counts)
            tower = self.get_vision_tower()
            blocks = []
            for i in shown.tolist():
                size = None if image_sizes is None else tuple(image_sizes[i])
                blocks.append(merge_views(views[image_source[i]], size, self.config, tower, newline))
            lengths = torch.tensor([block.shape[0] for block in blocks], device=shown.device, dtype=torch.long)
            # No rows, but of the views: the projector's gradient comes when it does on ranks that show some.
            joined = torch.cat(blocks) if blocks else views[0][0, :0]
        if newline is not None and self.training:
            joined = joined + newline[:0].sum()  # adds nothing: where no view is shown, it has a gradient too, zero
        return FeatureBlocks(joined, lengths, image_row[shown])

    def _region_blocks(
        self, features: VisionFeatures, rows: Tensor, boxes: Tensor, image_index: Tensor
    ) -> FeatureBlocks:
        side = self.get_vision_tower().num_patches_per_side
        encoded = self.model.region_encoder(features.base, boxes, image_index, (side, side))
        order = rows.argsort(stable=True)
        lengths = torch.full_like(rows, encoded.shape[1])
        return FeatureBlocks(self._project(encoded[order]).flatten(0, 1), lengths, rows[order])

    def _project(self, features: Tensor) -> Tensor:
        projector = self.model.mm_projector
        weight = next(projector.parameters(), None)
        return projector(features if weight is None else features.to(weight.dtype))


def _rows_by_convention(is_image: Tensor, images: int) -> Tensor:
    """LLaVA's convention for callers that do not say which row owns an image."""
    tokens = is_image.sum(dim=1)
    rows = torch.arange(is_image.shape[0], device=is_image.device)
    for owned in (tokens, tokens.clamp(min=1)):
        if int(owned.sum()) == images:
            return rows.repeat_interleave(owned)
    raise RecordError(
        f"the batch has {int(tokens.sum())} <image> tokens and {images} images; pass image_row to say whose they are"
    )
