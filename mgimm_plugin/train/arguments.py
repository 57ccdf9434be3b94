"""Settings of a training run: LLaVA's flags under LLaVA's names, and ours beside them."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from llava.train import train as llava_train
from transformers import HfArgumentParser, IntervalStrategy

from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.errors import CheckpointError, MgimmError, MissingExtraError
from mgimm_plugin.model.config import VisionSettings, read_config_dict
from mgimm_plugin.model.paths import resolve_folder
from mgimm_plugin.region_settings import RegionSettings

STAGES = ("region", "image")


@dataclass
class ModelArguments(llava_train.ModelArguments):
    """Which model to start from, and what it is made of."""

    model_name_or_path: str = field(
        default="",
        metadata={"help": "Bare LLM, LLaVA-1.5 checkpoint, or a checkpoint of an earlier stage: folder or Hub id."},
    )
    version: str | None = field(
        default=None, metadata={"help": "Conversation template; the LLM family's own by default."}
    )
    vision_tower: str | None = field(
        default=None, metadata={"help": "CLIP folder or Hub id; a checkpoint's own by default."}
    )
    # None is "not said": a checkpoint brings its own, for other models VisionSettings and RegionSettings have defaults.
    mm_vision_select_layer: int | None = field(default=None)
    mm_vision_select_feature: str | None = field(default=None)
    mm_patch_merge_type: str | None = field(default=None)
    mm_projector_type: str | None = field(default=None)
    mm_use_im_patch_token: bool = field(default=False)
    pretrain_mm_mlp_adapter: str | None = field(
        default=None,
        metadata={"help": "LLaVA's mm_projector.bin, or a region-stage checkpoint: projector (and RIM) start from it."},
    )
    mm_region_encoder: str | None = field(
        default=None, metadata={"help": "How regions come in: docs/architecture.md lists the ways."}
    )
    mm_region_depth: int | None = field(default=None)
    mm_region_heads: int | None = field(default=None)
    mm_region_mlp_dim: int | None = field(default=None)
    mm_region_tokens: int | None = field(default=None, metadata={"help": "Tokens a box: 1, 2 or 4."})
    mm_region_image_update: bool | None = field(
        default=None, metadata={"help": "RIM: let the image attend to the tokens."}
    )
    mm_region_fourier_scale: float | None = field(
        default=None, metadata={"help": "Standard deviation of the Fourier matrix."}
    )
    mm_region_seed: int | None = field(default=None)

    def given(self, settings: type[VisionSettings | RegionSettings]) -> dict[str, Any]:
        """Those of the settings that the command line names; the tower's place is not one."""
        names = (name for name in settings.__dataclass_fields__ if name != "mm_vision_tower")
        return {name: value for name in names if (value := getattr(self, name, None)) is not None}

    def vision_settings(self, image_aspect_ratio: str | None, source: str) -> VisionSettings:
        """The vision side of the config.

        Args:
            image_aspect_ratio: How images are fitted into the tower's frame.
            source: Folder or Hub id of the model to start from. A LLaVA checkpoint's projector was trained for one
                layer of one tower, so what its config says of them holds; only the tower's place may be given anew.

        Raises:
            MgimmError: No tower is named anywhere, or what is asked for is not what the projector was trained for.
        """
        base = read_config_dict(source)
        tower = self.vision_tower
        if not tower and base.get("mm_vision_tower"):
            tower = resolve_folder(base["mm_vision_tower"], source)
        if not tower:
            raise MgimmError(
                "--vision_tower is needed: a CLIP folder or Hub id, such as openai/clip-vit-large-patch14-336"
            )
        values = self.given(VisionSettings)
        if base.get("mm_vision_tower"):
            names = ("mm_vision_select_layer", "mm_vision_select_feature", "mm_projector_type")
            trained = {name: base[name] for name in names if base.get(name) is not None}
            refuse_conflicts(source, differences(trained, values))
            values |= trained
        if image_aspect_ratio is not None:
            values["image_aspect_ratio"] = image_aspect_ratio
        return VisionSettings(mm_vision_tower=tower, **values)

    def region_settings(self) -> RegionSettings:
        """The region side of the config."""
        return RegionSettings(**self.given(RegionSettings))


