"""The command line of a training: read, and refused before anything is loaded where it cannot be meant."""

from __future__ import annotations

import sys
from argparse import Action, ArgumentDefaultsHelpFormatter
from collections.abc import Iterable, Sequence

import torch
from transformers import HfArgumentParser, IntervalStrategy

from mgimm_plugin.errors import MgimmError
from mgimm_plugin.train.arguments import STAGES, DataArguments, ModelArguments, TrainingArguments
from mgimm_plugin.train.launching import several_gpus


class _OursFirst(ArgumentDefaultsHelpFormatter):
    """Puts the flags that are declared here before LLaVA's and the many of transformers."""

    def add_arguments(self, actions: Iterable[Action]) -> None:
        """Take ``--help`` and ours first, the others in their order."""
        ours = {"help"}.union(*(vars(kind)["__annotations__"] for kind in _KINDS))
        super().add_arguments(sorted(actions, key=lambda action: action.dest not in ours))


_KINDS = (ModelArguments, DataArguments, TrainingArguments)
_USAGE = (
    "%(prog)s --stage {region,image} --model_name_or_path MODEL --data_path FILE [FILE ...] --output_dir DIR\n"
    "       [--FLAG VALUE ...]; --help lists all flags"
)


def parse_arguments(argv: Sequence[str] | None = None) -> tuple[ModelArguments, DataArguments, TrainingArguments]:
    """Read the command line.

    Raises:
        MgimmError: Settings that contradict each other, or that this plugin does not have.
    """
    parser = HfArgumentParser(
        _KINDS,  # type: ignore[arg-type]
        prog="python -m mgimm_plugin.train",
        usage=_USAGE,
        formatter_class=_OursFirst,
    )
    try:
        model, data, training, unknown = parser.parse_args_into_dataclasses(
            list(argv) if argv is not None else sys.argv[1:], return_remaining_strings=True
        )
    except ValueError as error:  # how transformers says that two of its settings contradict each other
        raise MgimmError(str(error)) from error
    if unknown:
        raise MgimmError(f"unknown flags or values: {' '.join(unknown)}; python -m mgimm_plugin.train --help lists all")
    check_arguments(model, data, training)
    return model, data, training


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
        several_gpus(training.n_gpu): training.n_gpu > 1,
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
