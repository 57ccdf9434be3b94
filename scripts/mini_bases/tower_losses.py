"""How the tower learns from scenes and the sentences about them, without boxes.

A sentence says what is where in words ("a large red round storage tank in the top left"). Each patch guesses the words
of one object, and the words of size and position choose among the patches. Two losses, one after the other:

* *Finding*: the negative log-likelihood of category, color and shape under that mixture,
  ``-log sum_t w_t p(category|t) p(color|t) p(shape|t)``. Which patches show the object is left to the model. Half of
  the patches are hidden from each mixture, so that not one patch but all of an object's patches learn to name it.
* *Gathering*: the same with all patches, and the words once more from the mean of the object's patches, each weighted
  by how far the mixture holds it for the object's. A shape is seen from several patches together, hardly from one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionModel

from mgimm_plugin.data.scenes.overhead.vocabulary import SETTINGS

from .corpus import WORDS, SceneArrays
from .tower import normalized, patch_features

NAMED = ("category", "color", "shape")
SHOWN = 0.5
"""Share of the patches that each mixture may use while objects are found."""

_WEIGHTS = {"setting": 0.1, "pixels": 0.3, "scale": 0.1}
"""Of the parts that keep the features useful and at one scale."""


class Mixture(NamedTuple):
    """What the patches of its scene say of each object.

    Attributes:
        likelihood: ``[M]``, log-likelihood of category, color and shape.
        share: ``[M, T]``, how far each patch is held for the object's, by all words but the shape.
    """

    likelihood: Tensor
    share: Tensor


class WordHeads(nn.Module):
    """What each patch says: words of an object, how well it answers to a size and a position, the place, its pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.words = nn.ModuleDict({name: nn.Linear(width, len(words)) for name, words in WORDS.items()})
        self.setting = nn.Linear(width, len(SETTINGS))
        self.pixels = nn.Linear(width, 12)

    def mixture(self, normed: Tensor, owner: Tensor, words: Tensor, shown: Tensor | None = None) -> Mixture:
        """The mixture over patches, given size and position of each object.

        Args:
            normed: ``[N, T, C]``, the features after ``norm``.
            owner: ``[M]`` image of each object.
            words: ``[M, 5]`` indices into ``WORDS``.
            shown: ``[M, T]`` bool, the patches each mixture may use; None for all.
        """
        columns = dict(zip(WORDS, words.unbind(1), strict=True))
        said = {name: head(normed).transpose(1, 2) for name, head in self.words.items()}  # [N, K, T]
        weight = said["size"][owner, columns["size"]] + said["position"][owner, columns["position"]]
        if shown is not None:
            weight = weight.masked_fill(~shown, -1e4)
        weight = weight.log_softmax(1)
        named = {name: said[name].log_softmax(1)[owner, columns[name]] for name in NAMED}
        share = (weight + named["category"] + named["color"]).detach().softmax(1)
        return Mixture((weight + sum(named.values())).logsumexp(1), share)


class GatheringHeads(nn.ModuleDict):
    """The words of an object from the weighted mean of its patches, ``[M, C]``."""

    def __init__(self, width: int) -> None:
        super().__init__(
            {
                name: nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, len(WORDS[name])))
                for name in NAMED
            }
        )


class Batch(NamedTuple):
    """The scenes of a step, or this rank's part of them.

    Attributes:
        images: ``[N, 3, S, S]``, normalized.
        settings: ``[N]``.
        owner: ``[M]`` image of each object.
        words: ``[M, 5]`` indices into ``WORDS``.
        total: Objects of the whole step.
    """

    images: Tensor
    settings: Tensor
    owner: Tensor
    words: Tensor
    total: int

    def to(self, device: str) -> Batch:
        """The same on another device."""
        return self._replace(
            images=self.images.to(device),
            settings=self.settings.to(device),
            owner=self.owner.to(device),
            words=self.words.to(device),
        )


class Batches:
    """The scenes of each step, a function of the step's number alone.

    Args:
        data: Training scenes.
        size: Scenes per step.
        seed: Of the order.
        is_shifted: Whether pictures are shifted and scaled a little, so that objects fall differently on the patches.
    """

    def __init__(self, data: SceneArrays, size: int, seed: int, *, is_shifted: bool = False) -> None:
        self.data, self.size, self.seed, self.is_shifted = data, size, seed, is_shifted
        self.first = np.searchsorted(data.owner, np.arange(len(data.images) + 1))
        # Crowded scenes teach more for the same time.
        share = np.diff(self.first).astype(np.float64) ** 2
        self.share = share / share.sum()

    def draw(self, step: int, rank: int, ranks: int) -> tuple[Batch, np.random.Generator]:
        """A rank's scenes of a step, and the step's random numbers from there on."""
        data, first, rng = self.data, self.first, np.random.default_rng([self.seed, step])
        whole = np.sort(rng.choice(len(data.images), self.size, replace=False, p=self.share))
        turn, flip = int(rng.integers(4)), bool(rng.integers(2))
        chosen = whole[rank::ranks]
        objects = np.concatenate([np.arange(first[i], first[i + 1]) for i in chosen])
        owner = torch.from_numpy(np.searchsorted(chosen, data.owner[objects]))
        images, words = turned(normalized(data.images[chosen]), torch.from_numpy(data.words[objects]), turn, flip)
        if self.is_shifted:
            images = shifted(images, rng)
        total = int((first[whole + 1] - first[whole]).sum())
        return Batch(images, torch.from_numpy(data.settings[chosen]), owner, words, total), rng


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


