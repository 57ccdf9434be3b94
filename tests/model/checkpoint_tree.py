"""A folder tree with bases and a checkpoint of every kind, and what the models in memory answered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.folders import ADAPTER_FILE, LORA_FILE, CheckpointKind
from mgimm_plugin.model.keys import adapter_tensors
from mgimm_plugin.model.loading import load_model
from mgimm_plugin.model.lora import add_lora
from mgimm_plugin.model.saving import save_checkpoint
from mgimm_plugin.region_settings import RegionSettings
from mgimm_plugin.tokenization import build_prompt, tokenize_prompt
from tests.tiny import SIDE, build_llm, build_loaded, build_tower

KINDS = tuple(CheckpointKind)
ADAPTER, LORA, FULL = CheckpointKind.ADAPTER, CheckpointKind.LORA, CheckpointKind.FULL
WEIGHTS = [(ADAPTER, ADAPTER_FILE), (LORA, ADAPTER_FILE), (LORA, LORA_FILE), (FULL, "model.safetensors")]
"""The weight files of each kind."""
SETTINGS = RegionSettings(mm_region_depth=1, mm_region_heads=4, mm_region_mlp_dim=64, mm_region_seed=3)
QUESTIONS = (
    "<region>\nDescribe the basic attributes of the main object in this region.",
    "<image>\n<region>\nDescribe this remote sensing image in detail.",
)


@dataclass(frozen=True)
class Tree:
    root: Path
    answers: dict[CheckpointKind, list[str]]

    def checkpoint(self, kind: CheckpointKind) -> Path:
        return self.root / "runs" / kind.value


def answers(model: Any, tokenizer: Any) -> list[str]:
    """Greedy text about one image and one box."""
    found = []
    for question in QUESTIONS:
        prompt = build_prompt([("human", question)], model.config.mm_conversation_template, tokenizer)
        new = model.generate(
            input_ids=torch.tensor([tokenize_prompt(prompt, tokenizer)]),
            images=torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4)).to(model.dtype),
            image_sizes=[(SIDE, SIDE)],
            image_row=torch.tensor([0]),
            boxes=torch.tensor([[1000, 2000, 30000, 40000]]),
            image_index=torch.tensor([0]),
            do_sample=False,
            max_new_tokens=8,
        )
        found.append(tokenizer.decode(new[0]))
    return found


@torch.no_grad()
def scramble(model: Any, pattern: str, scale: float) -> None:
    """Stand in for training: change every parameter whose name has ``pattern``."""
    generator = torch.Generator().manual_seed(9)
    for name, parameter in model.named_parameters():
        if pattern in name:
            parameter += scale * torch.randn(parameter.shape, generator=generator)


def build_tree(root: Path, family: str = "llama", kinds: tuple[CheckpointKind, ...] = KINDS, **llm: Any) -> Tree:
    tower, bare = build_tower(root / "bases" / "tower"), build_llm(root / "bases" / "llm", family, **llm)
    found = {}
    for kind in kinds:
        tokenizer, model = build_loaded(bare, tower, SETTINGS)[:2]
        with torch.no_grad():
            for tensor in adapter_tensors(model).values():  # the Fourier matrix too: the seed cannot bring it back
                tensor += 0.3 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(8))
        if kind is CheckpointKind.LORA:
            model = add_lora(model, r=4, alpha=16, dropout=0.0)
            scramble(model, "lora_", 0.2)
        elif kind is CheckpointKind.FULL:
            scramble(model, "model.layers", 0.05)
        model.eval()
        found[kind] = answers(model, tokenizer)
        save_checkpoint(model, tokenizer, root / "runs" / kind.value, kind)
    return Tree(root, found)


def fail(folder: Path, *parts: object) -> None:
    """Loading has to fail, and the message to have all of ``parts``."""
    with pytest.raises(CheckpointError) as caught:
        load_model(folder, device="cpu")
    for part in parts:
        assert str(part) in str(caught.value), caught.value
