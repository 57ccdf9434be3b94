"""Patch features of a batch of images: the vision pass, and LLaVA's ways to lay several views of one image in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from llava.mm_utils import get_anyres_image_grid_shape
from llava.model.llava_arch import unpad_image
from torch import Tensor

from mgimm_plugin.errors import MgimmError


class VisionFeatures(NamedTuple):
    """Tower features of N images, before the projector."""

    base: Tensor
    """``[N, T, C]``: the whole image; boxes are in its frame."""
    views: Tensor | None
    """``[sum of views, T, C]``: all views of all images, base first (anyres only)."""
    view_counts: tuple[int, ...]
    """Number of views of each image."""


def join_features(features: Tensor | Sequence[Tensor]) -> VisionFeatures:
    """What ``encode_vision`` gives, from the features of each image.

    Args:
        features: ``[N, T, C]``; or for anyres N times ``[V, T, C]``, the base view first.
    """
    if isinstance(features, Tensor):
        return VisionFeatures(features, None, (1,) * features.shape[0])
    counts = tuple(views.shape[0] for views in features)
    return VisionFeatures(torch.stack([views[0] for views in features]), torch.cat(list(features)), counts)


@torch.no_grad()
def encode_vision(tower: Any, images: Tensor | Sequence[Tensor]) -> VisionFeatures:
    """Run the frozen tower once over all views of all images.

    It computes in its own precision, outside autocast: its features are the same in training, which may be under
    autocast or DeepSpeed, at inference, and in a cache.

    Args:
        tower: LLaVA's ``CLIPVisionTower``.
        images: ``[N, 3, S, S]``; or for anyres a list of ``[V, 3, S, S]``, or ``[N, V, 3, S, S]``.
    """
    if isinstance(images, Tensor) and images.ndim == 4:
        if images.shape[0]:
            return join_features(_run(tower, images))
        # No image in the whole batch: the pass is still made, as under ZeRO-3 every rank has to gather the weights.
        return join_features(_run(tower, images.new_zeros((1, *images.shape[1:])))[:0])
    views = [view if view.ndim == 4 else view[None] for view in images]
    return join_features(_run(tower, torch.cat(list(views))).split([view.shape[0] for view in views]))


def _run(tower: Any, pixels: Tensor) -> Tensor:
    with torch.autocast(pixels.device.type, enabled=False):
        return tower(pixels.to(tower.dtype))


def merge_views(
    projected: Tensor, size: tuple[int, int] | None, config: Any, tower: Any, newline: Tensor | None
) -> Tensor:
    """Lay the projected views of one image out as one sequence, by ``mm_patch_merge_type``.

    Args:
        projected: ``[V, T, D]``, base view first.
        size: (width, height) of the original image in pixels; needed where the views are laid out as a picture.
        config: The model's config.
        tower: The vision tower (for its grid and image size).
        newline: ``[D]``, the row separator of the ``unpad`` types.

    Returns:
        ``[length, D]``.

    Raises:
        MgimmError: The merge type is unknown, or ``size`` is needed and missing.
    """
    kind = getattr(config, "mm_patch_merge_type", "flat")
    if kind == "flat":
        return projected.flatten(0, 1)
    if not kind.startswith("spatial"):
        raise MgimmError(f"config: mm_patch_merge_type {kind!r} is unknown; known: flat, spatial, spatial_unpad")
    base, rest = projected[0], projected[1:]
    if not rest.shape[0]:
        return torch.cat((base, newline[None].to(base))) if "unpad" in kind and newline is not None else base
    if size is None:
        raise MgimmError(
            f"images in several views (mm_patch_merge_type {kind}) need image_sizes, "
            "(width, height) of each original image"
        )
    side = tower.num_patches_per_side
    columns, rows = get_anyres_image_grid_shape(size, config.image_grid_pinpoints, tower.config.image_size)
    tiles = rest.view(rows, columns, side, side, -1)
    picture = tiles.permute(4, 0, 2, 1, 3).flatten(1, 2).flatten(2, 3)  # [D, rows * side, columns * side]
    if "unpad" in kind and newline is not None:
        picture = unpad_image(picture, size)
        line_ends = newline[:, None, None].expand(*picture.shape[:-1], 1).to(picture)
        picture = torch.cat((picture, line_ends), dim=-1)
        return torch.cat((base, picture.flatten(1, 2).T))
    return torch.cat((base, tiles.permute(0, 2, 1, 3, 4).flatten(0, 3)))
