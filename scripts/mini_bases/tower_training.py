"""The tower's training: objects are found first, then what is seen of each is gathered from all its patches."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from .corpus import FEW, PROBE_SEED, TRAINING_SEED, load_scenes
from .optimizing import TrainingState, descend, make_optimizers, set_rate, sum_over_ranks, trapezoid
from .tower import TowerShape, new_tower, save_tower
from .tower_losses import Batch, Batches, GatheringHeads, WordHeads, finding_loss, gathering_loss, held_out_accuracy

Loss = Callable[[int], tuple[Tensor, dict[str, Tensor]]]

FINDING = {"batch": 12, "rate": 2e-3, "warm": 150, "falling": 0.35, "seed": 0}
GATHERING = {"batch": 24, "rate": 1.5e-3, "warm": 100, "falling": 0.4, "seed": 1}
"""Scenes per step, highest learning rate and its shape, seed of the order."""


def train_tower(
    output: Path,
    cache: Path,
    *,
    steps: tuple[int, int],
    scenes: int,
    device: str = "cpu",
    workers: int = 1,
) -> None:
    """Train the tower, from its last state if there is one, and save it with its image processor.

    Under torchrun the ranks share the scenes of each step; the weights are those of one process but for rounding.

    Args:
        output: Folder of the tower.
        cache: Folder of scenes and of the training states.
        steps: Steps of finding and of gathering; in each the learning rate falls to zero at the end.
        scenes: Number of training scenes; objects are found in a ``FEW`` of them.
        device: Where to train.
        workers: Processes that draw scenes.
    """
    shape = TowerShape()
    data = load_scenes(cache, seed=TRAINING_SEED, count=scenes, side=shape.side, workers=workers)
    tower, heads = new_tower(shape).train().to(device), WordHeads(shape.width).to(device)
    torch.manual_seed(1)
    gathering = GatheringHeads(shape.width).to(device)
    rank, ranks = _join()

    def part(batches: Batches, step: int) -> tuple[Batch, np.random.Generator]:
        batch, rng = batches.draw(step, rank, ranks)
        return batch.to(device), rng

    few = data.first(min(scenes, FEW))
    order = Batches(few, int(FINDING["batch"]), int(FINDING["seed"]))
    modules: dict[str, nn.Module] = {"tower": tower, "heads": heads}
    _descend("finding", modules, lambda step: finding_loss(tower, heads, *part(order, step)), steps[0], cache, FINDING)
    order = Batches(data, int(GATHERING["batch"]), int(GATHERING["seed"]), is_shifted=True)
    modules["gathering"] = gathering
    _descend(
        "gathering",
        modules,
        lambda step: gathering_loss(tower, heads, gathering, part(order, step)[0]),
        steps[1],
        cache,
        GATHERING,
    )
    if rank == 0:
        held_out = load_scenes(cache, seed=PROBE_SEED, count=500, side=shape.side, workers=workers)
        for module in modules.values():
            module.cpu().eval()
        save_tower(tower, output)
        print("held out:", json.dumps(held_out_accuracy(tower, heads, gathering, held_out)), flush=True)
    if ranks > 1:
        dist.barrier()


def _join() -> tuple[int, int]:
    """Rank and number of ranks; they meet here under torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("gloo")
    return dist.get_rank(), dist.get_world_size()


def _descend(
    name: str, modules: dict[str, nn.Module], loss_of: Loss, steps: int, cache: Path, recipe: dict[str, float]
) -> None:
    """Take the steps that are not done yet."""
    optimizers = make_optimizers(*modules.values())
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    state = TrainingState(cache / f"tower-{name}.pt", modules, optimizers)
    is_first = not dist.is_initialized() or dist.get_rank() == 0
    recent: dict[str, float] = {}
    since = time.monotonic()
    for step in range(state.load(), steps):
        shape = trapezoid(step, steps, warm=int(recipe["warm"]), falling=recipe["falling"])
        set_rate(optimizers, recipe["rate"] * shape)
        loss, parts = loss_of(step)
        loss.backward()
        values = sum_over_ranks(parameters, torch.stack([part.detach() for part in parts.values()]))
        descend(optimizers, parameters)
        for key, value in zip(parts, values.tolist(), strict=True):
            recent[key] = 0.98 * recent.get(key, value) + 0.02 * value
        if is_first and (step + 1) % 100 == 0:
            said = ", ".join(f"{key} {value:.3f}" for key, value in recent.items())
            speed = 100 * recipe["batch"] / (time.monotonic() - since)
            print(f"tower, {name}: {step + 1}/{steps}, {said}, {speed:.0f} scenes/s", flush=True)
            since = time.monotonic()
        if is_first:
            state.save_now_and_then(step + 1)
    if is_first:
        state.save(steps)
