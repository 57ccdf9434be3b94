"""LLaVA's own ``train()`` on our models and records: ``mgimm llava train.train ...``.

LLaVA's program stays as it is; the names that it looks up in its module are ours: the model class (by
``config.model_type``), the data, the trainer, and how the result is saved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from llava.conversation import conv_templates
from llava.train import train as llava_train

from mgimm_plugin.data.collator import RegionCollator
from mgimm_plugin.data.dataset import InstructionDataset
from mgimm_plugin.data.region_input import RegionInput
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.model.config import TUNED_TOWER, load_config, read_config_dict
from mgimm_plugin.model.families import family_of
from mgimm_plugin.model.folders import CheckpointKind, checkpoint_kind, last_complete_checkpoint
from mgimm_plugin.model.loading import (
    base_of,
    context_length,
    is_mgimm_folder,
    load_adapter,
    load_weights,
)
from mgimm_plugin.model.lora import lora_target_pattern, without_lora
from mgimm_plugin.model.paths import local_folder, resolve_folder
from mgimm_plugin.model.saving import is_first_rank, save_checkpoint
from mgimm_plugin.train.arguments import differences, refuse_conflicts
from mgimm_plugin.train.building import choose_dtype_of_trained
from mgimm_plugin.train.inputs import parse_source
from mgimm_plugin.train.launching import refuse_fsdp, refuse_unusable_gpus
from mgimm_plugin.train.trainer import MgimmTrainer

_PICKLED_REST = "non_lora_trainables.bin"
_PROJECTOR_DEFAULTS = {
    name: getattr(llava_train.ModelArguments, name)
    for name in ("mm_vision_select_layer", "mm_vision_select_feature", "mm_projector_type", "mm_patch_merge_type")
}
"""What LLaVA means where a flag, or a key of a checkpoint's config, is left out."""
_DEFAULT_ASPECT_RATIO = llava_train.DataArguments.image_aspect_ratio


@dataclass
class LlavaModelArguments(llava_train.ModelArguments):
    """LLaVA's settings; a checkpoint to go on from brings its own tower, projector, layout of views and template."""

    version: str | None = field(default=None, metadata={"help": "Conversation template; the model's own by default."})
    vision_tower: str | None = field(default=None, metadata={"help": "CLIP folder or Hub id."})
    # None is "not said": a checkpoint brings its own, for a bare language model LLaVA has defaults.
    mm_vision_select_layer: int | None = field(default=None)
    mm_vision_select_feature: str | None = field(default=None)
    mm_projector_type: str | None = field(default=None)
    mm_patch_merge_type: str | None = field(default=None)
    mm_use_im_patch_token: bool = field(default=False)

    def __post_init__(self) -> None:
        if self.mm_use_im_patch_token or self.mm_use_im_start_end or self.version == "v0":
            raise MgimmError(
                "--mm_use_im_patch_token, --mm_use_im_start_end and --version v0 add tokens to the language model, "
                "which an adapter or a LoRA checkpoint does not hold; leave them off"
            )
        folder = resolve_folder(self.model_name_or_path or "")
        values = read_config_dict(folder)
        family = family_of(values.get("model_type", ""))
        self.version = self.version or values.get("mm_conversation_template") or family.template
        own = dict(_PROJECTOR_DEFAULTS)
        asked = {name: value for name in own if (value := getattr(self, name)) is not None}
        if values.get("mm_vision_tower"):
            self.vision_tower = self.vision_tower or resolve_folder(values["mm_vision_tower"], folder)
            own |= {name: values[name] for name in own if values.get(name) is not None}
            refuse_conflicts(folder, differences(own, asked))
        for name, value in (own | asked).items():
            setattr(self, name, value)
        if not self.vision_tower:
            raise MgimmError("--vision_tower is needed: a CLIP folder or Hub id")


@dataclass
class LlavaDataArguments(llava_train.DataArguments):
    """LLaVA's settings; a checkpoint to go on from brings its own frame of the images."""

    image_aspect_ratio: str | None = field(
        default=None, metadata={"help": "square (default), pad, resize or anyres; a checkpoint brings its own."}
    )


