"""Boxes of several images as a table with a row for each image."""

from __future__ import annotations

import torch
from torch import Tensor


def places(image_index: Tensor, images: int) -> tuple[Tensor, int]:
    """Where each box goes in a table of ``images`` rows, and how many boxes a row has room for.

    Args:
        image_index: ``[R]``, the image that each box is in.
        images: N.

    Returns:
        ``[R]``, indices into the flattened table ``[N * M]``, and M.
    """
    counts = torch.bincount(image_index, minlength=images)
    boxes = int(counts.max()) if images else 0
    order = image_index.argsort(stable=True)
    before = (counts.cumsum(0) - counts)[image_index[order]]
    place = torch.empty_like(image_index)
    place[order] = image_index[order] * boxes + torch.arange(len(order), device=order.device) - before
    return place, boxes


def laid_out(values: Tensor, place: Tensor, images: int, boxes: int) -> Tensor:
    """``[R, ...]`` as a table ``[N, M, ...]``, zero where there is no box."""
    table = values.new_zeros(images * boxes, *values.shape[1:]).index_copy(0, place, values)
    return table.unflatten(0, (images, boxes))
