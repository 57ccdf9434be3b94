"""Load a checkpoint of any of the three kinds into one model, checked tensor by tensor."""

from __future__ import annotations

import logging
import threading
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer, GenerationConfig, PretrainedConfig

import mgimm_plugin
from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.config import TUNED_TOWER, is_llava_type, load_config, read_config_dict
from mgimm_plugin.model.devices import default_dtype, usable_device
from mgimm_plugin.model.families import FAMILIES, family_of
from mgimm_plugin.model.folders import ADAPTER_FILE, LORA_CONFIG, LORA_FILE, CheckpointKind, checkpoint_kind
from mgimm_plugin.model.keys import (
    ADAPTER_PREFIXES,
    adapter_tensors,
    compare_keys,
    compare_tensors,
    copy_into,
    quiet_loading,
    read_tensors,
)
from mgimm_plugin.model.paths import local_folder, named_folder, resolve_folder
from mgimm_plugin.model.placement import embedding_device, keep_parts_together, sparing_parts
from mgimm_plugin.model.regions.box_encoder import BoxEncoder
from mgimm_plugin.model.tower import load_tuned_tower

logger = logging.getLogger(__name__)

DEFAULT_CONTEXT = 2048

_one_at_a_time = threading.Lock()
"""transformers changes torch, and its own settings, while it loads a model."""


class LoadedModel(NamedTuple):
    """LLaVA's 4-tuple."""

    tokenizer: Any
    model: Any
    image_processor: Any
    context_len: int


def is_mgimm_folder(path: str | Path) -> bool:
    """Is this folder or Hub id a checkpoint of ours."""
    try:
        return str(read_config_dict(resolve_folder(str(path))).get("model_type", "")).startswith("mgimm_")
    except CheckpointError:
        return False


def load_model(
    path: str | Path,
    base: str | Path | None = None,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    device_map: Any = None,
    quantization_config: Any = None,
    attn_implementation: str | None = None,
    merge: bool = True,
) -> LoadedModel:
    """Load an adapter, LoRA or full checkpoint; one of LLaVA's own becomes a model that takes no regions.

    Args:
        path: Folder or Hub id.
        base: The language model under an adapter or LoRA; by default the one that its config names.
        device: Where the model goes; CUDA when there is one, else CPU.
        dtype: Of the weights; float32 on CPU, bfloat16 on CUDA, float16 on GPUs before Ampere. Boxes are encoded in
            float32 all the same.
        device_map: For accelerate's placement; then ``device`` is not used.
        quantization_config: As in transformers, for the language model; LoRA weights are then kept apart, not merged.
        attn_implementation: As in transformers.
        merge: Merge LoRA weights into the model; False leaves a ``PeftModel``.

    Returns:
        Tokenizer, model in evaluation mode, image processor, context length.

    Raises:
        CheckpointError: The folder is of no known kind or half-written, or a tensor is missing, unexpected or of
            another shape.
        MgimmError: There is no such device here.
    """
    mgimm_plugin.register()
    device = usable_device(device)
    dtype = dtype or default_dtype(device)
    folder = local_folder(str(path))
    kind = checkpoint_kind(folder)
    config = load_config(str(folder))
    options = {"dtype": dtype, "attn_implementation": attn_implementation}
    options["quantization_config"] = sparing_parts(quantization_config)
    if device_map is not None:
        options["device_map"] = device_map
    source = str(folder) if kind is CheckpointKind.FULL else base_of(folder, config, base)
    with _one_at_a_time:
        model = load_weights(source, config, **options)
        if device_map is not None:
            keep_parts_together(model)
        if kind is not CheckpointKind.FULL:
            load_adapter(model, folder)
        tokenizer = load_tokenizer(folder, source)
        model = finish(model, tokenizer, device=None if device_map is not None else device, dtype=dtype)
        if getattr(config, TUNED_TOWER, False):
            load_tuned_tower(model.get_vision_tower(), folder)
        image_processor = model.get_vision_tower().image_processor
        if kind is CheckpointKind.LORA:
            model = load_lora(model, folder)
            if merge and quantization_config is None:
                model = model.merge_and_unload()
    model.eval()
    return LoadedModel(tokenizer, model, image_processor, context_length(config))


def base_of(folder: Path, config: PretrainedConfig, base: str | Path | None = None) -> str:
    """The language model an adapter was trained on: as given, or as the config says, relative to the folder first.

    Raises:
        CheckpointError: The config does not say.
    """
    if base is not None:
        return resolve_folder(str(base))
    named = getattr(config, "mm_base_model", None)
    if not named:
        raise CheckpointError(f"{folder}: config.json names no mm_base_model; pass the base language model")
    return named_folder(named, folder, "base language model")


