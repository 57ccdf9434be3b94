"""Build the model that a stage starts from, and say what of it is trained."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PretrainedConfig
from transformers.integrations import is_deepspeed_zero3_enabled

from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.config import VisionSettings, load_config, multimodal_config, read_config_dict
from mgimm_plugin.model.folders import ADAPTER_FILE, CheckpointKind, checkpoint_kind
from mgimm_plugin.model.keys import adapter_tensors, copy_into, read_tensors
from mgimm_plugin.model.loading import (
    base_of,
    finish,
    is_mgimm_folder,
    load_adapter,
    load_tokenizer,
    load_weights,
)
from mgimm_plugin.model.lora import add_lora, without_lora
from mgimm_plugin.model.partitioned import is_split, shape_of
from mgimm_plugin.model.paths import local_folder, resolve_folder
from mgimm_plugin.region_settings import RegionSettings
from mgimm_plugin.train.arguments import (
    DataArguments,
    ModelArguments,
    TrainingArguments,
    differences,
    refuse_conflicts,
)

logger = logging.getLogger(__name__)


class StartingPoint(NamedTuple):
    """What a stage starts from, before any weights are read."""

    folder: str
    """Folder or Hub id, as it was found: where tokenizer and, of an adapter, projector and region encoder are."""
    weights: str
    """Folder or Hub id of the language model's weights: ``folder`` itself, or the base of an adapter."""
    kind: CheckpointKind | None
    """Of a checkpoint of ours; None is a bare language model or a LLaVA checkpoint."""
    config: PretrainedConfig
    """Of the model that will be trained, its tower's place found."""


def starting_point(model_args: ModelArguments, data_args: DataArguments) -> StartingPoint:
    """Find where a stage starts, and what its model will be.

    Args:
        model_args: A bare LLM, a LLaVA checkpoint, or a checkpoint of ours, and what is asked of it.
        data_args: The frame of the images.

    Raises:
        CheckpointError: The starting point does not fit.
    """
    source = resolve_folder(model_args.model_name_or_path)
    if is_mgimm_folder(source):
        return _from_checkpoint(local_folder(source), model_args, data_args)
    config = multimodal_config(
        source,
        model_args.vision_settings(data_args.image_aspect_ratio, source),
        model_args.region_settings(),
        template=model_args.version,
    )
    return StartingPoint(source, source, None, config)


def _from_checkpoint(folder: Path, model_args: ModelArguments, data_args: DataArguments) -> StartingPoint:
    """Go on from a checkpoint of ours, whose own config holds; only its tower's place may be given anew."""
    kind = checkpoint_kind(folder)
    if kind is CheckpointKind.LORA:
        raise CheckpointError(f"{folder}: is a LoRA checkpoint; merge it first (mgimm merge-lora) to train on from it")
    config = load_config(str(folder), tower=model_args.vision_tower)
    regions, vision = RegionSettings.of(config), model_args.given(VisionSettings)
    if data_args.image_aspect_ratio is not None:
        vision["image_aspect_ratio"] = data_args.image_aspect_ratio
    conflicts = regions.conflicts_with(replace(regions, **model_args.given(RegionSettings)))
    refuse_conflicts(folder, [*conflicts, *differences(config.to_dict(), vision)])
    if model_args.version:
        config.mm_conversation_template = model_args.version
    weights = str(folder) if kind is CheckpointKind.FULL else base_of(folder, config)
    return StartingPoint(str(folder), weights, kind, config)


def build_model(
    model_args: ModelArguments,
    data_args: DataArguments,
    args: TrainingArguments,
    start: StartingPoint | None = None,
) -> tuple[Any, Any]:
    """Load the starting point of a stage and prepare it for training.

    Args:
        model_args: Where to start: a bare LLM, a LLaVA checkpoint, or a checkpoint of ours.
        data_args: The frame of the images.
        args: Stage, LoRA, precision.
        start: What ``starting_point`` made of these, where it has been asked already.

    Returns:
        The model (in a ``PeftModel`` where LoRA is trained) and its tokenizer.

    Raises:
        CheckpointError: The starting point does not fit.
    """
    start = start or starting_point(model_args, data_args)
    model = load_weights(start.weights, start.config, dtype=args.compute_dtype())
    if start.kind is CheckpointKind.ADAPTER:
        load_adapter(model, Path(start.folder))
    tokenizer = load_tokenizer(start.folder, start.weights)
    if model_args.pretrain_mm_mlp_adapter:
        load_pretrained_adapter(model, resolve_folder(model_args.pretrain_mm_mlp_adapter))
    device = None if is_deepspeed_zero3_enabled() else args.device
    finish(model, tokenizer, device=device, dtype=None if is_deepspeed_zero3_enabled() else args.compute_dtype())
    model.config.use_cache = False
    model.config.tokenizer_padding_side = "right"
    return set_trainable(model, args), tokenizer


