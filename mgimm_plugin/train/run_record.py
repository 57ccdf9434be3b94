"""What a run is made with, kept beside its checkpoints, so that they are gone on with by that run alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from mgimm_plugin.data.whole_files import sha256_of, write_whole
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.model.config import VisionSettings
from mgimm_plugin.model.fingerprint import folder_fingerprint
from mgimm_plugin.region_settings import RegionSettings
from mgimm_plugin.train.arguments import DataArguments, ModelArguments, TrainingArguments
from mgimm_plugin.train.building import StartingPoint
from mgimm_plugin.train.inputs import parse_source

RECORD_FILE = "mgimm_run.json"

_OPTIMIZATION = (
    *("learning_rate", "mm_projector_lr", "mm_region_lr", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps"),
    *("optim", "optim_args", "adam_beta1", "adam_beta2", "adam_epsilon", "weight_decay", "max_grad_norm"),
    *("freeze_mm_mlp_adapter", "seed"),
    *("group_by_image", "group_by_modality_length", "train_sampling_strategy", "dataloader_drop_last"),
)
_LORA = ("lora_r", "lora_alpha", "lora_dropout")
_MAY_GROW = ("num_train_epochs", "max_steps")
_MAY_COME_AND_GO = ("eval_data_path",)
"""Compared where both have it: an evaluation may begin or end, but losses on other records cannot be compared."""

_ITEMS = "items a step (processes x per_device_train_batch_size x gradient_accumulation_steps)"
"""How they are shared out may change. Were there more or fewer, the steps done would be another place in the data."""


@dataclass(frozen=True)
class RunRecord:
    """What shapes a run.

    Attributes:
        settings: By the names of the flags; files and folders by digest, since they may be moved.
        names: What these files and folders were called, for messages.
    """

    settings: Mapping[str, Any]
    names: Mapping[str, str]

    def to_json(self) -> str:
        """The content of ``mgimm_run.json``."""
        return json.dumps({"settings": self.settings, "names": self.names}, indent=2) + "\n"  # names may be no UTF-8

    def differences(self, now: RunRecord) -> list[str]:
        """``key was A, now B`` for each setting that differs and may not.

        A setting that only one of the two has is passed over: an older version wrote the other.
        """
        found = []
        for key, before in self.settings.items():
            after = now.settings.get(key, before)
            if before != after and not _may_become(key, before, after):
                was, is_now = self._shown(key), now._shown(key)
                found.append(f"{key} {was} has changed" if was == is_now else f"{key} was {was}, now {is_now}")
        return found

    def _shown(self, key: str) -> str:
        value = self.settings[key]
        return "not given" if value is None else self.names.get(key, str(value))


def _may_become(key: str, before: Any, after: Any) -> bool:
    if key in _MAY_GROW:
        return None not in (before, after) and after > before
    if key == "deepspeed" and before is True:  # of an older version, which told no more
        return bool(after)
    return key in _MAY_COME_AND_GO and None in (before, after)


def record_of(
    start: StartingPoint, model_args: ModelArguments, data_args: DataArguments, args: TrainingArguments
) -> RunRecord:
    """What shapes the run that these settings make; files of records are read for it, and samples of large weights.

    What bears on speed, memory, logs, checkpoints or bad records alone is no part of it, and may change.
    """
    config, is_image_stage = start.config, args.stage == "image"
    has_lora = is_image_stage and args.lora_enable
    replayed = data_args.region_data_path if is_image_stage else []
    files = {
        "data_path": data_args.data_path,
        "region_data_path": replayed,
        "eval_data_path": data_args.eval_data_path,
    }
    models = {
        "model_name_or_path": start.folder,
        "base language model": start.weights if start.weights != start.folder else None,
        "vision_tower": config.mm_vision_tower,
        "pretrain_mm_mlp_adapter": model_args.pretrain_mm_mlp_adapter,
    }
    keys = {*VisionSettings.__dataclass_fields__, *RegionSettings.__dataclass_fields__} - {"mm_vision_tower"}
    digest = cache(_digest)
    settings: dict[str, Any] = {
        "stage": args.stage,
        **{key: name and digest(name) for key, name in models.items()},
        **{key: _sources(texts, digest) for key, texts in files.items()},
        "version": config.mm_conversation_template,
        **{key: getattr(config, key, None) for key in sorted(keys)},
        "region_subsets": data_args.region_subsets if is_image_stage else None,
        "region_replay": data_args.region_replay if replayed else None,
        "lora_enable": args.lora_enable if is_image_stage else None,
        **{key: getattr(args, key) if has_lora else None for key in _LORA},
        **{key: getattr(args, key) for key in _OPTIMIZATION},
        "data_seed": args.seed if args.data_seed is None else args.data_seed,
        _ITEMS: args.world_size * args.train_batch_size * args.gradient_accumulation_steps,
        "deepspeed": _deepspeed(args),
        "num_train_epochs": None if args.max_steps > 0 else args.num_train_epochs,
        "max_steps": args.max_steps if args.max_steps > 0 else None,
    }
    names = {key: name for key, name in models.items() if name}
    names |= {key: " ".join(texts) for key, texts in files.items() if texts}
    return RunRecord(json.loads(json.dumps(settings)), names)  # as it will be read: tuples and enumerations are not


def _deepspeed(args: TrainingArguments) -> str | bool:
    """What its checkpoints are bound to: each rank reads back its own part of the optimizer's state, as it wrote it."""
    if not args.deepspeed:
        return False
    stage = args.hf_deepspeed_config.get_value("zero_optimization.stage", 0)
    precision = str(args.compute_dtype()).removeprefix("torch.")
    return f"ZeRO-{stage} in {precision} with processes: {args.world_size}"


