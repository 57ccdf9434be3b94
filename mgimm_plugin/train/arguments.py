"""Settings of a training run: LLaVA's flags under LLaVA's names, and ours beside them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from llava.train import train as llava_train

from mgimm_plugin.constants import DEFAULT_MAX_PIXELS
from mgimm_plugin.errors import CheckpointError, MgimmError, MissingExtraError
from mgimm_plugin.model.config import VisionSettings, read_config_dict
from mgimm_plugin.model.paths import resolve_folder
from mgimm_plugin.region_settings import RegionSettings
from mgimm_plugin.train.launching import be_the_only_rank, refuse_fsdp, refuse_unusable_gpus

STAGES = ("region", "image")
_REGIONS = RegionSettings()
"""What a new model has where nothing is said."""


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
    mm_vision_select_layer: int | None = field(
        default=None, metadata={"help": "Layer of the tower that is seen; -2 for a new model."}
    )
    mm_vision_select_feature: str | None = field(default=None, metadata={"help": "patch, the only one that is taken."})
    mm_patch_merge_type: str | None = field(
        default=None,
        metadata={"help": "Layout of the views of anyres: flat (for a new model), spatial or spatial_unpad."},
    )
    mm_projector_type: str | None = field(
        default=None, metadata={"help": "mlp2x_gelu (for a new model), linear or identity."}
    )
    mm_use_im_patch_token: bool = field(default=False, metadata={"help": "Of older LLaVA models; refused."})
    pretrain_mm_mlp_adapter: str | None = field(
        default=None,
        metadata={"help": "LLaVA's mm_projector.bin, or a region-stage checkpoint: projector (and RIM) start from it."},
    )
    mm_region_encoder: str | None = field(
        default=None, metadata={"help": "How regions come in: docs/architecture.md lists the ways."}
    )
    mm_region_depth: int | None = field(
        default=None, metadata={"help": f"RIM: layers; {_REGIONS.mm_region_depth} for a new model."}
    )
    mm_region_heads: int | None = field(
        default=None, metadata={"help": f"RIM: attention heads; {_REGIONS.mm_region_heads} for a new model."}
    )
    mm_region_mlp_dim: int | None = field(
        default=None, metadata={"help": f"RIM: width of its MLPs; {_REGIONS.mm_region_mlp_dim} for a new model."}
    )
    mm_region_tokens: int | None = field(default=None, metadata={"help": "Tokens a box: 1, 2 or 4."})
    mm_region_image_update: bool | None = field(
        default=None, metadata={"help": "RIM: let the image attend to the tokens."}
    )
    mm_region_fourier_scale: float | None = field(
        default=None, metadata={"help": "Standard deviation of the Fourier matrix."}
    )
    mm_region_seed: int | None = field(
        default=None, metadata={"help": f"RIM: seed of its weights; {_REGIONS.mm_region_seed} for a new model."}
    )

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
    image_folder: str | None = field(
        default=None, metadata={"help": "Where the paths of images start; the working directory by default."}
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
    lora_r: int = field(default=16, metadata={"help": "LoRA: rank."})
    lora_alpha: int = field(default=256, metadata={"help": "LoRA: its output is scaled by lora_alpha / lora_r."})
    lora_dropout: float = field(default=0.05, metadata={"help": "LoRA: dropout before its weights."})
    lora_bias: str = field(default="none", metadata={"help": "LoRA: none, as a checkpoint holds no biases."})
    lora_weight_path: str = field(default="", metadata={"help": "Not read: a LoRA checkpoint is merged first."})
    mm_projector_lr: float | None = field(
        default=None, metadata={"help": "Learning rate of the projector; --learning_rate if not given."}
    )
    mm_region_lr: float | None = field(
        default=None, metadata={"help": "Learning rate of the RIM; --learning_rate if not given."}
    )
    group_by_image: bool = field(
        default=False, metadata={"help": "Records of one image in one batch: it is opened and encoded once."}
    )
    group_by_modality_length: bool = field(
        default=False, metadata={"help": "Records of like length and kind in one batch; excludes --group_by_image."}
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
        refuse_unusable_gpus(self.use_cpu)  # type: ignore[has-type]  # LLaVA has no types
        if self.deepspeed and importlib.util.find_spec("deepspeed") is None:
            raise MissingExtraError("deepspeed", "train", "--deepspeed")
        if self.deepspeed and "LOCAL_RANK" not in os.environ:
            be_the_only_rank()
        if not torch.accelerator.is_available():
            self.use_cpu = True  # else processes that torchrun starts would each train by itself
        super().__post_init__()

    def compute_dtype(self) -> torch.dtype:
        """Precision of frozen weights; what is trained is kept in float32."""
        return torch.bfloat16 if self.bf16 else torch.float16 if self.fp16 else torch.float32
