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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from mini_bases.corpus import PROBE_SEED, TRAINING_SEED, WORDS, SceneArrays, load_scenes
from mini_bases.optimizing import descend, make_optimizers, set_rate

SIDE = 96
PATCH = 8
WIDTH = 96
LAYERS = 4
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
NAMED = ("category", "color", "shape")
SHOWN = 0.5
"""Share of the patches each mixture may use."""


def new_tower() -> CLIPVisionModel:
    """A CLIP vision model whose last layer is the identity.

    LLaVA reads the last but one hidden state, so the last layer would never be trained by a loss on what LLaVA reads.
    """
    config = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=3,
        image_size=SIDE,
        patch_size=PATCH,
        hidden_act="gelu",
        projection_dim=WIDTH,
    )
    torch.manual_seed(0)
    tower = CLIPVisionModel(config)
    vision: Any = getattr(tower, "vision_model", tower)
    nn.init.normal_(vision.embeddings.patch_embedding.weight, std=1 / math.sqrt(3 * PATCH * PATCH))
    for layer in vision.encoder.layers:
        for linear in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj, layer.mlp.fc1):
            nn.init.xavier_uniform_(linear.weight)
        for linear in (layer.self_attn.out_proj, layer.mlp.fc2):
            nn.init.xavier_uniform_(linear.weight, gain=1 / math.sqrt(2 * LAYERS))
    nn.init.zeros_(vision.embeddings.class_embedding)
    vision.embeddings.position_embedding.weight.data[1:] = _sine_positions(SIDE // PATCH, WIDTH)
    for linear in (vision.encoder.layers[-1].self_attn.out_proj, vision.encoder.layers[-1].mlp.fc2):
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
    return tower


def _sine_positions(grid: int, width: int) -> Tensor:
    """Where each patch is, as waves ``[grid * grid, width]``: to know at once which patches are neighbours."""
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
    """What each patch says: words of an object, and how well it answers to a size and a position."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.words = nn.ModuleDict({name: nn.Linear(WIDTH, len(words)) for name, words in WORDS.items()})
        self.pixels = nn.Linear(WIDTH, 12)

    def log_likelihood(self, features: Tensor, owner: Tensor, words: Tensor, shown: Tensor) -> Tensor:
        """Log-likelihood ``[M]`` of the named words of each object given its size and position.

        Args:
            features: ``[N, T, C]``.
            owner: ``[M]`` image of each object.
            words: ``[M, 5]`` indices into ``WORDS``.
            shown: ``[M, T]`` bool, the patches each mixture may use.
        """
        normed = self.norm(features)
        columns = dict(zip(WORDS, words.unbind(1), strict=True))
        weight = torch.zeros(())
        for name in ("size", "position"):
            weight = weight + self.words[name](normed)[owner, :, columns[name]]
        joint = weight.masked_fill(~shown, -1e4).log_softmax(1)
        for name in NAMED:
            joint = joint + self.words[name](normed).log_softmax(-1)[owner, :, columns[name]]
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
    return images, moved


def normalized(images: np.ndarray) -> Tensor:
    """Pixels ``[N, 3, S, S]`` as the image processor hands them to the tower."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)


def train_tower(output: Path, cache: Path, *, minutes: float, scenes: int, resume: bool, batch: int = 24) -> None:
    """Train the tower for a given time and save it with its image processor.

    Args:
        output: Folder of the tower.
        cache: Folder of scenes and of the training state.
        minutes: Time to train; the learning rate falls to zero over it.
        scenes: Number of training scenes.
        resume: Start from the state of an earlier run instead of fresh weights.
        batch: Scenes per step.
    """
    data = load_scenes(cache, seed=TRAINING_SEED, count=scenes, side=SIDE)
    tower, heads = new_tower().train(), WordHeads()
    state = cache / "tower.pt"
    if resume and state.exists():
        saved = torch.load(state, weights_only=True)
        tower.load_state_dict(saved["tower"])
        heads.load_state_dict(saved["heads"])
    first = np.searchsorted(data.owner, np.arange(scenes + 1))
    # Crowded scenes teach more for the same time.
    share = np.diff(first).astype(np.float64) ** 2
    share /= share.sum()
    rng = np.random.default_rng(1 if resume else 0)
    optimizers = make_optimizers(tower, heads)
    parameters = [*tower.parameters(), *heads.parameters()]
    start, step, recent, last_saved = time.monotonic(), 0, 0.0, time.monotonic()
    while (spent := (time.monotonic() - start) / 60) < minutes:
        set_rate(optimizers, 2e-3 * min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * spent / minutes)))
        chosen = np.sort(rng.choice(scenes, batch, replace=False, p=share))
        objects = np.concatenate([np.arange(first[i], first[i + 1]) for i in chosen])
        owner = torch.from_numpy(np.searchsorted(chosen, data.owner[objects]))
        images, words = normalized(data.images[chosen]), torch.from_numpy(data.words[objects])
        images, words = turned(images, words, int(rng.integers(4)), bool(rng.integers(2)))
        features = patch_features(tower, images)
        shown = torch.rand(len(owner), features.shape[1]) < SHOWN
        fit = -heads.log_likelihood(features, owner, words, shown).mean()
        small = functional.avg_pool2d(images, PATCH // 2)
        colors = functional.unfold(small, 2, stride=2).transpose(1, 2)
        copy = functional.mse_loss(heads.pixels(features), colors)
        scale = (features.pow(2).mean().sqrt() - 1).pow(2)
        (fit + 0.3 * copy + 0.1 * scale).backward()
        descend(optimizers, parameters)
        step += 1
        recent += fit.item()
        if step % 100 == 0:
            print(
                f"tower: {spent:5.1f}/{minutes:g} min, step {step}, loss {recent / 100:.3f}, pixels {copy.item():.3f}, "
                f"scale {features.detach().pow(2).mean().sqrt():.2f}",
                flush=True,
            )
            recent = 0.0
        if time.monotonic() - last_saved > 300:
            _save_state(state, tower, heads)
            last_saved = time.monotonic()
    _save_state(state, tower, heads)
    save_tower(tower, output)
    report = probe(tower.eval(), load_scenes(cache, seed=PROBE_SEED, count=600, side=SIDE))
    print("probe:", json.dumps(report))


def _save_state(file: Path, tower: nn.Module, heads: nn.Module) -> None:
    torch.save({"tower": tower.state_dict(), "heads": heads.state_dict()}, file.with_suffix(".partial"))
    file.with_suffix(".partial").replace(file)


def save_tower(tower: CLIPVisionModel, output: Path) -> None:
    """Save the tower in bfloat16 with the processor that LLaVA's vision tower loads next to it."""
    copied = CLIPVisionModel(tower.config)
    copied.load_state_dict(tower.state_dict())
    copied.to(torch.bfloat16).save_pretrained(output)
    size = {"height": SIDE, "width": SIDE}
    CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size=size, image_mean=list(CLIP_MEAN), image_std=list(CLIP_STD)
    ).save_pretrained(output)


@torch.no_grad()
def probe(tower: CLIPVisionModel, data: SceneArrays) -> dict[str, float]:
    """How much the patches inside a box tell: held-out accuracy of a linear read-out of their mean, per attribute."""
    grid = SIDE // PATCH
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
    inputs = functional.layer_norm(torch.stack(rows), (WIDTH,))
    half = len(rows) // 2
    report = {}
    for column, name in enumerate(NAMED):
        target = torch.from_numpy(data.words[:, column])
        report[name] = _linear_accuracy(inputs[:half], target[:half], inputs[half:], target[half:])
    return report


@torch.enable_grad()
def _linear_accuracy(inputs: Tensor, target: Tensor, held_out: Tensor, truth: Tensor) -> float:
    linear = nn.Linear(WIDTH, int(max(target.max(), truth.max())) + 1)
    optimizer = torch.optim.AdamW(linear.parameters(), lr=0.02, weight_decay=0.02)
    for _ in range(300):
        loss = functional.cross_entropy(linear(inputs), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return round((linear(held_out).argmax(1) == truth).float().mean().item(), 4)