def load_pretrained_adapter(model: Any, path: str) -> None:
    """Start projector (and region encoder) from an earlier stage.

    Args:
        model: The model, without LoRA.
        path: LLaVA's ``mm_projector.bin``, our ``mgimm_adapter.safetensors``, or a folder with one of them.

    Raises:
        CheckpointError: There is none, or its tensors do not fit.
    """
    file = Path(path)
    if file.is_dir():
        candidates = [file / ADAPTER_FILE, file / "mm_projector.bin"]
        file = next((candidate for candidate in candidates if candidate.is_file()), candidates[0])
    if file.suffix == ".safetensors":
        if (file.parent / "config.json").is_file():
            has = RegionSettings.of(SimpleNamespace(**read_config_dict(str(file.parent))))
            if conflicts := has.conflicts_with(RegionSettings.of(model.config)):
                raise CheckpointError(f"{file.parent}: has {'; '.join(conflicts)}")
        copy_into(file, adapter_tensors(model), read_tensors(file))
        return
    if not file.is_file():
        raise CheckpointError(
            f"{file}: no such file; give mm_projector.bin, {ADAPTER_FILE}, or a folder with one of them"
        )
    loaded = read_tensors(file)
    values = {name[name.index("mm_projector") :]: tensor for name, tensor in loaded.items() if "mm_projector" in name}
    targets = {f"mm_projector.{name}": tensor for name, tensor in model.get_model().mm_projector.named_parameters()}
    copy_into(file, targets, values)


def set_trainable(model: Any, args: TrainingArguments) -> Any:
    """Freeze and free parameters for the stage; returns the model, wrapped where LoRA is used.

    Region stage: region encoder and projector (not with ``--freeze_mm_mlp_adapter``). Image stage: these, and LoRA on
    the LLM's layers or the whole LLM. The vision tower is never trained.
    """
    model.requires_grad_(False)
    if args.stage == "image" and args.lora_enable:
        torch.manual_seed(args.seed)  # LoRA starts the same whatever was drawn while the model was loaded
        model = add_lora(
            model,
            r=args.lora_r,
            alpha=args.lora_alpha,
            dropout=args.lora_dropout,
            seed=args.seed,
        )
    base = without_lora(model)
    decoder = base.get_model()
    if args.stage == "image" and not args.lora_enable:
        base.requires_grad_(True)
        base.get_vision_tower().requires_grad_(False)
    decoder.mm_projector.requires_grad_(not args.freeze_mm_mlp_adapter)
    decoder.region_encoder.requires_grad_(True)
    choose_dtype_of_trained(model, args)
    trained = sum(shape_of(parameter).numel() for parameter in model.parameters() if parameter.requires_grad)
    total = sum(shape_of(parameter).numel() for parameter in model.parameters())
    logger.info("%s stage: %s of %s parameters are trained", args.stage, f"{trained:,}", f"{total:,}")
    return model


def choose_dtype_of_trained(model: nn.Module, args: Any) -> None:
    """Make what is trained float32, as bfloat16 would round small updates away; for DeepSpeed, what all else is.

    DeepSpeed keeps float32 copies by itself, of weights that are all of one precision.
    """
    dtype = args.compute_dtype() if args.deepspeed else torch.float32
    for parameter in model.parameters():
        if parameter.requires_grad and not is_split(parameter):  # what is split was made in that precision
            parameter.data = parameter.data.to(dtype)


def stage_kind(model: nn.Module, args: TrainingArguments) -> CheckpointKind:
    """The kind of checkpoint that a stage writes."""
    if args.stage == "region":
        return CheckpointKind.ADAPTER
    return CheckpointKind.LORA if args.lora_enable else CheckpointKind.FULL


__all__ = [
    "StartingPoint",
    "build_model",
    "choose_dtype_of_trained",
    "load_pretrained_adapter",
    "set_trainable",
    "stage_kind",
    "starting_point",
]
