"""Steps of both stages at the paper's size with random weights: Vicuna-7B, CLIP-L/14 at 336 px. For GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, CLIPImageProcessor, CLIPVisionConfig

from mgimm_plugin.bench.measuring import Measurement, copy_rate, in_turns, matrix_rate, peak_mib
from mgimm_plugin.bench.usual import copies_of_the_image, loss_of_all_positions
from mgimm_plugin.constants import IGNORE_INDEX, IMAGE_TOKEN_INDEX, REGION_TOKEN_INDEX, REGION_TOKENS_PER_BOX
from mgimm_plugin.model.devices import free_memory
from mgimm_plugin.model.lora import add_lora, without_lora


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a language model and of a vision tower; the defaults are the paper's."""

    hidden: int = 4096
    inner: int = 11_008
    layers: int = 32
    heads: int = 32
    words: int = 32_000
    tower_hidden: int = 1024
    tower_layers: int = 24
    side: int = 336
    patch: int = 14

    @property
    def patches(self) -> int:
        """Image tokens."""
        return (self.side // self.patch) ** 2

    def forward_flops(self, lengths: Tensor, labelled: int, images: int) -> tuple[float, float, float]:
        """Operations of a forward pass: the language model's layers, the logits, and the tower.

        A multiplication with a weight is 2 operations a position; scores and their sums are 4 a pair of positions and
        channel, of which a causal model needs half.

        Args:
            lengths: ``[B]`` positions of each row, padding left out.
            labelled: Positions with a label.
            images: Images that go through the tower.
        """
        weights = self.layers * (4 * self.hidden**2 + 3 * self.hidden * self.inner)
        pairs = 2 * self.layers * self.hidden * float((lengths.double() ** 2).sum())
        tower = 2 * 12 * self.tower_hidden**2 * self.patches + 4 * self.tower_hidden * self.patches**2
        return (
            2 * weights * float(lengths.sum()) + pairs,
            2.0 * self.hidden * self.words * labelled,
            float(images * (self.tower_layers - 1) * tower),  # features come from the layer before the last
        )


@dataclass(frozen=True, slots=True)
class Load:
    """What a step is given.

    Attributes:
        stage: ``region`` or ``image``.
        rows: Records.
        images: Distinct images among them.
        regions: Regions of a record.
        question: Words of the prompt, half of them before the first image or region.
        answer: Words with a label.
    """

    stage: str
    rows: int
    images: int
    regions: int
    question: int
    answer: int


REGIONS = Load("region", rows=64, images=13, regions=1, question=56, answer=16)
IMAGES = Load("image", rows=8, images=8, regions=10, question=64, answer=150)


def full_size(load: Load, device: torch.device, shape: Shape | None = None) -> Iterator[Measurement]:
    """Forward and backward in bfloat16 of a step, as it is usually done and ours, with the share of the device's rate.

    The optimizer is left out. The region stage trains region encoder and projector; the image stage is measured with
    LoRA (r = 16) and with all weights of the language model (recomputed in the backward pass, which counts as no use).
    """
    shape = shape or Shape()
    rates = {"matrix_tflops": matrix_rate(device) / 1e12, "copy_gb_s": copy_rate(device) / 1e9}
    for tuned in ("adapter",) if load.stage == "region" else ("lora", "full"):
        free_memory()  # two models need not fit at once
        yield _compared(load, shape, tuned, device, rates)


def _compared(load: Load, shape: Shape, tuned: str, device: torch.device, rates: dict[str, float]) -> Measurement:
    model = _model(shape, device, tuned)
    batch = _batch(load, shape, device)
    labelled = (batch["labels"] != IGNORE_INDEX).sum()
    batches = [_row(batch, row) for row in range(load.rows)] if load.stage == "image" else [_own_images(batch)]

    def usual() -> float:
        with copies_of_the_image(model) as base:
            return _backward(model, [partial(loss_of_all_positions, base, part, labelled) for part in batches])

    def ours() -> float:
        return _backward(model, [lambda: model(**batch, num_items_in_batch=labelled).loss])

    difference = abs(usual() - ours())
    times = in_turns(usual, ours, device=device)
    rate = _useful_flops(load, shape, int(labelled), tuned) / times[1] / 1e12
    more = {
        "usual_samples_per_s": load.rows / times[0], "ours_samples_per_s": load.rows / times[1],
        "usual_mib": peak_mib(usual, device), "ours_mib": peak_mib(ours, device),
        "useful_tflops": rate, "share_of_matrix_rate": rate / rates["matrix_tflops"], **rates,
    }  # fmt: skip
    return Measurement(
        name=f"{load.stage}-stage", case=f"{load.rows} records, {shape.layers} layers of {shape.hidden}, {tuned}",
        usual_s=times[0], ours_s=times[1], max_difference=difference, more=more,
    )  # fmt: skip


def _backward(model: Any, losses: list[Callable[[], Tensor]]) -> float:
    total = 0.0
    for loss_of in losses:
        with torch.autocast(model.device.type, dtype=torch.bfloat16):
            loss = loss_of()
        loss.backward()
        total += loss.item()
    model.zero_grad()
    return total


def _useful_flops(load: Load, shape: Shape, labelled: int, tuned: str) -> float:
    """Forward, and what the backward pass needs: gradients of activations, and of weights where they are trained."""
    lengths = torch.full((load.rows,), load.question + load.answer + REGION_TOKENS_PER_BOX * load.regions)
    if load.stage == "image":
        lengths += shape.patches
    layers, logits, tower = shape.forward_flops(lengths, labelled, load.images)
    return (3 if tuned == "full" else 2) * (layers + logits) + tower


def _model(shape: Shape, device: torch.device, tuned: str) -> Any:
    torch.manual_seed(0)
    with _tower(shape) as tower:
        config = AutoConfig.for_model(
            "mgimm_llama",
            hidden_size=shape.hidden, intermediate_size=shape.inner, num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads, vocab_size=shape.words, mm_vision_tower=str(tower),
            mm_hidden_size=shape.tower_hidden, mm_projector_type="mlp2x_gelu", mm_vision_select_layer=-2,
            mm_vision_select_feature="patch", image_aspect_ratio="pad", use_cache=False,
        )  # fmt: skip
        with torch.device(device):
            model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        model.get_vision_tower().load_model()
    model.get_vision_tower().to(device=device, dtype=torch.bfloat16)
    model.requires_grad_(tuned == "full")
    model.get_vision_tower().requires_grad_(False)
    if tuned == "lora":
        model = add_lora(model, r=16, alpha=256, dropout=0.0)
    if tuned == "full":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    decoder = without_lora(model).get_model()
    for part in (decoder.region_encoder, decoder.mm_projector):
        part.requires_grad_(True)
        part.float()
    return model.train()


@contextmanager
def _tower(shape: Shape) -> Iterator[Path]:
    config = CLIPVisionConfig(
        hidden_size=shape.tower_hidden,
        intermediate_size=4 * shape.tower_hidden,
        num_hidden_layers=shape.tower_layers,
        num_attention_heads=max(1, shape.tower_hidden // 64),
        image_size=shape.side,
        patch_size=shape.patch,
    )
    size = {"height": shape.side, "width": shape.side}
    with TemporaryDirectory() as folder:
        AutoModel.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
        CLIPImageProcessor(size={"shortest_edge": shape.side}, crop_size=size).save_pretrained(folder)
        yield Path(folder)


def _batch(load: Load, shape: Shape, device: torch.device) -> dict[str, Any]:
    """Records of one length; the records of an image are neighbours."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(3, shape.words, (load.rows, load.question + load.answer), generator=generator)
    words[:, : load.question // 2] = words[0, : load.question // 2]  # the template's words
    before, after = words.split((load.question // 2, words.shape[1] - load.question // 2), dim=1)
    sentinels = [IMAGE_TOKEN_INDEX] * (load.stage == "image") + [REGION_TOKEN_INDEX] * load.regions
    ids = torch.cat((before, torch.tensor(sentinels).expand(load.rows, -1), after), dim=1)
    labels = ids.clone()
    labels[:, : -load.answer] = IGNORE_INDEX
    corners = torch.randint(0, 30_000, (load.rows * load.regions, 2), generator=generator)
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids, dtype=torch.bool),
        "labels": labels,
        "images": torch.randn(load.images, 3, shape.side, shape.side, generator=generator),
        "image_row": torch.arange(load.rows),
        "boxes": torch.cat((corners, corners + 20_000), dim=1),
        "image_index": torch.arange(load.rows).repeat_interleave(load.regions),
        "image_source": torch.arange(load.rows) * load.images // load.rows,
    }
    return {**{name: value.to(device) for name, value in batch.items()}, "image_sizes": [(800, 800)] * load.rows}


def _row(batch: dict[str, Any], row: int) -> dict[str, Any]:
    """One row of a batch, with its image and boxes."""
    regions = len(batch["boxes"]) // len(batch["input_ids"])
    first = row * regions
    cut = {name: batch[name][row : row + 1] for name in ("input_ids", "attention_mask", "labels", "images")}
    device = batch["boxes"].device
    return {
        **cut,
        "image_sizes": batch["image_sizes"][:1],
        "image_row": torch.zeros(1, dtype=torch.int64, device=device),
        "boxes": batch["boxes"][first : first + regions],
        "image_index": torch.zeros(regions, dtype=torch.int64, device=device),
        "image_source": torch.zeros(1, dtype=torch.int64, device=device),
    }


def _own_images(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch with an image, and so a vision pass, for each row."""
    source = batch["image_source"]
    return {**batch, "images": batch["images"][source], "image_source": torch.arange(len(source), device=source.device)}
