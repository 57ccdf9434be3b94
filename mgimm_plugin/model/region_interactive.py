"""The region interactive module: box tokens and image features attend to each other.

It is the two-way transformer of SAM (Kirillov et al. 2023), used by MGIMM (Yang et al. 2024) on the patch features of
CLIP. The equations are in ``docs/architecture.md``.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

CROSS_ATTENTION_DOWNSAMPLE = 2
"""Cross attentions work in C / 2 channels."""


class MultiHeadAttention(nn.Module):
    """Attention with separate inputs for query, key and value, in ``channels / downsample`` channels."""

    def __init__(self, channels: int, heads: int, downsample: int = 1) -> None:
        super().__init__()
        inner = channels // downsample
        if inner % heads:
            raise ValueError(f"{inner} attention channels cannot be split into {heads} heads")
        self.heads = heads
        self.q_proj = nn.Linear(channels, inner)
        self.k_proj = nn.Linear(channels, inner)
        self.v_proj = nn.Linear(channels, inner)
        self.out_proj = nn.Linear(inner, channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """``[R, Q, C]``, ``[R, K, C]``, ``[R, K, C]`` to ``[R, Q, C]``."""
        q, k, v = (self._split(x) for x in (self.q_proj(query), self.k_proj(key), self.v_proj(value)))
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, x.shape[2] // self.heads)).transpose(1, 2)


class TwoWayBlock(nn.Module):
    """Self attention of the tokens, tokens to image, MLP, image to tokens."""

    def __init__(self, channels: int, heads: int, mlp_dim: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attention = MultiHeadAttention(channels, heads)
        self.self_norm = nn.LayerNorm(channels)
        self.token_to_image = MultiHeadAttention(channels, heads, CROSS_ATTENTION_DOWNSAMPLE)
        self.token_norm = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, mlp_dim), nn.ReLU(), nn.Linear(mlp_dim, channels))
        self.mlp_norm = nn.LayerNorm(channels)
        self.image_to_token = MultiHeadAttention(channels, heads, CROSS_ATTENTION_DOWNSAMPLE)
        self.image_norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, image: Tensor, corners: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Update ``tokens [R, 2, C]`` and ``image [R, T, C]``; ``corners`` and ``positions`` are their encodings."""
        if self.first:  # the tokens still are their own encodings
            tokens = self.self_attention(tokens, tokens, tokens)
        else:
            query = tokens + corners
            tokens = tokens + self.self_attention(query, query, tokens)
        tokens = self.self_norm(tokens)
        keys = image + positions
        tokens = self.token_norm(tokens + self.token_to_image(tokens + corners, keys, image))
        tokens = self.mlp_norm(tokens + self.mlp(tokens))
        image = self.image_norm(image + self.image_to_token(keys, tokens + corners, tokens))
        return tokens, image


class RegionInteractiveModule(nn.Module):
    """Let the two corner tokens of each box read the image, and the image answer.

    Args:
        channels: C, of the vision tower's features.
        depth: Number of two-way blocks.
        heads: Attention heads, everywhere.
        mlp_dim: Width of the blocks' MLP.
    """

    def __init__(self, channels: int, depth: int, heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TwoWayBlock(channels, heads, mlp_dim, first=i == 0) for i in range(depth))
        self.final_attention = MultiHeadAttention(channels, heads, CROSS_ATTENTION_DOWNSAMPLE)
        self.final_norm = nn.LayerNorm(channels)

    def forward(self, corners: Tensor, image: Tensor, positions: Tensor) -> Tensor:
        """Run all boxes at once.

        Args:
            corners: ``[R, 2, C]``, the encoded corners of each box.
            image: ``[R, T, C]``, the features of the image that each box is in.
            positions: ``[T, C]``, the encoded patch centres.

        Returns:
            ``[R, 2, C]`` region features.
        """
        tokens = corners
        for block in self.blocks:
            tokens, image = block(tokens, image, corners, positions)
        attended = self.final_attention(tokens + corners, image + positions, image)
        return self.final_norm(tokens + attended)
