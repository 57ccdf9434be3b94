"""A step of each tuning stage: as it is usually done, and with nothing done twice or for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from mgimm_plugin.bench.full_size import IMAGES, REGIONS, full_size
from mgimm_plugin.bench.measuring import Measurement, in_turns
from mgimm_plugin.bench.usual import copies_of_the_image, loss_of_all_positions
from mgimm_plugin.bench.workload import Stage, stage, to_device
from mgimm_plugin.constants import IGNORE_INDEX
from mgimm_plugin.train.sampling import ImageGroupedSampler

STEPS = 4
REGION_BATCH, IMAGE_BATCH = 32, 8


def region_stage(device: torch.device) -> Iterator[Measurement]:
    """Region records: a vision pass and a copy of the image for each box, all logits; against ours."""
    yield from _compared("region", REGION_BATCH, 1, device)
    if device.type == "cuda":
        yield from full_size(REGIONS, device)


def image_stage(device: torch.device) -> Iterator[Measurement]:
    """Image records with LoRA: one by one with accumulation, all logits; against one batch."""
    yield from _compared("image", IMAGE_BATCH, IMAGE_BATCH, device)
    if device.type == "cuda":
        yield from full_size(IMAGES, device)


def _compared(name: str, size: int, accumulation: int, device: torch.device) -> Iterator[Measurement]:
    plain, other, cached = stage(name, device), stage(name, device), stage(name, device, cached=True)
    order = list(ImageGroupedSampler(plain.data.image_numbers, 0))[: STEPS * size]
    one_by_one = partial(usual_step, accumulation=accumulation, device=device)
    usual = partial(_train, other, order, size, one_by_one)
    ours = [partial(_train, ready, order, size, partial(our_step, device=device)) for ready in (plain, cached)]
    differences = [max(abs(a - b) for a, b in zip(usual(), way(), strict=True)) for way in ours]
    usual_s, *ours_s = in_turns(usual, *ours, device=device)
    for case, seconds, difference in zip(("loading included", "features on disk"), ours_s, differences, strict=True):
        yield Measurement(
            name=f"{name}-stage",
            case=f"{STEPS} steps of {size} records, {case}",
            usual_s=usual_s,
            ours_s=seconds,
            max_difference=difference,
            more={"usual_samples_per_s": len(order) / usual_s, "ours_samples_per_s": len(order) / seconds},
        )


def _train(ready: Stage, order: list[int], size: int, step: Callable[[list[int], Stage], list[float]]) -> list[float]:
    """The loss curve of a few steps; the weights are put back."""
    trained = [parameter for parameter in ready.model.parameters() if parameter.requires_grad]
    start = [parameter.detach().clone() for parameter in trained]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    curve = []
    for first in range(0, len(order), size):
        curve.append(sum(step(order[first : first + size], ready)))
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        for parameter, value in zip(trained, start, strict=True):
            parameter.copy_(value)
    return curve


def usual_step(indices: list[int], ready: Stage, *, accumulation: int = 1, device: torch.device) -> list[float]:
    """As ``our_step``, but an image, a vision pass and a copy of its features for each box, and all logits."""
    items: list[Any] = []
    for index in indices:
        ready.data.encoder.forget_images()
        items.append({**ready.data[index], "image_name": None})  # rows without a name have an image each
    labelled = sum(int((item["labels"] != IGNORE_INDEX).sum()) for item in items)
    losses = []
    rows = len(items) // accumulation
    with copies_of_the_image(ready.model) as model:
        for start in range(0, len(items), rows):
            batch = to_device(ready.collate(items[start : start + rows]), device)
            loss = loss_of_all_positions(model, batch, labelled)
            loss.backward()
            losses.append(loss.item())
    return losses


def our_step(indices: list[int], ready: Stage, *, device: torch.device) -> list[float]:
    """One step on the records ``indices``; the gradients are left on the parameters, the loss is returned."""
    return [batch_step(ready.model, to_device(ready.collate([ready.data[index] for index in indices]), device))]


def batch_step(model: Any, batch: dict[str, Any]) -> float:
    """Forward and backward of a batch on the model's device; the loss."""
    loss = batch_loss(model, batch)
    loss.backward()
    return loss.item()


def batch_loss(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Forward of a batch on the model's device; the loss."""
    return model(**batch, num_items_in_batch=(batch["labels"] != IGNORE_INDEX).sum()).loss
