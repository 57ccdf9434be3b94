"""The image's side of the region interactive module, without a copy of the image for every box.

Written out, each of R boxes has its own T x C image features, all of them projected several times: nearly the whole
cost of the module. But a box changes its image through its Q tokens only. What it adds to the features has rank
Q - 1 (one, for two corners) for each attention head, and the layer norm after it scales each patch and adds one more
direction. So the features of a box stay

    alpha_i y_i + sum_k c_ki B_k        i = 1..T, y shared by all boxes of an image, K = ((Q - 1) heads + 2) x blocks

and this is kept: alpha, c and B. What attention asks of the features, inner products and weighted sums, follows from
products with y for all boxes at once, and so do mean and variance of the layer norm. The result is the same but for
rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class ImageSide:
    """Image features as M boxes of each of N images see them.

    Attributes:
        shared: y, ``[N, T, C]``: what all boxes of an image have in common.
        scale: alpha, ``[N, M, 1, T]``.
        weights: c, ``[N, M, K, T]``.
        directions: B, ``[N, M, K, C]``.
    """

    shared: Tensor
    scale: Tensor
    weights: Tensor
    directions: Tensor

    @classmethod
    def of(cls, features: Tensor, boxes: int) -> ImageSide:
        """The features ``[N, T, C]`` as they are, for ``boxes`` boxes an image."""
        images, patches, channels = features.shape
        return cls(
            features,
            features.new_ones(images, boxes, 1, patches),
            features.new_zeros(images, boxes, 0, patches),
            features.new_zeros(images, boxes, 0, channels),
        )

    def dot(self, vectors: Tensor) -> Tensor:
        """Inner products of ``[N, M, J, C]`` vectors with every patch, ``[N, M, J, T]``."""
        return self.scale * self._shared_dot(vectors) + (vectors @ self.directions.mT) @ self.weights

    def weighted_sum(self, attention: Tensor) -> Tensor:
        """Sums over the patches with weights ``[N, M, J, T]``, ``[N, M, J, C]``."""
        scaled = (attention * self.scale).flatten(1, 2)
        return (scaled @ self.shared).unflatten(1, attention.shape[1:3]) + (
            attention @ self.weights.mT
        ) @ self.directions

    def add_and_norm(self, weights: Tensor, directions: Tensor, constant: Tensor, norm: nn.LayerNorm) -> ImageSide:
        """The layer norm of these features plus an update.

        Args:
            weights: ``[N, M, J, T]``, how much of each direction a patch gets.
            directions: ``[N, M, J, C]``.
            constant: ``[N, M, 1, C]``, what every patch gets.
            norm: Over C.
        """
        one = torch.ones_like(self.scale)
        c = torch.cat((self.weights, weights, one), dim=2)
        # The norm takes the mean off: off each term, it is off the sum.
        b = torch.cat((self.directions, directions, constant), dim=2)
        b = b - b.mean(dim=-1, keepdim=True)
        centred = ImageSide(self.shared - self.shared.mean(dim=-1, keepdim=True), self.scale, c, b)
        # In float16 a sum of squares is too large as soon as a patch's norm passes 255.
        wide = torch.promote_types(self.shared.dtype, torch.float32)
        squares = centred.shared.to(wide).square().sum(dim=-1)[:, None, None]
        scale, c_wide, b_wide = self.scale.to(wide), c.to(wide), b.to(wide)
        cross = 2 * scale * centred._shared_dot(b).to(wide) + (b_wide @ b_wide.mT) @ c_wide
        variance = (scale.square() * squares + (cross * c_wide).sum(dim=2, keepdim=True)) / b.shape[-1]
        # Rounded, a variance that is next to nothing may come out below it.
        rate = torch.rsqrt(variance.clamp(min=0) + norm.eps).to(self.scale.dtype)
        shift = norm.bias.expand_as(constant)
        return ImageSide(
            centred.shared * norm.weight,
            self.scale * rate,
            torch.cat((c * rate, one), dim=2),
            torch.cat((b * norm.weight, shift), dim=2),
        )

    def _shared_dot(self, vectors: Tensor) -> Tensor:
        return (vectors.flatten(1, 2) @ self.shared.mT).unflatten(1, vectors.shape[1:3])
