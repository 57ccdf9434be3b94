"""The region interactive module: box tokens and image features attend to each other.

It is the two-way transformer of SAM (Kirillov et al. 2023), used by MGIMM (Yang et al. 2024) on the patch features of
CLIP. The equations are in ``docs/architecture.md``; how they are computed for all boxes at once, in ``image_side``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.regions.image_side import ImageSide
from mgimm_plugin.model.regions.layout import laid_out, places

CROSS_ATTENTION_DOWNSAMPLE = 2
"""Cross attentions work in C / 2 channels."""


class MultiHeadAttention(nn.Module):
    """The four projections of an attention in ``channels / downsample`` channels."""

    def __init__(self, channels: int, heads: int, downsample: int = 1) -> None:
        super().__init__()
        inner = channels // downsample
        if heads < 1 or inner % heads:
            raise CheckpointError(
                f"config: mm_region_heads is {heads}; it has to divide the {inner} channels of an attention"
            )
        self.heads = heads
        self.scale = (inner // heads) ** -0.5
        self.q_proj = nn.Linear(channels, inner)
        self.k_proj = nn.Linear(channels, inner)
        self.v_proj = nn.Linear(channels, inner)
        self.out_proj = nn.Linear(inner, channels)

    def split(self, x: Tensor) -> Tensor:
        """``[..., inner]`` to ``[..., heads, inner / heads]``."""
        return x.unflatten(-1, (self.heads, x.shape[-1] // self.heads))


class SelfAttention(MultiHeadAttention):
    """Attention among the tokens of each box."""

    def forward(self, query: Tensor, value: Tensor) -> Tensor:
        """``[N, M, Q, C]`` queries, which are the keys too, and values, to ``[N, M, Q, C]``."""
        projected = (self.q_proj(query), self.k_proj(query), self.v_proj(value))
        q, k, v = (self.split(x).transpose(-3, -2) for x in projected)
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(attended.transpose(-3, -2).flatten(-2))


class TokenToImageAttention(MultiHeadAttention):
    """Tokens look at the image. Keys and values of the patches are never made: their weights go to the tokens' side.

    q . (W_k x + b_k) = (W_k^T q) . x + q . b_k, and sum_i a_i (W_v x_i + b_v) = W_v (sum_i a_i x_i) + b_v.
    """

    def forward(
        self, query: Tensor, image: ImageSide, positions: Tensor, attention_bias: Tensor | None = None
    ) -> Tensor:
        """``[N, M, Q, C]`` queries to ``[N, M, Q, C]``.

        Args:
            query: Of the tokens.
            image: The features.
            positions: ``[T, C]``, added to the keys.
            attention_bias: ``[N, M, 1, T]``, added to the logits of all tokens of a box.
        """
        q = self.split(self.q_proj(query)) * self.scale
        asked = torch.einsum("nmqhd,hdc->nmqhc", q, _by_head(self.k_proj.weight, self.heads)).flatten(2, 3)
        key_bias = (q * self.split(self.k_proj.bias)).sum(-1).flatten(2)[..., None]
        logits = image.dot(asked) + asked @ positions.T + key_bias
        attention = (logits if attention_bias is None else logits + attention_bias).softmax(dim=-1)
        seen = image.weighted_sum(attention).unflatten(2, (-1, self.heads))
        values = torch.einsum("nmqhc,hdc->nmqhd", seen, _by_head(self.v_proj.weight, self.heads)).flatten(-2)
        return self.out_proj(values + self.v_proj.bias)


class ImageToTokenAttention(MultiHeadAttention):
    """The image looks at the Q tokens: each patch takes, in every head, a part of each; the parts sum to one.

    So it takes the first token in any case, and parts of the differences of the others from it: Q - 1 changes a head.
    """

    def forward(
        self, image: ImageSide, positions: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the image is to be changed by.

        Args:
            image: The features; with ``positions`` added they are the queries.
            positions: ``[T, C]``.
            keys: ``[N, M, Q, C]``.
            values: ``[N, M, Q, C]``.

        Returns:
            The parts of all tokens but the first ``[N, M, (Q - 1) * heads, T]``, what they bring
            ``[N, M, (Q - 1) * heads, C]``, and what comes in any case ``[N, M, 1, C]``.
        """
        k = self.split(self.k_proj(keys)) * self.scale
        v = self.split(self.v_proj(values))
        key_difference, value_difference = k[:, :, 1:] - k[:, :, :1], v[:, :, 1:] - v[:, :, :1]
        asked = torch.einsum("nmkhd,hdc->nmkhc", key_difference, _by_head(self.q_proj.weight, self.heads))
        bias = (key_difference * self.split(self.q_proj.bias)).sum(-1).flatten(2)[..., None]
        asked = asked.flatten(2, 3)
        parts = _parts_after_first(image.dot(asked) + asked @ positions.T + bias, self.heads)
        out = self.split(self.out_proj.weight)
        brings = torch.einsum("nmkhd,chd->nmkhc", value_difference, out).flatten(2, 3)
        return parts, brings, self.out_proj(v[:, :, 0].flatten(-2))[:, :, None]


