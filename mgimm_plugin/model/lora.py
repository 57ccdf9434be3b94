"""LoRA on the language model's layers, and nowhere else."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

_LAYER = re.compile(r"model\.layers\.\d+\.(.+)")


def lora_target_pattern(model: nn.Module) -> str:
    """Return a pattern that matches every ``Linear`` of the language model's layers by its full name.

    Anchored at the model's root: a match by suffix, as LLaVA's, also lands in the vision tower (``q_proj``) and in the
    region interactive module.
    """
    suffixes = set()
    for name, module in model.named_modules():
        match = _LAYER.fullmatch(name)
        if match and isinstance(module, nn.Linear):
            suffixes.add(match.group(1))
    return r"model\.layers\.\d+\.(?:" + "|".join(re.escape(suffix) for suffix in sorted(suffixes)) + ")"


def add_lora(model: Any, *, r: int, alpha: int, dropout: float, seed: int = 0) -> Any:
    """Wrap ``model`` in a ``PeftModel`` with LoRA weights drawn from ``seed``, whatever was drawn before.

    How much was depends on the launch: ZeRO-3 loads a model along another way than a single process does.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=lora_target_pattern(model),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def without_lora(model: Any) -> Any:
    """The model under a PEFT wrapper, or ``model`` itself."""
    from peft import PeftModel

    return model.get_base_model() if isinstance(model, PeftModel) else model