def load_weights(source: str, config: PretrainedConfig, **options: Any) -> Any:
    """Load a language model, a LLaVA or an MGIMM folder as the binding of ``config``.

    Only projector and region encoder may be missing, when ``source`` has none (a LLaVA folder has a projector); they
    are then as the seed makes them.

    Raises:
        CheckpointError: Anything else is missing or unexpected, a file is cut short, or ``source`` has a tower of its
            own, which ``config`` does not take over.
    """
    base = read_config_dict(source)
    if base.get(TUNED_TOWER) and not getattr(config, TUNED_TOWER, False):
        raise CheckpointError(
            f"{source}: its vision tower was tuned ({TUNED_TOWER}), which no checkpoint of ours holds: it can be "
            "asked, but not be started from; start from one with a frozen tower, such as LLaVA-1.5"
        )
    model_class: Any = family_of(config.model_type).model_class
    options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}  # reported, and refused below
    try:
        with quiet_loading():
            model, report = model_class.from_pretrained(source, config=config, **options)
    except (SafetensorError, EOFError) as error:
        raise CheckpointError(f"{source}: a weight file is not readable, probably cut short: {error}") from error
    except UnpicklingError as error:
        raise CheckpointError(f"{source}: a .bin file holds something else than tensors; it was not read") from error
    except OSError as error:
        raise CheckpointError(f"{source}: {error}") from error
    missing = set(report["missing_keys"])
    names = set(model.state_dict())
    model_type = base.get("model_type", "")
    if not model_type.startswith("mgimm_"):
        may_lack = ADAPTER_PREFIXES[1:] if is_llava_type(model_type) else ADAPTER_PREFIXES
        for prefix in may_lack:  # a bare model has no projector, a LLaVA model one; half a part is an error
            part = {name for name in names if name.startswith(prefix)}
            if part <= missing:
                names -= part
    compare_keys(source, names, (names - missing) | set(report["unexpected_keys"]))
    if report["mismatched_keys"]:
        raise CheckpointError(f"{source}: shapes differ from the config's: {sorted(report['mismatched_keys'])[:3]}")
    model.config.mm_base_model = source
    for module in model.modules():
        if isinstance(module, BoxEncoder):
            module.restore_precision()
    return model


def load_adapter(model: Any, folder: Path) -> None:
    """Copy projector and region encoder from a checkpoint folder into ``model``."""
    file = folder / ADAPTER_FILE
    copy_into(file, adapter_tensors(model), read_tensors(file))


def load_lora(model: Any, folder: Path) -> Any:
    """Put the folder's LoRA weights on ``model``; names and shapes are compared before PEFT sees them."""
    from peft import LoraConfig, PeftModel, get_peft_model_state_dict

    file = folder / LORA_FILE
    found = read_tensors(file)
    try:
        config = LoraConfig.from_pretrained(str(folder))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{folder / LORA_CONFIG}: not the settings of LoRA: {error}") from error
    with warnings.catch_warnings():
        # PEFT 0.21 asks for a name that transformers 5.23 has deprecated.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        wrapped = PeftModel(model, config)
    compare_tensors(file, get_peft_model_state_dict(wrapped, save_embedding_layers=False), found)
    # PEFT reads the file again: only this method of it also places the weights where the model is partly off the GPU.
    wrapped.load_adapter(str(folder), adapter_name="default")
    return wrapped


def load_tokenizer(folder: Path | str, fallback: str) -> Any:
    """The checkpoint's own tokenizer where it has one, else its base's."""
    names = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
    has_own = any((Path(folder) / name).is_file() for name in names)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder) if has_own else fallback)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder if has_own else fallback}: no usable tokenizer: {error}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def finish(model: Any, tokenizer: Any, *, device: torch.device | None, dtype: torch.dtype | None) -> Any:
    """Load the vision tower, move everything, and set what generation needs.

    ``device`` None leaves placement to accelerate, both None to DeepSpeed.

    Raises:
        CheckpointError: The vision tower cannot be read.
    """
    tower = model.get_vision_tower()
    tower.load_model()
    # The tower came after the weights; buffers of the box encoder keep float32 by themselves.
    if dtype is not None:
        tower.to(device=device or embedding_device(model), dtype=dtype)
    if device is not None:
        model.to(device)
    # Whatever a base's generation_config.json says of the search, as Vicuna's does, would come into ours.
    model.generation_config = GenerationConfig()
    for name in ("pad_token_id", "eos_token_id", "bos_token_id"):
        setattr(model.config, name, getattr(tokenizer, name))
        setattr(model.generation_config, name, getattr(tokenizer, name))
    return model


def context_length(config: PretrainedConfig) -> int:
    """Positions that the language model has."""
    return int(getattr(config, "max_position_embeddings", None) or DEFAULT_CONTEXT)


__all__ = ["FAMILIES", "LoadedModel", "is_mgimm_folder", "load_model"]
