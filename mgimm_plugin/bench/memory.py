"""Peak memory of an image-stage step with a large vocabulary: logits at every position, and where there is a label."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from mgimm_plugin.bench.measuring import Measurement
from mgimm_plugin.constants import IGNORE_INDEX
from mgimm_plugin.model.language_loss import training_output
from mgimm_plugin.model.splicing import Spliced

VOCABULARY, ROWS, POSITIONS = 152_064, 2, 800
LABELLED = 5
"""One position in so many has a label, as in the image stage."""


def memory(device: torch.device) -> Iterator[Measurement]:
    """Each way in a process of its own, as a process gives no memory back."""
    usual, ours = (_in_a_process(way, device) for way in ("usual", "ours"))
    yield Measurement(
        name="memory", case=f"vocabulary {VOCABULARY:,}, {ROWS} x {POSITIONS} positions", usual_s=usual["seconds"],
        ours_s=ours["seconds"], max_difference=abs(usual["loss"] - ours["loss"]),
        more={"usual_mib": usual["mib"], "ours_mib": ours["mib"], "memory_share": ours["mib"] / usual["mib"]},
    )  # fmt: skip


def _in_a_process(way: str, device: torch.device) -> dict[str, float]:
    command = [sys.executable, "-m", "mgimm_plugin.bench.memory", way, str(device)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def _step(way: str, device: torch.device) -> dict[str, float]:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4
    )
    model: Any = LlamaForCausalLM(config)
    model.to(device).train()
    model.requires_grad_(False)
    model.model.layers.requires_grad_(True)
    embeds = torch.randn(ROWS, POSITIONS, config.hidden_size, device=device)
    labels = torch.randint(VOCABULARY, (ROWS, POSITIONS), device=device)
    labels[:, : POSITIONS - POSITIONS // LABELLED] = IGNORE_INDEX
    mask = torch.ones(ROWS, POSITIONS, dtype=torch.bool, device=device)
    places = torch.arange(POSITIONS, device=device).expand(ROWS, -1)
    before = _peak(device)
    began = time.perf_counter()
    if way == "usual":
        loss = model(inputs_embeds=embeds, attention_mask=mask, position_ids=places, labels=labels).loss
    else:
        loss = training_output(model, Spliced(embeds, labels, mask, places), 0).loss
    loss.backward()
    _settle(model)
    return {"mib": _peak(device) - before, "seconds": time.perf_counter() - began, "loss": loss.item()}


def _settle(model: nn.Module) -> None:
    device = next(model.parameters()).device
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak(device: torch.device) -> float:
    """MiB at the highest so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    print(json.dumps(_step(sys.argv[1], torch.device(sys.argv[2]))))