@dataclass
class LlavaTrainingArguments(llava_train.TrainingArguments):
    """LLaVA's settings with its defaults, and what our trainer asks for beside them."""

    mm_region_lr: float | None = field(default=None, metadata={"help": "Learning rate of the region encoder."})
    group_by_image: bool = field(default=False, metadata={"help": "Records of one image in one batch."})

    def __post_init__(self) -> None:
        """Refuse what a checkpoint could not hold, or what would be ignored."""
        refuse_fsdp(self.fsdp)
        refuse_unusable_gpus(self.use_cpu)
        super().__post_init__()
        if self.lora_bias != "none":
            raise MgimmError("--lora_bias is none: a checkpoint holds no biases of the language model")
        if self.bits != 16:
            raise MgimmError("--bits 4 and 8 are for loading; training needs 16 (bf16, fp16) or float32 weights")

    @property
    def stage(self) -> str:
        """LLaVA says with ``--tune_mm_mlp_adapter`` that the language model is frozen."""
        return "region" if getattr(self, "tune_mm_mlp_adapter", False) else "image"

    def compute_dtype(self) -> torch.dtype:
        """Precision of the vision tower, and of what DeepSpeed trains."""
        return torch.bfloat16 if self.bf16 else torch.float16 if self.fp16 else torch.float32


class LlavaEntryTrainer(MgimmTrainer):
    """Our trainer under LLaVA's ``train()``, which knows nothing of region encoders or of checkpoints cut short."""

    def __init__(self, model: Any, tokenizer: Any, args: Any, **data: Any) -> None:
        base = without_lora(model)
        base.get_model().region_encoder.requires_grad_(True)
        base.get_vision_tower().to(args.compute_dtype())  # LLaVA's is float16, on a CPU too
        _restore_rope(base.get_model())
        choose_dtype_of_trained(model, args)
        super().__init__(model=model, processing_class=tokenizer, args=args, **data)

    def train(self, resume_from_checkpoint: Any = None, **kwargs: Any) -> Any:
        """Go on from the last checkpoint that was written to the end, where LLaVA would take the newest folder."""
        if resume_from_checkpoint:
            last = last_complete_checkpoint(Path(self.args.output_dir))
            if last is not None and self.restore_finished(last):
                return None
            resume_from_checkpoint = str(last) if last else None
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)


def _restore_rope(decoder: Any) -> None:
    """Compute the frequencies of the positions again: LLaVA rounds them, with all else, to LoRA's half precision.

    Inference takes exact ones, and at 600 tokens the rounded are off by up to 0.7 rad.
    """
    frequencies = decoder.rotary_emb.inv_freq
    decoder.rotary_emb = type(decoder.rotary_emb)(config=decoder.config).to(frequencies.device)


