"""Keys and values of what all rows of a batch begin with: computed once, read by every row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Cache


@torch.no_grad()
def read_prefix(decoder: Any, prefix: Tensor, rows: int, cache: Cache) -> None:
    """Run a prefix through the decoder and hand its keys and values to all rows.

    Args:
        decoder: The language model without its head.
        prefix: ``[1, P, D]`` embeddings.
        rows: Number of rows that begin with it.
        cache: Empty; has the keys and values of all rows afterwards.
    """
    decoder(inputs_embeds=prefix, past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(rows)


def shared_prefix_length(embeds: Tensor, lengths: Tensor) -> int:
    """How many leading positions are the same in every row of a left-padded batch; the last one of a row never counts.

    Args:
        embeds: ``[B, M, D]``: words, and images too, which are equal where rows show the same one first.
        lengths: ``[B]``: positions of each row that are no padding.
    """
    rows, width = embeds.shape[:2]
    shortest = int(lengths.min())
    columns = (width - lengths)[:, None] + torch.arange(shortest, device=embeds.device)
    heads = embeds[torch.arange(rows, device=embeds.device)[:, None], columns]
    same = (heads == heads[:1]).all(dim=2).all(dim=0)
    return min(int(same.long().cumprod(dim=0).sum()), shortest - 1)
