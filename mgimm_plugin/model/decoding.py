"""Greedy decoding of a batch, without work that changes nothing.

* What all rows begin with (the system prompt; the image, where they show the same one first) goes through the language
  model once.
* Rows that have come to their end leave the batch.
* A step adds its keys and values to those before without copying these.

``generate(..., custom_generate=decode_greedily)`` uses it: transformers prepares and checks everything around the loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Cache, GenerationConfig

from mgimm_plugin.model.growing_cache import growing_cache
from mgimm_plugin.model.listening import OnToken, tell
from mgimm_plugin.model.shared_prefix import read_prefix, shared_prefix_length

_STEPS_BETWEEN_CHECKS = {"cuda": 8}
"""By kind of device, 1 by default: looking whether rows have ended makes the processor wait for a GPU.

It does so at every step anyway where somebody listens, and where rows are padded: transformers looks at their mask."""
_ROWS_FOR_ONE_THAT_ENDED = 8
"""Leaving copies the keys and values of the rows that stay, so a row waits until it is one of so few."""


def decode_greedily(
    model: Any,
    input_ids: Tensor,
    logits_processor: Callable[[Tensor, Tensor], Tensor],
    stopping_criteria: Callable[[Tensor, None], Tensor],
    generation_config: GenerationConfig,
    on_token: OnToken | None = None,
    **model_kwargs: Any,
) -> Tensor:
    """Decode a left-padded batch greedily; in float32 the tokens of a row are those that it gets alone.

    Args:
        model: The causal language model.
        input_ids: ``[B, 0]``: the prompts are embeddings.
        logits_processor: Applied to the scores of each step.
        stopping_criteria: Say which rows have ended; each looks at its own row only.
        generation_config: Has the padding token and the length of the longest answer.
        on_token: Told of each token of a row as it comes, until the row has ended.
        **model_kwargs: ``inputs_embeds [B, M, D]`` and, where rows are padded, ``attention_mask [B, M]``.

    Returns:
        ``[B, new tokens]``, padded after the end of a row.
    """
    embeds, mask = model_kwargs["inputs_embeds"], model_kwargs.get("attention_mask")
    logits, cache, mask = _read_prompts(model, embeds, mask, generation_config.max_length)
    pad_id = generation_config.pad_token_id
    waits_anyway = on_token is not None or mask is not None
    every = 1 if waits_anyway else _STEPS_BETWEEN_CHECKS.get(embeds.device.type, 1)
    row = torch.arange(len(embeds), device=embeds.device)
    ended = torch.zeros_like(row, dtype=torch.bool)
    answers: dict[int, Tensor] = {}
    for step in count(1):
        scores = logits_processor(input_ids, logits)
        tokens = scores.argmax(dim=-1).masked_fill(ended, pad_id)
        input_ids = torch.cat((input_ids, tokens[:, None]), dim=1)
        told = ended if on_token is None else tell(on_token, row, tokens, scores, ended)
        ended = ended | told | stopping_criteria(input_ids, None)
        if step % every == 0 and int(ended.sum()) * _ROWS_FOR_ONE_THAT_ENDED >= len(ended):
            answers.update(zip(row[ended].tolist(), input_ids[ended], strict=True))
            left = (~ended).nonzero()[:, 0]
            if not len(left):
                break
            cache.batch_select_indices(left.cpu())  # layers may be on several devices
            row, input_ids, tokens, ended = row[left], input_ids[left], tokens[left], ended[left]
            mask = None if mask is None else mask[left]
        mask = None if mask is None else torch.cat((mask, mask.new_ones(len(mask), 1)), dim=1)
        logits = _next_logits(model, cache, mask, input_ids=tokens[:, None])
    in_order = [answers[i] for i in range(len(embeds))]
    return pad_sequence(in_order, batch_first=True, padding_value=pad_id)[:, : generation_config.max_length]


def _read_prompts(
    model: Any, embeds: Tensor, mask: Tensor | None, new_tokens: int
) -> tuple[Tensor, Cache, Tensor | None]:
    """Logits ``[B, V]`` after the prompts, their keys and values, and the mask over these."""
    rows, width = embeds.shape[:2]
    cache = growing_cache(model.model.config)
    lengths = torch.full((rows,), width, device=embeds.device) if mask is None else mask.sum(dim=1)
    # Between the prefix and the rest of a shorter row is a gap, which a sliding window would count as text.
    window = getattr(model.config, "sliding_window", None) or math.inf
    gaps_allowed = mask is None or width + new_tokens < window
    shared = shared_prefix_length(embeds, lengths) if rows > 1 and gaps_allowed else 0
    if shared:
        longest = int(lengths.argmax())
        read_prefix(model.model, embeds[longest : longest + 1, :shared], rows, cache)
        embeds = embeds[:, shared:]
        if mask is not None:
            column = torch.arange(width, device=embeds.device)
            mask = ((column < shared) | (column >= (width - lengths + shared)[:, None])).to(mask.dtype)
    return _next_logits(model, cache, mask, inputs_embeds=embeds), cache, mask


def _next_logits(model: Any, cache: Cache, mask: Tensor | None, **inputs: Tensor) -> Tensor:
    """One step: float32 logits ``[B, V]`` after the last position of each row."""
    (given,) = inputs.values()
    positions = None if mask is None else (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -given.shape[1] :]
    output = model(
        **inputs,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return output.logits[:, -1].float()