class TwoWayBlock(nn.Module):
    """Self attention of the tokens, tokens to image, MLP, and, where the image is updated, image to tokens."""

    def __init__(self, channels: int, heads: int, mlp_dim: int, *, first: bool, image_update: bool) -> None:
        super().__init__()
        self.first, self.image_update = first, image_update
        self.self_attention = SelfAttention(channels, heads)
        self.self_norm = nn.LayerNorm(channels)
        self.token_to_image = TokenToImageAttention(channels, heads, CROSS_ATTENTION_DOWNSAMPLE)
        self.token_norm = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, mlp_dim), nn.ReLU(), nn.Linear(mlp_dim, channels))
        self.mlp_norm = nn.LayerNorm(channels)
        if image_update:
            self.image_to_token = ImageToTokenAttention(channels, heads, CROSS_ATTENTION_DOWNSAMPLE)
            self.image_norm = nn.LayerNorm(channels)

    def forward(
        self, tokens: Tensor, image: ImageSide, corners: Tensor, positions: Tensor, attention_bias: Tensor | None = None
    ) -> tuple[Tensor, ImageSide]:
        """Update ``tokens [N, M, Q, C]`` and the image.

        ``corners`` and ``positions`` are their encodings, ``attention_bias`` is ``TokenToImageAttention``'s.
        """
        if self.first:  # the tokens still are their own encodings
            tokens = self.self_attention(tokens, tokens)
        else:
            tokens = tokens + self.self_attention(tokens + corners, tokens)
        tokens = self.self_norm(tokens)
        tokens = self.token_norm(tokens + self.token_to_image(tokens + corners, image, positions, attention_bias))
        tokens = self.mlp_norm(tokens + self.mlp(tokens))
        if not self.image_update:
            return tokens, image
        parts, brings, constant = self.image_to_token(image, positions, tokens + corners, tokens)
        return tokens, image.add_and_norm(parts, brings, constant, self.image_norm)


class RegionInteractiveModule(nn.Module):
    """Let the tokens of each box, its two corners first of all, read the image, and the image answer.

    Args:
        channels: C, of the vision tower's features.
        depth: Number of two-way blocks.
        heads: Attention heads, everywhere.
        mlp_dim: Width of the blocks' MLP.
        image_update: Whether the image answers.
        keeps_start: Whether the first block adds to the tokens that it is given, as all others do, rather than put its
            own in their place: for tokens that start with more than their positions.
    """

    def __init__(
        self,
        channels: int,
        depth: int,
        heads: int,
        mlp_dim: int,
        *,
        image_update: bool = True,
        keeps_start: bool = False,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            TwoWayBlock(channels, heads, mlp_dim, first=i == 0 and not keeps_start, image_update=image_update)
            for i in range(depth)
        )
        self.final_attention = TokenToImageAttention(channels, heads, CROSS_ATTENTION_DOWNSAMPLE)
        self.final_norm = nn.LayerNorm(channels)

    def forward(
        self,
        corners: Tensor,
        features: Tensor,
        image_index: Tensor,
        positions: Tensor,
        attention_bias: Tensor | None = None,
    ) -> Tensor:
        """Run all boxes of all images at once.

        Args:
            corners: ``[R, Q, C]``, the encoded corners of each box, and further tokens.
            features: ``[N, T, C]``, the features of the images.
            image_index: ``[R]``, the image that each box is in.
            positions: ``[T, C]``, the encoded patch centres.
            attention_bias: ``[R, T]``, added to the logits with which the tokens of a box look at the patches.

        Returns:
            ``[R, Q, C]`` region features.
        """
        place, boxes = places(image_index, features.shape[0])
        tokens = encoded = laid_out(corners, place, features.shape[0], boxes)
        if attention_bias is not None:
            attention_bias = laid_out(attention_bias, place, features.shape[0], boxes)[:, :, None]
        image = ImageSide.of(features, boxes)
        for block in self.blocks:
            tokens, image = block(tokens, image, encoded, positions, attention_bias)
        tokens = self.final_norm(tokens + self.final_attention(tokens + encoded, image, positions, attention_bias))
        return tokens.flatten(0, 1)[place]


def _parts_after_first(logits: Tensor, heads: int) -> Tensor:
    """Softmax over the tokens, from ``[N, M, (Q - 1) * heads, T]`` logits less that of the first, which is left out."""
    if logits.shape[2] == heads:  # of two tokens: the softmax is a sigmoid of the difference
        return torch.sigmoid(logits)
    by_token = logits.unflatten(2, (-1, heads))
    with_first = torch.cat((torch.zeros_like(by_token[:, :, :1]), by_token), dim=2)
    return with_first.softmax(dim=2)[:, :, 1:].flatten(2, 3)


def _by_head(weight: Tensor, heads: int) -> Tensor:
    """``[inner, C]`` to ``[heads, inner / heads, C]``."""
    return weight.unflatten(0, (heads, weight.shape[0] // heads))