def differences(has: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """``key value, not value`` for each setting that is asked for and differs."""
    return [f"{name} {has[name]}, not {value}" for name, value in asked.items() if name in has and has[name] != value]


def refuse_conflicts(source: object, conflicts: Sequence[str]) -> None:
    """Refuse flags that say otherwise than the model that a stage starts from.

    Raises:
        CheckpointError: There are such flags.
    """
    if conflicts:
        raise CheckpointError(f"{source}: has {'; '.join(conflicts)}: leave these flags out, its own settings hold")


@dataclass
class DataArguments(llava_train.DataArguments):
    """What to train on."""

    data_path: list[str] = field(
        default_factory=list,
        metadata={
            "nargs": "+",
            "help": "Record files; FILE@WEIGHT takes WEIGHT x its records an epoch (0.5: another half each time).",
        },
    )
    eval_data_path: list[str] = field(
        default_factory=list,
        metadata={"nargs": "+", "help": "Record files for the evaluation loss; keeps the best checkpoint."},
    )
    image_aspect_ratio: str | None = field(
        default=None,
        metadata={"help": "pad (default), resize, square (LLaVA's) or anyres; a checkpoint brings its own."},
    )
    region_data_path: list[str] = field(
        default_factory=list, metadata={"nargs": "+", "help": "Region records replayed in the image stage."}
    )
    region_replay: float = field(
        default=0.25, metadata={"help": "Share of the items that are replayed region records."}
    )
    region_subsets: bool = field(
        default=True, metadata={"help": "Image stage: show a random subset of an image's regions, in random order."}
    )
    on_error: str = field(
        default="raise", metadata={"help": "raise, or skip: list bad records in skipped.jsonl and go on."}
    )
    vision_feature_cache: str | None = field(
        default=None,
        metadata={"help": "Folder in which the tower's features of every image are kept, between runs and stages too."},
    )
    max_pixels: int = field(default=DEFAULT_MAX_PIXELS, metadata={"help": "Images with more pixels are refused."})


@dataclass
class TrainingArguments(llava_train.TrainingArguments):
    """How to train."""

    stage: str = field(default="region", metadata={"help": "region: RIM and projector, LLM frozen. image: LLM too."})
    lora_enable: bool = field(default=True, metadata={"help": "Image stage: LoRA (default), or the whole LLM."})
    lora_r: int = field(default=16)
    lora_alpha: int = field(default=256)
    mm_region_lr: float | None = field(
        default=None, metadata={"help": "Learning rate of the RIM; --learning_rate if not given."}
    )
    group_by_image: bool = field(
        default=False, metadata={"help": "Records of one image in one batch: it is opened and encoded once."}
    )
    report_to: list[str] = field(
        default_factory=lambda: ["tensorboard"],
        metadata={"help": "Where curves go; none, or another of transformers' reporters."},
    )
    # Every trained weight is used in every forward, whatever is in the batch, so that DDP need not search.
    ddp_find_unused_parameters: bool | None = field(default=False)
    # Buffers are constants (positions, the Fourier matrix): DDP has made them equal at the start.
    ddp_broadcast_buffers: bool | None = field(default=False)
    model_max_length: int = field(default=2048, metadata={"help": "Longest sequence, image and region tokens counted."})

    def __post_init__(self) -> None:
        refuse_fsdp(self.fsdp)  # and not in check_arguments: transformers would set up the process for it
        if self.deepspeed and importlib.util.find_spec("deepspeed") is None:
            raise MissingExtraError("deepspeed", "train", "--deepspeed")
        if self.deepspeed and "LOCAL_RANK" not in os.environ:
            _be_the_only_rank()
        if not torch.accelerator.is_available():
            self.use_cpu = True  # else processes that torchrun starts would each train by itself
        super().__post_init__()

    def compute_dtype(self) -> torch.dtype:
        """Precision of frozen weights; what is trained is kept in float32."""
        return torch.bfloat16 if self.bf16 else torch.float16 if self.fp16 else torch.float32


def refuse_fsdp(fsdp: object) -> None:
    """Refuse what no checkpoint could be written from."""
    if fsdp:
        raise MgimmError(
            "--fsdp cannot write our checkpoints; use --deepspeed scripts/zero2.json, or scripts/zero3.json for a "
            "model that one GPU does not hold"
        )


def _be_the_only_rank() -> None:
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


def parse_arguments(argv: Sequence[str] | None = None) -> tuple[ModelArguments, DataArguments, TrainingArguments]:
    """Read the command line.

    Raises:
        MgimmError: Settings that contradict each other, or that this plugin does not have.
    """
    parser = HfArgumentParser((ModelArguments, DataArguments, TrainingArguments))  # type: ignore[arg-type]
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
