"""Peak memory of an image-stage step with a large vocabulary: logits at every position, and where there is a label."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from mgimm_plugin.bench.measuring import Measurement, in_turns, peak_mib
from mgimm_plugin.constants import IGNORE_INDEX
from mgimm_plugin.model.language_loss import training_output
from mgimm_plugin.model.splicing import Spliced

VOCABULARY, ROWS, POSITIONS = 152_064, 2, 800
LABELLED = 5
"""One position in so many has a label, as in the image stage."""


def memory(device: torch.device) -> Iterator[Measurement]:
    """A step with a vocabulary as large as Qwen2's; what is measured of memory is tensors, weights not counted."""
    usual, ours = step_ways(VOCABULARY, POSITIONS, device)
    difference = float((usual() - ours()).abs())
    times = in_turns(usual, ours, device=device)
    peaks = {"usual_mib": peak_mib(usual, device), "ours_mib": peak_mib(ours, device)}
    yield Measurement(
        name="memory", case=f"vocabulary {VOCABULARY:,}, {ROWS} x {POSITIONS} positions", usual_s=times[0],
        ours_s=times[1], max_difference=difference,
        more={**peaks, "memory_share": peaks["ours_mib"] / peaks["usual_mib"]},
    )  # fmt: skip


def step_ways(
    vocabulary: int, positions: int, device: torch.device
) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """A training step of a small language model, the usual way and ours; each returns its loss."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4
    )
    model: Any = LlamaForCausalLM(config)
    model.to(device).train()
    model.requires_grad_(False)
    model.model.layers.requires_grad_(True)
    embeds = torch.randn(ROWS, positions, config.hidden_size, device=device)
    labels = torch.randint(vocabulary, (ROWS, positions), device=device)
    labels[:, : positions - positions // LABELLED] = IGNORE_INDEX
    mask = torch.ones(ROWS, positions, dtype=torch.bool, device=device)
    places = torch.arange(positions, device=device).expand(ROWS, -1)

    def usual() -> Tensor:
        return _backward(model, model(inputs_embeds=embeds, attention_mask=mask, position_ids=places, labels=labels))

    def ours() -> Tensor:
        return _backward(model, training_output(model, Spliced(embeds, labels, mask, places), 0))

    return usual, ours


def _backward(model: Any, output: Any) -> Tensor:
    output.loss.backward()
    model.zero_grad()
    return output.loss.detach()
