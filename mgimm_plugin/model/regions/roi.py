"""Features of regions of interest: averaged over a box, or sampled from a grid of cells in it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgimm_plugin.constants import BOX_UNITS
from mgimm_plugin.model.regions.layout import laid_out, places
from mgimm_plugin.region_settings import RegionSettings

ROI_SIDE = 7
"""Cells across a box, as in Mask R-CNN's box head (He et al. 2017, who introduced RoIAlign)."""

SAMPLES_PER_SIDE = 2
"""Points across a cell; a fixed number, so that a box thinner than a patch is sampled as well."""

CHANNELS_TO_CELL = 8
"""A cell is read in C / 8 channels."""


def box_average(features: Tensor, boxes: Tensor, image_index: Tensor, grid: tuple[int, int]) -> Tensor:
    """Average the patch features of each box, a patch weighted by the area that it shares with the box.

    Args:
        features: ``[N, T, C]``, row-major over ``grid``.
        boxes: ``[R, 4]`` integers, xyxy in units of 1/65536 of the tower's frame.
        image_index: ``[R]``, the image that each box is in.
        grid: ``(height, width)`` of the patches.

    Returns:
        ``[R, C]`` float32.
    """
    weights = box_shares(boxes, grid)
    place, room = places(image_index, features.shape[0])
    return (laid_out(weights, place, features.shape[0], room) @ features.float()).flatten(0, 1)[place]


def box_shares(boxes: Tensor, grid: tuple[int, int]) -> Tensor:
    """How a box is divided among the patches: the shares of its area, which sum to one.

    Args:
        boxes: ``[R, 4]`` integers, xyxy in units of 1/65536 of the tower's frame.
        grid: ``(height, width)`` of the patches.

    Returns:
        ``[R, T]`` float32.
    """
    unit = boxes.to(torch.float32) / BOX_UNITS
    rows, columns = (
        _shares(unit[:, axis], unit[:, axis + 2], patches) for axis, patches in ((1, grid[0]), (0, grid[1]))
    )
    return (rows[:, :, None] * columns[:, None]).flatten(1)


def _shares(low: Tensor, high: Tensor, patches: int) -> Tensor:
    """How the stretches from ``low [R]`` to ``high [R]`` are divided among equal parts of [0, 1], ``[R, patches]``."""
    edges = torch.linspace(0, 1, patches + 1, device=low.device)
    overlap = torch.minimum(high[:, None], edges[1:]) - torch.maximum(low[:, None], edges[:-1])
    overlap = overlap.clamp(min=0)
    return overlap / overlap.sum(dim=1, keepdim=True)


def roi_cells(features: Tensor, boxes: Tensor, image_index: Tensor, grid: tuple[int, int]) -> Tensor:
    """RoIAlign: sample ``ROI_SIDE`` x ``ROI_SIDE`` cells in each box; the arguments are those of ``box_average``.

    Returns:
        ``[R, ROI_SIDE^2, C]`` float32, row-major.
    """
    from torchvision.ops import roi_align  # slow to import

    height, width = grid
    in_patches = boxes.to(torch.float32) * (boxes.new_tensor([width, height, width, height]) / BOX_UNITS)
    cells = roi_align(
        features.float().transpose(1, 2).unflatten(2, grid),
        torch.cat((image_index[:, None].to(torch.float32), in_patches), dim=1),
        ROI_SIDE,
        sampling_ratio=SAMPLES_PER_SIDE,
        aligned=True,
    )
    return cells.flatten(2).transpose(1, 2)


class RoiReader(nn.Module):
    """Makes the tokens of a box from its cells: to few channels, then through one hidden layer over all cells.

    Its hidden layer is as wide as makes its size that of the region interactive module at the same settings.

    Args:
        channels: C, of the vision tower's features.
        settings: Those of the region interactive module to be as large as.
    """

    def __init__(self, channels: int, settings: RegionSettings) -> None:
        super().__init__()
        self.tokens = settings.mm_region_tokens
        narrow, out = max(1, channels // CHANNELS_TO_CELL), self.tokens * channels
        others = 4 * channels + (channels + 1) * narrow + out
        hidden = (interactive_size(channels, settings) - others) / (ROI_SIDE**2 * narrow + 1 + out)
        self.cell_norm = nn.LayerNorm(channels)
        self.cell = nn.Linear(channels, narrow)
        self.hidden = nn.Linear(ROI_SIDE**2 * narrow, max(1, round(hidden)))
        self.out = nn.Linear(self.hidden.out_features, out)
        self.final_norm = nn.LayerNorm(channels)

    def forward(self, cells: Tensor, corners: Tensor) -> Tensor:
        """``[R, ROI_SIDE^2, C]`` cells and ``[R, Q, C]`` encoded corners to ``[R, Q, C]``."""
        cells = self.cell_norm(cells)
        read = self.out(F.relu(self.hidden(F.relu(self.cell(cells)).flatten(1))))
        average = cells.mean(dim=1, keepdim=True)
        return self.final_norm(corners + average + read.unflatten(1, (self.tokens, -1)))


def interactive_size(channels: int, settings: RegionSettings) -> int:
    """Number of parameters of the region interactive module."""
    inner, mlp = channels // 2, settings.mm_region_mlp_dim
    norm = 2 * channels
    self_attention = 4 * (channels + 1) * channels
    cross_attention = 3 * (channels + 1) * inner + (inner + 1) * channels
    mlp_size = (channels + 1) * mlp + (mlp + 1) * channels
    block = self_attention + cross_attention + mlp_size + 3 * norm
    if settings.mm_region_image_update:
        block += cross_attention + norm
    return settings.mm_region_depth * block + cross_attention + norm
