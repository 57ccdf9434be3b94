"""Ids with sentinels and blocks of features to embeddings, labels, mask and positions.

Images and regions take the same road, and rows may be padded on either side. Every token is given the length it
unfolds to, and everything is put in its place by one indexed copy: no loop over rows, images or boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mgimm_plugin.constants import (
    DEFAULT_IMAGE_TOKEN,
    DEFAULT_REGION_TOKEN,
    IGNORE_INDEX,
    IMAGE_TOKEN_INDEX,
    REGION_TOKEN_INDEX,
)
from mgimm_plugin.errors import RecordError


class FeatureBlocks(NamedTuple):
    """Feature blocks of one kind, in the order in which their sentinels come: by row, then by position."""

    features: Tensor
    """``[total, D]``: the blocks one after another; ``total`` may be 0, and stays in the graph."""
    lengths: Tensor
    """``[K]``: length of each block."""
    rows: Tensor
    """``[K]``: batch row of each block, ascending."""


class Spliced(NamedTuple):
    """What the language model takes."""

    inputs_embeds: Tensor
    """``[B, M, D]``."""
    labels: Tensor
    """``[B, M]``; IGNORE_INDEX on features and padding."""
    attention_mask: Tensor
    """``[B, M]`` bool."""
    position_ids: Tensor
    """``[B, M]``, 0 on padding."""


def splice(
    input_ids: Tensor,
    attention_mask: Tensor,
    labels: Tensor | None,
    embed: Callable[[Tensor], Tensor],
    images: FeatureBlocks,
    regions: FeatureBlocks,
    *,
    padding_side: str = "right",
) -> Spliced:
    """Unfold the sentinels of a batch.

    Args:
        input_ids: ``[B, L]`` with sentinels for images and regions.
        attention_mask: ``[B, L]`` bool, False on padding (either side).
        labels: ``[B, L]``, or None.
        embed: Ids to embeddings, ``[K]`` to ``[K, D]``.
        images: Blocks of the ``<image>`` tokens.
        regions: Blocks of the ``<region>`` tokens.
        padding_side: Where the result is padded.

    Raises:
        RecordError: A row has another number of sentinels of a kind than of blocks; the message has both counts.
    """
    is_image = (input_ids == IMAGE_TOKEN_INDEX) & attention_mask
    is_region = (input_ids == REGION_TOKEN_INDEX) & attention_mask
    _check_counts(is_image, images.rows, DEFAULT_IMAGE_TOKEN, "images")
    _check_counts(is_region, regions.rows, DEFAULT_REGION_TOKEN, "boxes")

    unfolded = attention_mask.long()
    unfolded[is_image] = images.lengths
    unfolded[is_region] = regions.lengths
    totals = unfolded.sum(dim=1)
    width = int(totals.max())
    start = unfolded.cumsum(dim=1) - unfolded
    shift = width - totals if padding_side == "left" else torch.zeros_like(totals)
    batch = input_ids.shape[0]
    rows = torch.arange(batch, device=input_ids.device)
    place = start + (shift + rows * width)[:, None]  # index into the flattened [B * M]

    is_text = attention_mask & ~is_image & ~is_region
    text = embed(input_ids[is_text])
    values = torch.cat((text, images.features.to(text.dtype), regions.features.to(text.dtype)))
    index = torch.cat(
        (place[is_text], _unfold(place[is_image], images.lengths), _unfold(place[is_region], regions.lengths))
    )
    embeds = text.new_zeros(batch * width, text.shape[1]).index_copy(0, index, values)

    new_labels = torch.full((batch * width,), IGNORE_INDEX, dtype=torch.long, device=input_ids.device)
    if labels is not None:
        new_labels[place[is_text]] = labels[is_text]
    column = torch.arange(width, device=input_ids.device) - shift[:, None]
    mask = (column >= 0) & (column < totals[:, None])
    return Spliced(embeds.view(batch, width, -1), new_labels.view(batch, width), mask, column * mask)


def _unfold(place: Tensor, lengths: Tensor) -> Tensor:
    """Consecutive indices from each place on: ``[K]`` and ``[K]`` to ``[sum of lengths]``."""
    before = lengths.cumsum(0) - lengths
    within = torch.arange(int(lengths.sum()), device=place.device) - before.repeat_interleave(lengths)
    return place.repeat_interleave(lengths) + within


def _check_counts(sentinels: Tensor, rows: Tensor, token: str, noun: str) -> None:
    wanted = sentinels.sum(dim=1)
    given = torch.bincount(rows, minlength=wanted.shape[0])
    wanted = F.pad(wanted, (0, given.shape[0] - wanted.shape[0]))  # blocks of rows that the batch does not have
    if torch.equal(wanted, given):
        return
    row = int((wanted != given).int().argmax())
    raise RecordError(f"row {row} of the batch has {int(wanted[row])} {token} tokens and {int(given[row])} {noun}")
