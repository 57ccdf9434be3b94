"""The usual ways: plain code that does the same as ours and is easy to compare with the equations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgimm_plugin.model.lora import without_lora
from mgimm_plugin.model.regions.interactive import MultiHeadAttention, RegionInteractiveModule


def attend(
    attention: MultiHeadAttention, query: Tensor, key: Tensor, value: Tensor, attention_bias: Tensor | None = None
) -> Tensor:
    """Multi-head attention over ``[..., Q, C]``, ``[..., K, C]``, ``[..., K, C]``, every projection written out.

    ``attention_bias [..., K]`` is added to the logits of all heads and queries.
    """
    q, k, v = (
        attention.split(projection(x)).transpose(-3, -2)
        for projection, x in ((attention.q_proj, query), (attention.k_proj, key), (attention.v_proj, value))
    )
    mask = None if attention_bias is None else attention_bias[..., None, None, :]
    return attention.out_proj(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(-3, -2).flatten(-2))


def one_box(
    module: RegionInteractiveModule,
    corners: Tensor,
    image: Tensor,
    positions: Tensor,
    attention_bias: Tensor | None = None,
) -> Tensor:
    """The region interactive module on ``[..., Q, C]`` corners, and their own ``[..., T, C]`` features and bias."""
    tokens = corners
    block: Any
    for block in module.blocks:
        if block.first:
            tokens = attend(block.self_attention, tokens, tokens, tokens)
        else:
            tokens = tokens + attend(block.self_attention, tokens + corners, tokens + corners, tokens)
        tokens = block.self_norm(tokens)
        keys = image + positions
        tokens = block.token_norm(tokens + attend(block.token_to_image, tokens + corners, keys, image, attention_bias))
        tokens = block.mlp_norm(tokens + block.mlp(tokens))
        if block.image_update:
            image = block.image_norm(image + attend(block.image_to_token, keys, tokens + corners, tokens))
    seen = attend(module.final_attention, tokens + corners, image + positions, image, attention_bias)
    return module.final_norm(tokens + seen)


def loop_over_boxes(
    module: RegionInteractiveModule, corners: Tensor, features: Tensor, image_index: Tensor, positions: Tensor
) -> Tensor:
    """``RegionInteractiveModule.forward``, one box after another."""
    boxes = zip(corners, image_index.tolist(), strict=True)
    return torch.stack([one_box(module, box, features[image], positions) for box, image in boxes])


class CopiesOfTheImage(nn.Module):
    """The region interactive module, with its weights, for all boxes at once: each has its own copy of the image."""

    def __init__(self, module: RegionInteractiveModule) -> None:
        super().__init__()
        self.final_norm = module.final_norm  # the region encoder asks it for the dtype
        self._module = module

    def forward(
        self,
        corners: Tensor,
        features: Tensor,
        image_index: Tensor,
        positions: Tensor,
        attention_bias: Tensor | None = None,
    ) -> Tensor:
        """As ``RegionInteractiveModule.forward``."""
        return one_box(self._module, corners, features[image_index], positions, attention_bias)


@contextmanager
def copies_of_the_image(model: Any) -> Iterator[Any]:
    """The model, without its LoRA wrapper, with the usual region interactive module in the place of ours."""
    base = without_lora(model)
    encoder = base.get_model().region_encoder
    ours = encoder.interaction
    encoder.interaction = CopiesOfTheImage(ours)
    try:
        yield base
    finally:
        encoder.interaction = ours


def loss_of_all_positions(model: Any, batch: dict[str, Any], num_items: Tensor | int) -> Tensor:
    """The loss of a training step with logits at every position and every image of the batch encoded."""
    features = model.encode_vision(batch["images"])
    where = {name: batch[name] for name in ("image_sizes", "image_row", "boxes", "image_index", "image_source")}
    spliced = model.splice_batch(batch["input_ids"], batch["attention_mask"], batch["labels"], features, **where)
    decoded = model.model(
        inputs_embeds=spliced.inputs_embeds,
        attention_mask=spliced.attention_mask,
        position_ids=spliced.position_ids,
        use_cache=False,
    )
    return model.loss_function(
        logits=model.lm_head(decoded.last_hidden_state),
        labels=spliced.labels,
        vocab_size=model.config.vocab_size,
        num_items_in_batch=num_items,
    )
