"""A cache of keys and values with room for the next words: a step writes its own, and copies none from before."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

_ROOM = 64
"""Positions that are added when a layer is full."""


class GrowingLayer(DynamicLayer):
    """One decoder layer's keys and values, written in place; so for inference only."""

    _buffers: tuple[Tensor, ...] = ()

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add ``[B, heads, new, D]`` keys and values; return all so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[2]
        new = (key_states, value_states)
        if not self._buffers or end > self._buffers[0].shape[2]:
            larger = tuple(part.new_empty(*part.shape[:2], end + _ROOM, part.shape[3]) for part in new)
            for buffer, full in zip(larger, self._buffers, strict=False):  # there is none at first
                buffer[:, :, :start] = full[:, :, :start]
            self._buffers = larger
        for buffer, part in zip(self._buffers, new, strict=True):
            buffer[:, :, start:end] = part
        return self._show(end)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row."""
        self._buffers = tuple(buffer.repeat_interleave(repeats, dim=0) for buffer in self._buffers)
        self._show(self.get_seq_length())

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows."""
        self._buffers = tuple(buffer[indices] for buffer in self._buffers)
        self._show(self.get_seq_length())

    def _show(self, length: int) -> tuple[Tensor, Tensor]:
        keys, values = (buffer[:, :, :length] for buffer in self._buffers)
        self.keys, self.values = keys, values
        return keys, values


def growing_cache(config: Any) -> Cache:
    """An empty cache for a decoder; layers with a sliding window, which stay short, are the library's own."""
    layers = DynamicCache(config=config).layers
    return Cache(layers=[GrowingLayer() if type(layer) is DynamicLayer else layer for layer in layers])
