"""The mini vision tower: a CLIP vision model that learns from scenes and the sentences about them, without boxes.

A sentence says what is where in words ("a large red round storage tank in the top left"). Each patch guesses the words
of one object, and the words of size and position choose among the patches: the loss is the negative log-likelihood of
category, color and shape under that mixture, log sum_t w_t p(category|t) p(color|t) p(shape|t). Which patches show the
object is left to the model. Half of the patches are hidden from each mixture, so that not one patch but all
of an object's patches learn to name it.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from mgimm_plugin.data.scenes.overhead.vocabulary import SETTINGS

from .corpus import PROBE_SEED, TRAINING_SEED, WORDS, SceneArrays, load_scenes
from .optimizing import TrainingState, descend, make_optimizers, set_rate, trapezoid

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
NAMED = ("category", "color", "shape")
SHOWN = 0.5
"""Share of the patches each mixture may use."""


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


class WordHeads(nn.Module):
    """What each patch says: words of an object, how well it answers to a size and a position, the place, its pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.words = nn.ModuleDict({name: nn.Linear(width, len(words)) for name, words in WORDS.items()})
        self.setting = nn.Linear(width, len(SETTINGS))
        self.pixels = nn.Linear(width, 12)

    def log_likelihood(self, normed: Tensor, owner: Tensor, words: Tensor, shown: Tensor) -> Tensor:
        """Log-likelihood ``[M]`` of the named words of each object given its size and position.

        Args:
            normed: ``[N, T, C]``, the features after ``norm``.
            owner: ``[M]`` image of each object.
            words: ``[M, 5]`` indices into ``WORDS``.
            shown: ``[M, T]`` bool, the patches each mixture may use.
        """
        columns = dict(zip(WORDS, words.unbind(1), strict=True))
        said = {name: head(normed).transpose(1, 2) for name, head in self.words.items()}  # [N, K, T]
        weight = sum(said[name][owner, columns[name]] for name in ("size", "position"))
        joint = weight.masked_fill(~shown, -1e4).log_softmax(1)
        for name in NAMED:
            joint = joint + said[name].log_softmax(1)[owner, columns[name]]
        return joint.logsumexp(1)


def turned(images: Tensor, words: Tensor, turn: int, flip: bool) -> tuple[Tensor, Tensor]:
    """Pictures ``[N, 3, S, S]`` turned by quarter turns and mirrored, and their words with positions changed along."""
    grid = torch.arange(9).view(1, 3, 3)
    images, grid = (torch.rot90(value, turn, (-2, -1)) for value in (images, grid))
    if flip:
        images, grid = images.flip(-1), grid.flip(-1)
    moved = words.clone()
    column = list(WORDS).index("position")
    moved[:, column] = torch.argsort(grid.reshape(-1))[words[:, column]]
    return images.contiguous(), moved


