"""LLaVA's training under DeepSpeed: saving without CUDA, and a process group before the model.

Changes: ``safe_save_model_for_hf_trainer`` and ``TrainingArguments.__post_init__`` of ``llava.train.train``.
Necessary since: the saver calls ``torch.cuda.synchronize()`` whenever DeepSpeed is on, which raises on a host without
CUDA, after all the training. And ``train()`` creates the model before anything has started the process group (today's
``TrainingArguments`` do so when their ``device`` is first read): under ZeRO-3 ``from_pretrained`` then partitions for a
world of one, and stops with "train_batch_size is not equal to ...".
No longer needed when: LLaVA synchronizes through the accelerator, and ``TrainingArguments`` start the process group
when they are created, as they did in transformers 4.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from mgimm_patches._hooks import rebind
from mgimm_patches._patch import Patch


def _save_on_any_device(train: ModuleType) -> bool:
    original = train.safe_save_model_for_hf_trainer

    def safe_save_model_for_hf_trainer(trainer: Any, output_dir: str) -> None:
        """LLaVA's; under DeepSpeed without CUDA there is nothing to wait for before saving."""
        import torch

        only_projector = getattr(trainer.args, "tune_mm_mlp_adapter", False)
        if trainer.args.deepspeed and not only_projector and not torch.cuda.is_available():
            trainer.save_model(output_dir)
        else:
            original(trainer, output_dir)

    train.safe_save_model_for_hf_trainer = safe_save_model_for_hf_trainer  # type: ignore[attr-defined]
    rebind(original, safe_save_model_for_hf_trainer)
    return True


def _start_process_group(arguments: Any) -> None:
    _ = arguments.device  # reading it starts torch's process group; with --use_cpu DeepSpeed does not hear of it
    import deepspeed
    import torch

    if torch.distributed.is_initialized() and not deepspeed.comm.is_initialized():
        deepspeed.init_distributed()


def _start_process_group_first(train: ModuleType) -> bool:
    arguments_class = train.TrainingArguments
    if "__post_init__" in vars(arguments_class):
        return False
    inherited = arguments_class.__post_init__

    def __post_init__(self: Any) -> None:
        if self.deepspeed:
            _start_process_group(self)
        inherited(self)

    arguments_class.__post_init__ = __post_init__
    return True


PATCHES = (
    Patch(
        name="deepspeed-saving",
        target="llava.train.train",
        reason="LLaVA waits for CUDA before saving under DeepSpeed, also where there is none",
        obsolete_when="LLaVA synchronizes through the accelerator",
        change=_save_on_any_device,
    ),
    Patch(
        name="deepspeed-process-group",
        target="llava.train.train",
        reason="today's TrainingArguments start the process group late; ZeRO-3 then creates the model for one rank",
        obsolete_when="TrainingArguments start the process group when they are created",
        change=_start_process_group_first,
    ),
)