def shifted(images: Tensor, rng: np.random.Generator) -> Tensor:
    """The pictures ``[N, 3, S, S]`` from a window of at least nine tenths of their side, at their own size again."""
    side = images.shape[-1]
    window = int(rng.integers(side * 9 // 10, side + 1))
    left, top = (int(rng.integers(side - window + 1)) for _ in range(2))
    cut = images[..., top : top + window, left : left + window]
    return functional.interpolate(cut, size=(side, side), mode="bilinear", align_corners=False)


def finding_loss(
    tower: CLIPVisionModel, heads: WordHeads, batch: Batch, rng: np.random.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """The first loss and its parts; means over the objects of the whole step."""
    features = patch_features(tower, batch.images)
    normed = heads.norm(features)
    shown = torch.from_numpy(rng.random((len(batch.owner), features.shape[1])) < SHOWN).to(features.device)
    likelihood = heads.mixture(normed, batch.owner, batch.words, shown).likelihood
    parts = {"fit": -likelihood.sum() / batch.total}
    return parts["fit"] + _keeping(heads, features, normed, batch), parts


def gathering_loss(
    tower: CLIPVisionModel, heads: WordHeads, gathering: GatheringHeads, batch: Batch
) -> tuple[Tensor, dict[str, Tensor]]:
    """The second loss and its parts; means over the objects of the whole step."""
    features = patch_features(tower, batch.images)
    normed = heads.norm(features)
    mixture = heads.mixture(normed, batch.owner, batch.words)
    gathered = torch.einsum("mt,mtc->mc", mixture.share, normed[batch.owner])
    columns = dict(zip(WORDS, batch.words.unbind(1), strict=True))
    parts = {"fit": -mixture.likelihood.sum() / batch.total}
    for name in NAMED:
        parts[name] = functional.cross_entropy(gathering[name](gathered), columns[name], reduction="sum") / batch.total
    return torch.stack([*parts.values()]).sum() + _keeping(heads, features, normed, batch), parts


def _keeping(heads: WordHeads, features: Tensor, normed: Tensor, batch: Batch) -> Tensor:
    """Small losses that keep setting, pixels and scale; of the mean over ranks, this rank's part."""
    images = batch.images
    cell = math.isqrt(images.shape[-1] ** 2 // features.shape[1]) // 2
    colors = functional.unfold(functional.avg_pool2d(images, cell), 2, stride=2).transpose(1, 2)
    parts = {
        "setting": functional.cross_entropy(heads.setting(normed.mean(1)), batch.settings),
        "pixels": functional.mse_loss(heads.pixels(features), colors),
        "scale": (features.pow(2).mean().sqrt() - 1).pow(2),
    }
    ranks = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    return torch.stack([_WEIGHTS[name] * part for name, part in parts.items()]).sum() / ranks


@torch.no_grad()
def held_out_accuracy(
    tower: CLIPVisionModel, heads: WordHeads, gathering: GatheringHeads, data: SceneArrays
) -> dict[str, float]:
    """Share of right words of objects in scenes not trained on, as the gathering heads say them; shape by size too."""
    right: dict[str, list[float]] = {}
    for begin in range(0, len(data.images), 50):
        inside = (data.owner >= begin) & (data.owner < begin + 50)
        owner, words = torch.from_numpy(data.owner[inside] - begin), torch.from_numpy(data.words[inside])
        normed = heads.norm(patch_features(tower, normalized(data.images[begin : begin + 50])))
        gathered = torch.einsum("mt,mtc->mc", heads.mixture(normed, owner, words).share, normed[owner])
        columns = dict(zip(WORDS, words.unbind(1), strict=True))
        for name in NAMED:
            hits = (gathering[name](gathered).argmax(1) == columns[name]).float()
            right.setdefault(name, []).extend(hits.tolist())
            for index, size in enumerate(WORDS["size"]):
                right.setdefault(f"{name}, {size}", []).extend(hits[columns["size"] == index].tolist())
    return {name: round(float(np.mean(values)), 3) for name, values in right.items() if values}
