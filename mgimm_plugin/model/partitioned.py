"""Tensors that ZeRO-3 has split among ranks: their true shape, and making one whole for a moment."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def is_split(tensor: Tensor) -> bool:
    """Does each rank hold a part of the tensor."""
    return hasattr(tensor, "ds_id")


def shape_of(tensor: Tensor) -> torch.Size:
    """The shape of a tensor, split or not."""
    return torch.Size(getattr(tensor, "ds_shape", tensor.shape))


def whole(*tensors: Tensor, modify: bool = False) -> AbstractContextManager[Any]:
    """Gather split tensors inside the context; with ``modify`` rank 0's values are what all ranks keep.

    All ranks have to enter it together. Other tensors are left alone.
    """
    split = [tensor for tensor in tensors if is_split(tensor)]
    if not split:
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters(split, modifier_rank=0 if modify else None)
