"""Write checkpoints of the three kinds, each describing itself.

Every rank calls these functions, since under ZeRO-3 a tensor is whole only while all ranks gather it; rank 0 writes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.distributed as dist
from huggingface_hub import split_state_dict_into_shards_factory
from safetensors.torch import save_file
from torch import Tensor
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

from mgimm_plugin.model.folders import ADAPTER_FILE, LORA_FILE, CheckpointKind, partial_name, publish, start_partial
from mgimm_plugin.model.keys import VISION_PREFIX, adapter_tensors
from mgimm_plugin.model.lora import without_lora
from mgimm_plugin.model.partitioned import shape_of, whole
from mgimm_plugin.model.paths import portable_name

WEIGHTS_PATTERN = "model{suffix}.safetensors"
SHARD_BYTES = 2_000_000_000
"""Largest weight file of a whole model, and so the most memory that saving it takes."""


def save_checkpoint(model: Any, tokenizer: Any, target: Path, kind: CheckpointKind) -> None:
    """Write a whole checkpoint folder atomically; the arguments are ``write_checkpoint``'s. All ranks call it."""
    if is_first_rank():
        start_partial(target)
    barrier()
    write_checkpoint(model, tokenizer, partial_name(target), kind, target)
    barrier()
    if is_first_rank():
        publish(target)
    barrier()


def write_checkpoint(model: Any, tokenizer: Any, folder: Path, kind: CheckpointKind, target: Path) -> None:
    """Write weights, config and tokenizer into ``folder``, which will be ``target`` in the end.

    Args:
        model: The model, in a PEFT wrapper for the LoRA kind.
        tokenizer: Saved beside full checkpoints and adapters alike, so that a folder answers for its own tokens.
        folder: Where to write.
        kind: What to write.
        target: Where names of local bases are relative to.
    """
    first = is_first_rank()
    base = without_lora(model)
    if kind is CheckpointKind.FULL:
        _write_whole_model(base, folder, keep=first)
    else:
        adapter = gather(adapter_tensors(base), keep=first)
        if first:
            save_file(adapter, folder / ADAPTER_FILE, metadata={"format": "pt"})
    if kind is CheckpointKind.LORA:
        _write_lora(model, folder, target, keep=first)
    if first:
        portable_config(base.config, target, kind).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def portable_config(config: Any, target: Path, kind: CheckpointKind) -> Any:
    """A copy of ``config`` whose local folders are named relative to ``target``."""
    config = copy.deepcopy(config)
    config.mm_vision_tower = portable_name(config.mm_vision_tower, target)
    config.mm_base_model = None if kind is CheckpointKind.FULL else portable_name(config.mm_base_model, target)
    config.architectures = None if kind is not CheckpointKind.FULL else config.architectures
    config.use_cache = True
    if config.pad_token_id == config.eos_token_id:
        config.pad_token_id = None  # an embedding's padding row gets no gradient, and the end token has to be learned
    return config


def _write_whole_model(model: Any, folder: Path, *, keep: bool) -> None:
    """As ``save_pretrained`` does, but file by file: no rank ever holds a copy of more than one file."""
    own = {name: t for name, t in model.state_dict(keep_vars=True).items() if not name.startswith(VISION_PREFIX)}
    for name, source in model.all_tied_weights_keys.items():
        if name in own and own[name] is own.get(source):
            del own[name]
    split = split_state_dict_into_shards_factory(
        own,
        get_storage_size=lambda tensor: shape_of(tensor).numel() * tensor.element_size(),
        filename_pattern=WEIGHTS_PATTERN,
        max_shard_size=SHARD_BYTES,
    )
    for file, names in split.filename_to_tensors.items():
        weights = gather({name: own[name] for name in names}, keep=keep)
        if keep:
            save_file(weights, folder / file, metadata={"format": "pt"})
        del weights
    if keep:
        if split.is_sharded:
            index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
            (folder / SAFE_WEIGHTS_INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        model.generation_config.save_pretrained(folder)
    model.config.architectures = [type(model).__name__]
    model.config.dtype = str(model.dtype).removeprefix("torch.")


def _write_lora(model: Any, folder: Path, target: Path, *, keep: bool) -> None:
    from peft import get_peft_model_state_dict

    lora = {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if "lora_" in name}
    state = gather(lora, keep=keep)
    if keep:
        save_file(
            get_peft_model_state_dict(model, state_dict=state, save_embedding_layers=False),
            folder / LORA_FILE,
            metadata={"format": "pt"},
        )
        config = copy.deepcopy(model.peft_config["default"])
        config.inference_mode = True
        config.base_model_name_or_path = portable_name(without_lora(model).config.mm_base_model, target)
        config.save_pretrained(folder)


def gather(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """CPU copies of tensors, each made whole where ZeRO-3 has split it. Ranks that do not keep them only take part."""
    copies: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        with whole(tensor):
            if keep:
                copies[name] = tensor.detach().cpu().contiguous().clone()
    return copies


def is_first_rank() -> bool:
    """True in a single process and on rank 0."""
    return not dist.is_initialized() or dist.get_rank() == 0


def barrier() -> None:
    """Wait for all ranks, where there are several."""
    if dist.is_initialized():
        dist.barrier()
