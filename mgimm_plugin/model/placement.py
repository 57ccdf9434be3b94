"""Projector and region encoder where accelerate places a model's parts, or a quantizer changes them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers.quantizers.auto import AutoQuantizationConfig

from mgimm_plugin.errors import CheckpointError

PARTS = ("mm_projector", "region_encoder")
_SKIPPED = ("llm_int8_skip_modules", "modules_to_not_convert")
"""What quantizers call the modules that they leave alone."""


def sparing_parts(quantization_config: Any) -> Any:
    """A copy of quantization settings that leaves projector and region encoder as they are.

    They are small, adapters bring them unquantized, and the region interactive module reads weights that a quantizer
    would have packed.
    """
    if isinstance(quantization_config, dict):  # as transformers takes them too
        quantization_config = AutoQuantizationConfig.from_dict(quantization_config)
    settings = copy.deepcopy(quantization_config)
    for name in _SKIPPED:
        if hasattr(settings, name):
            skipped = getattr(settings, name) or [
                "lm_head"
            ]  # once a list is given, this is no longer left out by itself
            setattr(settings, name, [*skipped, *(f"model.{part}" for part in PARTS)])
    return settings


def keep_parts_together(model: Any) -> None:
    """Move projector and region encoder to the device of the embeddings, among which their results are put.

    Raises:
        CheckpointError: One of them was left on the CPU or on disk, to be brought in for each call.
    """
    from accelerate.hooks import remove_hook_from_module

    device = embedding_device(model)
    for name in PARTS:
        part = getattr(model.get_model(), name)
        if any(parameter.is_meta for parameter in part.parameters()):
            raise CheckpointError(
                f"model.{name} did not fit on the devices and was left off them; it cannot be used there: "
                "give a device_map with more room, or load in 4 or 8 bits"
            )
        remove_hook_from_module(part, recurse=True)
        part.to(device)


def embedding_device(model: Any) -> torch.device:
    """Where the embeddings are computed, which need not be where they are kept."""
    embeddings = model.get_input_embeddings()
    device = getattr(getattr(embeddings, "_hf_hook", None), "execution_device", None)
    return embeddings.weight.device if device is None else torch.device(device)