def normalized(images: np.ndarray) -> Tensor:
    """Pixels ``[N, 3, S, S]`` as the image processor hands them to the tower."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)


class TowerLoss:
    """The loss of one step, a function of the step's number alone.

    Args:
        data: Training scenes.
        batch: Scenes per step.
    """

    def __init__(self, data: SceneArrays, batch: int) -> None:
        self.data, self.batch = data, batch
        self.first = np.searchsorted(data.owner, np.arange(len(data.images) + 1))
        # Crowded scenes teach more for the same time.
        share = np.diff(self.first).astype(np.float64) ** 2
        self.share = share / share.sum()

    def __call__(self, tower: CLIPVisionModel, heads: WordHeads, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to descend, and its parts."""
        data, first, device = self.data, self.first, heads.norm.weight.device
        rng = np.random.default_rng([0, step])
        chosen = np.sort(rng.choice(len(data.images), self.batch, replace=False, p=self.share))
        objects = np.concatenate([np.arange(first[i], first[i + 1]) for i in chosen])
        owner = torch.from_numpy(np.searchsorted(chosen, data.owner[objects]))
        images, words = normalized(data.images[chosen]), torch.from_numpy(data.words[objects])
        images, words = turned(images, words, int(rng.integers(4)), bool(rng.integers(2)))
        images, words, owner = (value.to(device) for value in (images, words, owner))
        features = patch_features(tower, images)
        normed = heads.norm(features)
        shown = torch.from_numpy(rng.random((len(owner), features.shape[1])) < SHOWN).to(device)
        setting = torch.from_numpy(data.settings[chosen]).to(device)
        cell = math.isqrt(images.shape[-1] ** 2 // features.shape[1]) // 2
        colors = functional.unfold(functional.avg_pool2d(images, cell), 2, stride=2).transpose(1, 2)
        parts = {
            "fit": -heads.log_likelihood(normed, owner, words, shown).mean(),
            "setting": functional.cross_entropy(heads.setting(normed.mean(1)), setting),
            "pixels": functional.mse_loss(heads.pixels(features), colors),
            "scale": (features.pow(2).mean().sqrt() - 1).pow(2),
        }
        weights = {"fit": 1.0, "setting": 0.1, "pixels": 0.3, "scale": 0.1}
        return sum((weights[name] * part for name, part in parts.items()), torch.zeros((), device=device)), parts


def train_tower(
    output: Path,
    cache: Path,
    *,
    steps: int,
    scenes: int,
    batch: int = 12,
    rate: float = 2e-3,
    shape: TowerShape = TowerShape(),
    device: str = "cpu",
    workers: int = 1,
) -> None:
    """Train the tower, from its last state if there is one, and save it with its image processor.

    Args:
        output: Folder of the tower.
        cache: Folder of scenes and of the training state.
        steps: Steps in all; the learning rate falls to zero over the last of them.
        scenes: Number of training scenes.
        batch: Scenes per step.
        rate: Highest learning rate.
        shape: Size of the tower.
        device: Where to train.
        workers: Processes that draw scenes.
    """
    data = load_scenes(cache, seed=TRAINING_SEED, count=scenes, side=shape.side, workers=workers)
    tower, heads = new_tower(shape).train().to(device), WordHeads(shape.width).to(device)
    optimizers = make_optimizers(tower, heads)
    parameters = [*tower.parameters(), *heads.parameters()]
    state = TrainingState(cache / "tower.pt", {"tower": tower, "heads": heads}, optimizers)
    loss_of, recent, since = TowerLoss(data, batch), 0.0, time.monotonic()
    for step in range(state.load(), steps):
        set_rate(optimizers, rate * trapezoid(step, steps))
        loss, parts = loss_of(tower, heads, step)
        loss.backward()
        descend(optimizers, parameters)
        recent += parts["fit"].item()
        if (step + 1) % 100 == 0:
            said = ", ".join(f"{name} {part.item():.3f}" for name, part in parts.items() if name != "fit")
            speed = 100 * batch / (time.monotonic() - since)
            print(f"tower: {step + 1}/{steps}, fit {recent / 100:.3f}, {said}, {speed:.0f} scenes/s", flush=True)
            recent, since = 0.0, time.monotonic()
        state.save_now_and_then(step + 1)
    state.save(steps)
    tower = tower.cpu().eval()
    save_tower(tower, output)
    held_out = load_scenes(cache, seed=PROBE_SEED, count=500, side=shape.side, workers=workers)
    print("probe:", json.dumps(probe(tower, held_out)), flush=True)


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


@torch.no_grad()
def probe(tower: CLIPVisionModel, data: SceneArrays) -> dict[str, float]:
    """How much the patches inside a box tell: held-out accuracy of a linear read-out of their mean, per attribute."""
    grid = tower.config.image_size // tower.config.patch_size
    centers = (torch.arange(grid) + 0.5) / grid
    rows = []
    for begin in range(0, len(data.images), 50):
        features = patch_features(tower, normalized(data.images[begin : begin + 50]))
        inside = (data.owner >= begin) & (data.owner < begin + 50)
        for owner, box in zip(data.owner[inside] - begin, torch.from_numpy(data.boxes[inside]), strict=True):
            x1, y1, x2, y2 = box
            pad = 0.5 / grid
            mask = ((centers > y1 - pad) & (centers < y2 + pad))[:, None] & (
                (centers > x1 - pad) & (centers < x2 + pad)
            )
            rows.append(features[owner][mask.reshape(-1)].mean(0))
    inputs = functional.layer_norm(torch.stack(rows), (tower.config.hidden_size,))
    half = len(rows) // 2
    report = {}
    for column, name in enumerate(NAMED):
        target = torch.from_numpy(data.words[:, column])
        report[name] = _linear_accuracy(inputs[:half], target[:half], inputs[half:], target[half:])
    return report


@torch.enable_grad()
def _linear_accuracy(inputs: Tensor, target: Tensor, held_out: Tensor, truth: Tensor) -> float:
    torch.manual_seed(0)
    linear = nn.Linear(inputs.shape[1], int(max(target.max(), truth.max())) + 1)
    optimizer = torch.optim.AdamW(linear.parameters(), lr=0.02, weight_decay=0.02)
    for _ in range(300):
        loss = functional.cross_entropy(linear(inputs), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return round((linear(held_out).argmax(1) == truth).float().mean().item(), 4)
