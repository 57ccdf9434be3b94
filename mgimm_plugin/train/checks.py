"""Settings of a training run that cannot be meant, refused before anything is loaded."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import torch
from transformers import IntervalStrategy

from mgimm_plugin.errors import MgimmError

if TYPE_CHECKING:
    from mgimm_plugin.train.arguments import DataArguments, ModelArguments, TrainingArguments

STAGES = ("region", "image")


def refuse_fsdp(fsdp: object) -> None:
    """Refuse what no checkpoint could be written from."""
    if fsdp:
        raise MgimmError(
            "--fsdp cannot write our checkpoints; use --deepspeed scripts/zero2.json, or scripts/zero3.json for a "
            "model that one GPU does not hold"
        )


def be_the_only_rank() -> None:
    """Say what a launcher would say of one process: DeepSpeed asks MPI otherwise."""
    if torch.cuda.device_count() > 1:
        raise MgimmError(_several_gpus(torch.cuda.device_count()))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))


def _several_gpus(count: int) -> str:
    return (
        f"{count} GPUs are visible to one process: start one process each, with NPROC={count} before the script or "
        f"torchrun --nproc_per_node {count} -m mgimm_plugin.train, or choose one GPU with CUDA_VISIBLE_DEVICES=0"
    )


def check_arguments(model: ModelArguments, data: DataArguments, training: TrainingArguments) -> None:
    """Refuse what cannot be meant, before anything is loaded."""
    problems = {
        "--model_name_or_path is needed": not model.model_name_or_path,
        "--data_path is needed": not data.data_path,
        f"--stage is one of {', '.join(STAGES)}": training.stage not in STAGES,
        "--on_error is raise or skip": data.on_error not in ("raise", "skip"),
        "--region_replay is a share, from 0 up to but not including 1": not 0 <= data.region_replay < 1,
        "--mm_use_im_start_end and --mm_use_im_patch_token belong to older LLaVA models; leave them off": (
            model.mm_use_im_start_end or model.mm_use_im_patch_token
        ),
        "--lora_bias is none: a checkpoint holds no biases of the language model": training.lora_bias != "none",
        "--tune_mm_mlp_adapter and --freeze_backbone are for mgimm llava; here --stage region freezes the LLM": (
            model.tune_mm_mlp_adapter or model.freeze_backbone
        ),
        "--resume_from_checkpoint is not needed: the same command goes on from the last whole checkpoint by itself": (
            bool(training.resume_from_checkpoint)
        ),
        "--region_data_path is replayed in the image stage; the region stage reads it as --data_path": (
            training.stage == "region" and bool(data.region_data_path)
        ),
        "--eval_strategy and --save_strategy best need --eval_data_path": (
            not data.eval_data_path and (training.eval_strategy != "no" or training.save_strategy == "best")
        ),
        "--label_smoothing_factor is 0: a training step returns no logits to smooth": bool(
            training.label_smoothing_factor
        ),
        "--cache_dir is not read: HF_HUB_CACHE says where files of the Hub are kept": bool(training.cache_dir),
        "--lora_weight_path is not read: a LoRA checkpoint is merged first (mgimm merge-lora) to train on from it": (
            bool(training.lora_weight_path)
        ),
        "--bits 4 and 8 are for loading; training needs 16 (bf16, fp16) or float32 weights": training.bits != 16,
        "--group_by_image and --group_by_modality_length exclude each other": (
            training.group_by_image and training.group_by_modality_length
        ),
        _several_gpus(training.n_gpu): training.n_gpu > 1,
    }
    wrong = [text for text, is_wrong in problems.items() if is_wrong]
    if wrong:
        raise MgimmError("; ".join(wrong))
    if training.gradient_checkpointing and training.gradient_checkpointing_kwargs is None:
        training.gradient_checkpointing_kwargs = {"use_reentrant": False}
    training.dataloader_pin_memory = training.dataloader_pin_memory and torch.cuda.is_available()
    if data.eval_data_path:
        _keep_the_best(training)


def _keep_the_best(training: TrainingArguments) -> None:
    """Evaluate whenever a checkpoint is saved, where nothing else is said, and end with the best one."""
    saving = training.save_strategy
    if training.eval_strategy == "no":
        training.eval_strategy = IntervalStrategy("epoch" if saving == "best" else saving)
        training.eval_steps = training.eval_steps or training.save_steps
    if saving == "no":
        return
    differs = saving != "best" and training.eval_strategy != saving
    if differs or (saving == "steps" and training.save_steps % training.eval_steps):
        raise MgimmError(
            "checkpoints without an evaluation loss cannot be compared: leave --eval_strategy and --eval_steps out, or "
            "let --eval_strategy be --save_strategy and --eval_steps divide --save_steps"
        )
    training.load_best_model_at_end = True
    training.metric_for_best_model = training.metric_for_best_model or "loss"
    training.greater_is_better = False
