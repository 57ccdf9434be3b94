"""Loads LLaVA's own folders and plain language models: what ``loader`` dispatches to.

Every tensor is accounted for: a missing or an unexpected one is an error, with ``vision_tower.*`` as the one allowed
extra (LLaVA creates the tower later, from its own folder).
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import llava.model
import torch
from huggingface_hub import snapshot_download
from transformers import AutoModelForCausalLM

from mgimm_plugin.errors import CheckpointError, MgimmError
from mgimm_plugin.model.config import TUNED_TOWER
from mgimm_plugin.model.keys import compare_keys, copy_into, read_tensors
from mgimm_plugin.model.loading import load_tokenizer
from mgimm_plugin.model.paths import resolve_folder
from mgimm_plugin.model.tower import load_tuned_tower

CLASSES = {
    "llava": "LlavaLlamaForCausalLM",  # the name that LLaVA 1.0 to 1.5 wrote
    "llava_llama": "LlavaLlamaForCausalLM",
    "llava_mistral": "LlavaMistralForCausalLM",
    "llava_mpt": "LlavaMptForCausalLM",
}
IM_PATCH, IM_START, IM_END = "<im_patch>", "<im_start>", "<im_end>"
DEFAULT_CONTEXT = 2048


def local_folder(name: str) -> Path:
    """The folder on disk of a path or Hub id.

    Raises:
        CheckpointError: It is neither.
    """
    folder = Path(resolve_folder(name))
    if folder.is_dir():
        return folder
    try:
        return Path(snapshot_download(name))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name}: no such folder, and not to be had from the Hub: {error}") from error


def load_folder(folder: Path, base: str | None, options: dict[str, Any]) -> tuple[Any, Any, Any, int]:
    """Load a LLaVA folder (full, LoRA, projector only), a language model, or a language model's LoRA folder.

    Args:
        folder: Local checkpoint folder.
        base: Path or Hub id of the language model under a LoRA or projector folder; a LoRA folder names its own.
        options: For ``from_pretrained``: ``dtype``, ``device_map``, ``attn_implementation``, ``quantization_config``.

    Returns:
        LLaVA's tokenizer, model, image processor (None for a language model) and context length.

    Raises:
        CheckpointError: The folder is of no known kind, or a tensor is missing, unexpected or of another shape.
    """
    settings = _read_json(folder / "config.json")
    is_lora = (folder / "adapter_config.json").is_file()
    source = str(folder)
    if is_lora or (folder / "mm_projector.bin").is_file():
        source = _base_of(folder, base)
    kind = str(settings.get("model_type", ""))
    if kind not in CLASSES:
        model, _ = _weights(AutoModelForCausalLM, source, options)
        model = _merge_lora(model, folder) if is_lora else model
        return load_tokenizer(folder, source), model, None, _context(model.config)
    if "mm_hidden_size" not in settings:
        raise CheckpointError(
            f"{folder}: model_type is {kind!r} but there is no mm_hidden_size: this is transformers' own LLaVA format; "
            "load it with transformers, or use the original checkpoint (such as liuhaotian/llava-v1.5-7b)"
        )
    model = _multimodal(folder, source, kind, settings, options)
    model = _merge_lora(model, folder) if is_lora else model
    tokenizer = load_tokenizer(folder, source)
    _add_image_tokens(model, tokenizer)
    tuned = local_folder(source) if settings.get(TUNED_TOWER) else None
    return tokenizer, model, _load_tower(model, tuned), _context(model.config)


def _multimodal(folder: Path, source: str, kind: str, settings: dict[str, Any], options: dict[str, Any]) -> Any:
    model_class = getattr(llava.model, CLASSES[kind])
    config = model_class.config_class.from_dict({**settings, "model_type": model_class.config_class.model_type})
    config.mm_vision_tower = resolve_folder(config.mm_vision_tower, relative_to=folder)
    model, absent = _weights(model_class, source, options, config=config)
    for file in (folder / "non_lora_trainables.bin", folder / "mm_projector.bin"):
        if source != str(folder) and file.is_file():
            found = {
                key.removeprefix("base_model.model."): tensor
                for key, tensor in read_tensors(file).items()
                if "vision_tower." not in key
            }
            state = model.state_dict(keep_vars=True)
            compare_keys(file, absent | (found.keys() & state.keys()), found)
            copy_into(file, {key: state[key] for key in found}, found)
            absent = set()
    if absent:
        raise CheckpointError(
            f"{folder}: tensors are missing from it and from {source}: {', '.join(sorted(absent)[:5])}"
        )
    return model


def _weights(model_class: Any, source: str, options: dict[str, Any], config: Any = None) -> tuple[Any, set[str]]:
    """Load ``source``; returns the model and the multimodal tensors that ``source`` does not have."""
    extra = {} if config is None else {"config": config}
    try:
        model, report = model_class.from_pretrained(source, output_loading_info=True, **extra, **options)
    except OSError as error:
        raise CheckpointError(f"{source}: {error}") from error
    if report["mismatched_keys"]:
        raise CheckpointError(f"{source}: shapes differ from the config's: {sorted(report['mismatched_keys'])[:3]}")
    missing = {key for key in report["missing_keys"] if "vision_tower." not in key}
    absent = {key for key in missing if key.startswith(("model.mm_projector.", "model.image_newline"))}
    compare_keys(source, missing - absent, report["unexpected_keys"])
    return model, absent


def _merge_lora(model: Any, folder: Path) -> Any:
    """Add a PEFT folder's matrices to the weights. Before the tower exists: LLaVA's targets match its layers, too."""
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict

    files = [folder / name for name in ("adapter_model.safetensors", "adapter_model.bin") if (folder / name).is_file()]
    if not files:
        raise CheckpointError(f"{folder}: has adapter_config.json but no adapter_model.safetensors or .bin")
    found = read_tensors(files[0])
    wrapped = PeftModel(model, PeftConfig.from_pretrained(str(folder)))
    compare_keys(files[0], get_peft_model_state_dict(wrapped), found)
    wrapped.load_adapter(str(folder), adapter_name="default")
    return wrapped.merge_and_unload()


def _add_image_tokens(model: Any, tokenizer: Any) -> None:
    """The tokens LLaVA adds by its config; the embedding grows where it has no row for them, and never shrinks."""
    tokens = [IM_PATCH] if getattr(model.config, "mm_use_im_patch_token", True) else []
    if getattr(model.config, "mm_use_im_start_end", False):
        tokens += [IM_START, IM_END]
    tokenizer.add_tokens(tokens, special_tokens=True)
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)


def _load_tower(model: Any, tuned: Path | None) -> Any:
    tower = model.get_vision_tower()
    tower.load_model()
    if tuned is not None:
        load_tuned_tower(tower, tuned)
    tower.to(device=model.device, dtype=model.dtype)
    return tower.image_processor


def _base_of(folder: Path, base: str | None) -> str:
    if base is not None:
        return resolve_folder(base)
    named = _read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    if not named:
        raise CheckpointError(f"{folder}: holds no language model and names none; pass it with --model-base")
    return resolve_folder(named, relative_to=folder)


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise CheckpointError(f"{file}: is not JSON: {error}") from error


def _context(config: Any) -> int:
    return int(getattr(config, "max_sequence_length", None) or DEFAULT_CONTEXT)


def quantization(load_8bit: bool, load_4bit: bool) -> Any:
    """The quantization settings behind LLaVA's two flags, or None.

    Raises:
        MgimmError: bitsandbytes is not installed.
    """
    if not (load_8bit or load_4bit):
        return None
    if find_spec("bitsandbytes") is None:
        raise MgimmError("--load-8bit and --load-4bit need bitsandbytes: pip install bitsandbytes")
    from transformers import BitsAndBytesConfig

    if load_8bit:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_compute_dtype=torch.float16,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_quant_type="nf4",
    )
