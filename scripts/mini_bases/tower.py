"""The mini vision tower: an ordinary CLIP vision model, small, with an image processor that LLaVA loads next to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class TowerShape:
    """Size of the tower; ``layers`` counts the last one, which is the identity."""

    side: int = 200
    patch: int = 10
    width: int = 128
    layers: int = 5
    heads: int = 4

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return self.side // self.patch


def new_tower(shape: TowerShape) -> CLIPVisionModel:
    """A CLIP vision model whose last layer is the identity.

    LLaVA reads the last but one hidden state, so the last layer would never be trained by a loss on what LLaVA reads.
    """
    config = CLIPVisionConfig(
        hidden_size=shape.width,
        intermediate_size=2 * shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        image_size=shape.side,
        patch_size=shape.patch,
        hidden_act="gelu",
        projection_dim=shape.width,
    )
    torch.manual_seed(0)
    tower = CLIPVisionModel(config)
    vision: Any = getattr(tower, "vision_model", tower)
    nn.init.normal_(vision.embeddings.patch_embedding.weight, std=1 / math.sqrt(3 * shape.patch**2))
    for layer in vision.encoder.layers:
        for linear in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj, layer.mlp.fc1):
            nn.init.xavier_uniform_(linear.weight)
        for linear in (layer.self_attn.out_proj, layer.mlp.fc2):
            nn.init.xavier_uniform_(linear.weight, gain=1 / math.sqrt(2 * shape.layers))
    nn.init.zeros_(vision.embeddings.class_embedding)
    vision.embeddings.position_embedding.weight.data[1:] = _sine_positions(shape.grid, shape.width)
    for linear in (vision.encoder.layers[-1].self_attn.out_proj, vision.encoder.layers[-1].mlp.fc2):
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
    return tower


def _sine_positions(grid: int, width: int) -> Tensor:
    """Where each patch is, as waves ``[grid * grid, width]``: to know at once which patches are neighbors."""
    rows, columns = torch.meshgrid(torch.arange(grid) / grid, torch.arange(grid) / grid, indexing="ij")
    waves = 2 * math.pi * torch.linspace(0.5, grid / 3, width // 4)
    phases = [axis.reshape(-1, 1) * waves for axis in (rows, columns)]
    return torch.cat([function(phase) for phase in phases for function in (torch.sin, torch.cos)], 1) / 2


def patch_features(tower: CLIPVisionModel, pixels: Tensor) -> Tensor:
    """``hidden_states[-2]`` without its class token: ``[N, T, C]`` from ``[N, 3, S, S]``."""
    vision: Any = getattr(tower, "vision_model", tower)
    hidden = vision.pre_layrnorm(vision.embeddings(pixels))
    for layer in vision.encoder.layers[:-1]:
        out = layer(hidden, attention_mask=None)
        hidden = out[0] if isinstance(out, tuple) else out
    return hidden[:, 1:]


def normalized(images: np.ndarray) -> Tensor:
    """Pixels ``[N, 3, S, S]`` as the image processor hands them to the tower."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)


def save_tower(tower: CLIPVisionModel, output: Path) -> None:
    """Save the tower in bfloat16 with the processor that LLaVA's vision tower loads next to it."""
    copied = CLIPVisionModel(tower.config)
    copied.load_state_dict(tower.state_dict())
    copied.to(torch.bfloat16).save_pretrained(output)
    side = tower.config.image_size
    CLIPImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_mean=list(CLIP_MEAN),
        image_std=list(CLIP_STD),
    ).save_pretrained(output)
