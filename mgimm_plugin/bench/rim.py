"""The region interactive module: all boxes at once against a loop over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from mgimm_plugin.bench.measuring import Measurement, in_turns
from mgimm_plugin.bench.usual import loop_over_boxes
from mgimm_plugin.model.regions.interactive import RegionInteractiveModule

BOXES, PATCHES, CHANNELS = 64, 576, 1024
"""CLIP-L/14 at 336 px, as in the paper."""


def rim(
    device: torch.device, *, boxes: int = BOXES, patches: int = PATCHES, channels: int = CHANNELS
) -> Iterator[Measurement]:
    """Forward, and forward with backward, of one image's boxes in float32."""
    torch.manual_seed(0)
    module = RegionInteractiveModule(channels, depth=2, heads=8, mlp_dim=2048).to(device)
    corners = torch.randn(boxes, 2, channels, device=device).sin()
    features = torch.randn(1, patches, channels, device=device)
    index = torch.zeros(boxes, dtype=torch.int64, device=device)
    positions = torch.randn(patches, channels, device=device).sin()
    weights = torch.randn(boxes, 2, channels, device=device)

    def usual() -> Tensor:
        return loop_over_boxes(module, corners, features, index, positions)

    def ours() -> Tensor:
        return module(corners, features, index, positions)

    def gradients(way: Callable[[], Tensor]) -> list[Tensor]:
        return list(torch.autograd.grad((way() * weights).sum(), list(module.parameters())))

    more = {"boxes": boxes, "patches": patches, "channels": channels}
    with torch.no_grad():
        difference = float((usual() - ours()).abs().max())
        times = in_turns(usual, ours, device=device)
    yield Measurement(
        name="rim", case="forward", usual_s=times[0], ours_s=times[1], max_difference=difference, more=more
    )
    pairs = zip(gradients(usual), gradients(ours), strict=True)
    difference = max(float((a - b).abs().max() / a.abs().max().clamp(min=1)) for a, b in pairs)
    times = in_turns(lambda: gradients(usual), lambda: gradients(ours), device=device)
    yield Measurement(
        name="rim", case="forward and backward", usual_s=times[0], ours_s=times[1], max_difference=difference, more=more
    )
