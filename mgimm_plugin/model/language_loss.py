"""The language model's part of a training step, without work that changes nothing.

* Only labelled positions need logits, about one in five: the others carry no loss.
* While the language model is frozen, what it makes of the words before the first image or region is the same in every
  row: those words go through it once, without gradients, and every row reads their keys and values.
* Rows are padded on the right, where causal attention never looks: torch's attention is told "causal" instead of
  being handed a mask ``[B, 1, M, M]``, so that it takes its faster kernels.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast

from mgimm_plugin.constants import IGNORE_INDEX
from mgimm_plugin.model.partitioned import is_split
from mgimm_plugin.model.shared_prefix import read_prefix
from mgimm_plugin.model.splicing import Spliced


def training_output(causal_lm: Any, spliced: Spliced, prefix: int, **kwargs: Any) -> CausalLMOutputWithPast:
    """Forward and loss over spliced embeddings.

    Args:
        causal_lm: The model with its decoder ``model``, ``lm_head`` and ``loss_function``.
        spliced: B rows of M positions, padded on the right.
        prefix: Number of leading positions that are the same text in every row, from ``frozen_prefix``; may be 0.
        **kwargs: Of the decoder and of the loss (``num_items_in_batch``).

    Returns:
        The loss; no logits.
    """
    embeds = spliced.inputs_embeds
    cache = DynamicCache(config=causal_lm.model.config) if prefix else None
    if cache is not None:
        read_prefix(causal_lm.model, embeds[:1, :prefix], len(embeds), cache)
    num_items = kwargs.pop("num_items_in_batch", None)
    # Other kernels do better with the mask: flash attention leaves the padding out by it.
    is_causal = cache is None and causal_lm.config._attn_implementation == "sdpa"
    decoded = causal_lm.model(
        inputs_embeds=embeds[:, prefix:],
        attention_mask=None if is_causal else spliced.attention_mask,
        position_ids=None if is_causal else spliced.position_ids[:, prefix:],
        past_key_values=cache,
        **{**kwargs, "use_cache": cache is not None},
    )
    targets = F.pad(spliced.labels[:, prefix + 1 :], (0, 1), value=IGNORE_INDEX)
    labelled = targets != IGNORE_INDEX
    loss = causal_lm.loss_function(
        logits=causal_lm.lm_head(decoded.last_hidden_state[labelled]),
        labels=None,
        shift_labels=targets[labelled],
        vocab_size=causal_lm.config.vocab_size,
        num_items_in_batch=num_items,
    )
    return CausalLMOutputWithPast(loss=loss, hidden_states=decoded.hidden_states, attentions=decoded.attentions)


def frozen_prefix(causal_lm: Any, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> int:
    """How many leading tokens are the same text in every row and go through frozen layers only.

    Args:
        causal_lm: The model.
        input_ids: ``[B, L]`` with sentinels.
        attention_mask: ``[B, L]`` bool.
        labels: ``[B, L]``.

    Returns:
        0 where sharing gains nothing (one row) or is not possible: some layer is trained, or recomputed in the backward
        pass (gradient checkpointing keeps no keys and values), or split among ranks (ZeRO-3), which gather it together:
        one of them that runs it once more would wait for the others for ever.
    """
    layers = causal_lm.model.layers
    if len(input_ids) < 2 or getattr(layers[0], "gradient_checkpointing", False):
        return 0
    parameters = (*layers.parameters(), *_embedding_parameters(causal_lm))
    if any(parameter.requires_grad or is_split(parameter) for parameter in parameters):
        return 0
    same = ((input_ids == input_ids[:1]) & attention_mask & (input_ids >= 0) & (labels == IGNORE_INDEX)).all(dim=0)
    # The last position before the first label predicts it, and has to be computed with the row.
    return max(0, int(same.long().cumprod(dim=0).sum()) - 1)


def _embedding_parameters(causal_lm: Any) -> list[Tensor]:
    return list(causal_lm.model.get_input_embeddings().parameters())
