"""Initialisation that is the same in every process, whatever was drawn before and in whatever order.

``from_pretrained`` leaves parameters that a plain LLM folder does not have as uninitialised memory, and DeepSpeed
broadcasts parameters but not buffers. So the modules of this package draw each tensor on the CPU in float32 from a
generator seeded by the config's ``mm_region_seed`` and the tensor's name.
"""

from __future__ import annotations

import math
import zlib

import torch
from torch import Tensor, nn


class IdentityLinear(nn.Linear):
    """A linear layer that starts as the identity."""


def seeded_normal_(tensor: Tensor, seed: int, name: str, std: float = 1.0) -> None:
    """Fill with N(0, std^2), unless the tensor was just loaded from a checkpoint."""
    if not tensor.is_meta:
        _fill(tensor, drawn_normal(tensor.shape, seed, name) * std)


def drawn_normal(shape: torch.Size, seed: int, name: str) -> Tensor:
    """Draw N(0, 1) in float32 on the CPU, whatever default device and dtype are in force."""
    generator = torch.Generator(device="cpu").manual_seed(_tensor_seed(seed, name))
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")


def reset_seeded(module: nn.Module, seed: int) -> None:
    """Initialise every ``Linear`` and ``LayerNorm`` below ``module``."""
    for name, child in module.named_modules():
        reset_leaf(child, seed, name)


def reset_leaf(module: nn.Module, seed: int, name: str) -> None:
    """Initialise one ``Linear`` (uniform in +-1/sqrt(fan_in), torch's own default) or ``LayerNorm``; others are left.

    transformers visits leaves one by one, and passes over modules of other packages that own no tensor themselves, so
    this has to work leaf by leaf.
    """
    if isinstance(module, IdentityLinear):
        _fill(module.weight, torch.eye(module.in_features))
        _fill(module.bias, torch.zeros(module.in_features))
    elif isinstance(module, nn.Linear):
        bound = 1 / math.sqrt(module.in_features)
        _uniform_(module.weight, seed, f"{name}.weight", bound)
        if module.bias is not None:
            _uniform_(module.bias, seed, f"{name}.bias", bound)
    elif isinstance(module, nn.LayerNorm):
        _fill(module.weight, torch.ones(1))
        _fill(module.bias, torch.zeros(1))


def _tensor_seed(seed: int, name: str) -> int:
    # 32 bits are all that torch's CPU generator looks at; a checksum that starts at the seed has both in them.
    return zlib.crc32(name.encode(), seed & 0xFFFFFFFF)


def _uniform_(tensor: Tensor, seed: int, name: str, bound: float) -> None:
    if tensor.is_meta:
        return
    generator = torch.Generator(device="cpu").manual_seed(_tensor_seed(seed, name))
    drawn = torch.rand(tensor.shape, generator=generator, dtype=torch.float32, device="cpu")
    _fill(tensor, (drawn * 2 - 1) * bound)


@torch.no_grad()
def _fill(tensor: Tensor, values: Tensor) -> None:
    # transformers marks what it loaded; a partitioned ZeRO-3 parameter is empty here on ranks that do not own it.
    if not getattr(tensor, "_is_hf_initialized", False) and not tensor.is_meta and tensor.numel() >= values.numel():
        tensor.copy_(values)
