"""Boxes to pairs of corner tokens, by random Fourier features."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mgimm_plugin.constants import BOX_UNITS
from mgimm_plugin.model.seeded import seeded_normal_

CORNERS = 2
"""Top left and bottom right."""


class BoxEncoder(nn.Module):
    """Encode box corners and patch centres with the same random Fourier features.

    A point p in [0, 1]^2 becomes [sin 2 pi G(2p - 1), cos 2 pi G(2p - 1)] with a fixed Gaussian G (Tancik et al. 2020,
    as in SAM's prompt encoder); a corner adds a learned embedding of being top-left or bottom-right. Everything is
    computed in float32 outside autocast: in bfloat16 a coordinate has 8 bits, and neighbouring boxes become one.

    Args:
        hidden_size: C, the channels of the vision tower; even.
        seed: Seed of G, ``mm_region_seed`` of the config.
        scale: Standard deviation of G, ``mm_region_fourier_scale``; the larger, the finer a place is told.
        queries: Learned tokens that follow the corners, the same for all boxes (SAM's output tokens).
    """

    fourier_matrix: Tensor

    def __init__(self, hidden_size: int, seed: int, scale: float = 1.0, queries: int = 0) -> None:
        super().__init__()
        if hidden_size % 2:
            raise ValueError(f"hidden_size must be even, got {hidden_size}")
        self.hidden_size = hidden_size
        self.seed, self.scale = seed, scale
        self.register_buffer("fourier_matrix", torch.empty(2, hidden_size // 2, dtype=torch.float32))
        self.corner_embedding = nn.Parameter(torch.empty(CORNERS, hidden_size))
        self.query_embedding = nn.Parameter(torch.empty(queries, hidden_size)) if queries else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the Fourier matrix and the learned embeddings from the seed."""
        seeded_normal_(self.fourier_matrix, self.seed, "fourier_matrix", self.scale)
        seeded_normal_(self.corner_embedding, self.seed, "corner_embedding")
        if self.query_embedding is not None:
            seeded_normal_(self.query_embedding, self.seed, "query_embedding")

    def forward(self, boxes: Tensor) -> Tensor:
        """Encode boxes.

        Args:
            boxes: ``[R, 4]`` integers, xyxy in units of 1/65536 of the frame that the vision tower sees.

        Returns:
            ``[R, 2 + queries, C]`` float32: the top-left and the bottom-right corner of each box, then the queries.
        """
        with torch.autocast(boxes.device.type, enabled=False):
            corners = boxes.to(torch.float32).reshape(boxes.shape[0], CORNERS, 2) / BOX_UNITS
            encoded = self._encode(corners) + self.corner_embedding.float()
            if self.query_embedding is None:
                return encoded
            return torch.cat((encoded, self.query_embedding.float().expand(boxes.shape[0], -1, -1)), dim=1)

    def grid(self, height: int, width: int) -> Tensor:
        """Encode the centres of a grid of patches in row-major order, as ``[height * width, C]`` float32."""
        device = self.fourier_matrix.device
        with torch.autocast(device.type, enabled=False):
            y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height
            x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width
            centres = torch.stack((x.repeat(height), y.repeat_interleave(width)), dim=-1)
            return self._encode(centres)

    def _encode(self, points: Tensor) -> Tensor:
        # No matrix product: with TF32 switched on, CUDA would round its inputs to 10 bits.
        phases = 2 * math.pi * ((2 * points - 1)[..., None] * self.fourier_matrix).sum(dim=-2)
        return torch.cat((phases.sin(), phases.cos()), dim=-1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Follow ``.to()``, ``.half()`` and DeepSpeed's casts, but never round the Fourier matrix."""
        exact = self.fourier_matrix
        super()._apply(fn, recurse)
        if self.fourier_matrix.dtype != torch.float32:
            self.fourier_matrix = exact.to(self.fourier_matrix.device)
        return self

    def restore_precision(self) -> None:
        """Draw the Fourier matrix again where it was made in half precision, as by DeepSpeed's ZeRO-3."""
        if self.fourier_matrix.dtype != torch.float32:
            self.fourier_matrix = torch.empty_like(self.fourier_matrix, dtype=torch.float32)
            seeded_normal_(self.fourier_matrix, self.seed, "fourier_matrix", self.scale)