class _Session:
    """One run of LLaVA's ``train()``: what its pieces have to know of each other."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.model: Any = None
        self.folder = ""
        self.own_aspect_ratio: str | None = None  # noted at loading: LLaVA writes over the config's
        self.trainer: LlavaEntryTrainer | None = None

    def from_pretrained(self, source: str, torch_dtype: torch.dtype | None = None, **options: Any) -> Any:
        """Stands where LLaVA calls ``LlavaLlamaForCausalLM.from_pretrained``."""
        options = {"attn_implementation": options.get("attn_implementation"), "dtype": torch_dtype or torch.float32}
        self.folder = folder = resolve_folder(source)
        if is_mgimm_folder(folder):
            self.model = self._from_checkpoint(local_folder(folder), options)
        else:
            values = read_config_dict(folder)
            family = family_of(values.get("model_type", ""))
            dropped = ("model_type", "architectures", TUNED_TOWER)  # the last is refused where it was set
            values = {name: value for name, value in values.items() if name not in dropped}
            self.model = load_weights(folder, family.config_class.from_dict(values), **options)
        self.own_aspect_ratio = getattr(self.model.config, "image_aspect_ratio", None)
        return self.model

    def _from_checkpoint(self, folder: Path, options: dict[str, Any]) -> Any:
        kind, config = checkpoint_kind(folder), load_config(str(folder))
        if kind is CheckpointKind.LORA:
            raise MgimmError(f"{folder}: is a LoRA checkpoint; merge it first (mgimm merge-lora) to train on from it")
        model = load_weights(str(folder) if kind is CheckpointKind.FULL else base_of(folder, config), config, **options)
        if kind is CheckpointKind.ADAPTER:
            load_adapter(model, folder)
        return model

    def make_data(self, tokenizer: Any, data_args: Any, seed: int) -> dict[str, Any]:
        """What the trainer trains on; the model's config learns the template and the frame of the images."""
        conversation = self.module.conversation_lib.default_conversation
        template = next((name for name, known in conv_templates.items() if known is conversation), None)
        if template is None:
            raise MgimmError("LLaVA's default conversation is in no template; name one with --version")
        if tokenizer.pad_token_id is None:  # LLaVA pads with the unknown token, which not every tokenizer has
            tokenizer.pad_token = tokenizer.eos_token
        config = without_lora(self.model).config
        config.mm_conversation_template = template
        config.image_aspect_ratio = self._image_aspect_ratio(data_args.image_aspect_ratio)
        tower = self.model.get_vision_tower()
        data = InstructionDataset(
            [parse_source(path) for path in data_args.data_path.split(",")],
            image_folder=data_args.image_folder or ".",
            tokenizer=tokenizer,
            image_processor=data_args.image_processor,
            template=template,
            image_aspect_ratio=config.image_aspect_ratio,
            context_length=min(tokenizer.model_max_length, context_length(config)),
            tokens_per_image=tower.num_patches,
            regions=RegionInput.of(config),
            region_subsets=True,
            seed=seed,
            image_grid_pinpoints=getattr(config, "image_grid_pinpoints", None),
            patch_merge_type=getattr(config, "mm_patch_merge_type", "flat"),
        )
        collator = RegionCollator(tokenizer.pad_token_id, tower.config.image_size)
        return {"train_dataset": data, "eval_dataset": None, "data_collator": collator}

    def _image_aspect_ratio(self, asked: str | None) -> str:
        """As asked, else the checkpoint's own, else LLaVA's default; one of ours was trained for its own alone."""
        own = self.own_aspect_ratio
        if asked and own and is_mgimm_folder(self.folder):
            name = "image_aspect_ratio"
            refuse_conflicts(self.folder, differences({name: own}, {name: asked}))
        return asked or own or _DEFAULT_ASPECT_RATIO

    def make_trainer(self, model: Any, tokenizer: Any, args: Any, data_args: Any) -> LlavaEntryTrainer:
        """Stands where LLaVA calls ``LLaVATrainer``; here the data are made too, whose seed only ``args`` know."""
        data = self.make_data(tokenizer, data_args, args.data_seed if args.data_seed is not None else args.seed)
        self.trainer = LlavaEntryTrainer(model, tokenizer, args, **data)
        return self.trainer

    def train(self, original: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """LLaVA's ``train()``; what it writes for LoRA is replaced by a checkpoint of ours, without a pickle."""
        original(*args, **kwargs)
        trainer = self.trainer
        if trainer is not None and trainer.kind is CheckpointKind.LORA:
            target = Path(trainer.args.output_dir)
            save_checkpoint(trainer.model, trainer.processing_class, target, CheckpointKind.LORA)
            if is_first_rank():
                (target / _PICKLED_REST).unlink(missing_ok=True)


def rebind(module: ModuleType) -> None:
    """Give ``llava.train.train`` our model classes, data and trainer. Twice is harmless: the later session holds."""
    session = _Session(module)
    original = getattr(module.train, "original", module.train)

    def train(*args: Any, **kwargs: Any) -> None:
        session.train(original, *args, **kwargs)

    train.original = original  # type: ignore[attr-defined]
    names = {
        "ModelArguments": LlavaModelArguments,
        "DataArguments": LlavaDataArguments,
        "TrainingArguments": LlavaTrainingArguments,
        "LlavaLlamaForCausalLM": session,
        "find_all_linear_names": lora_target_pattern,
        "make_supervised_data_module": lambda tokenizer, data_args: {"data_args": data_args},
        "LLaVATrainer": session.make_trainer,
        "safe_save_model_for_hf_trainer": lambda trainer, output_dir: trainer.save_model(output_dir),
        "train": train,
    }
    vars(module).update(names)