def _sources(texts: Sequence[str], digest: Any) -> list[Any] | None:
    sources = [parse_source(text) for text in texts]
    return [[digest(str(source.path)), source.weight] for source in sources] or None


def _digest(name: str) -> str:
    """The hash of a file or of a model folder; the name of a model on the Hub."""
    path = Path(name).expanduser()
    if path.is_dir():
        return folder_fingerprint(path)
    return sha256_of(path) if path.exists() else name


def refuse_other_run(folder: Path, checkpoint: Path | None, record: RunRecord | None) -> None:
    """Compare what would go on with what was begun. All ranks call it; what the first finds holds for all.

    Args:
        folder: The run folder.
        checkpoint: The checkpoint in it that would be gone on with, or None.
        record: What the run would be; None on other ranks than the first.

    Raises:
        MgimmError: The checkpoint is of a run with other settings, all of which are named; or its record is no JSON.
    """
    refusal = [""]
    if record is not None and checkpoint is not None:
        refusal = [_refusal(folder, checkpoint, record)]
    broadcast_object_list(refusal)
    if refusal[0]:
        raise MgimmError(refusal[0])


def _refusal(folder: Path, checkpoint: Path, record: RunRecord) -> str:
    """What is wrong, or nothing."""
    file = folder / RECORD_FILE
    if not file.is_file():  # an older version began the run
        return ""
    try:
        before = RunRecord(**json.loads(file.read_text(encoding="utf-8")))
        different = before.differences(record)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return (
            f"{file}: does not say what the run was made with ({error}): choose another --output_dir (OUTPUT_DIR of "
            "the scripts), or remove this file to go on without comparing"
        )
    if not different:
        return ""
    return (
        f"{folder}: holds {checkpoint.name} of a run with other settings: {'; '.join(different)}. To train anew, "
        "choose another --output_dir (OUTPUT_DIR of the scripts) or remove this folder; with the settings that it had, "
        "the run goes on"
    )


def keep_record(folder: Path, checkpoint: Path | None, record: RunRecord | None) -> None:
    """Write what the run is made with, before its first step; the arguments are those of ``refuse_other_run``.

    A run that was begun without a record is given none: nobody knows what it was made with.
    """
    file = folder / RECORD_FILE
    if record is not None and (checkpoint is None or file.is_file()):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, record.to_json())
