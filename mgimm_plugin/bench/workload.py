"""What the benchmarks work on: the bundled bases, and scenes drawn for the purpose."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from transformers import HfArgumentParser

from mgimm_plugin.data.dataset import InstructionDataset
from mgimm_plugin.data.records import Record, read_records
from mgimm_plugin.resources import playground_folder
from mgimm_plugin.train.arguments import DataArguments, ModelArguments, TrainingArguments
from mgimm_plugin.train.building import build_model
from mgimm_plugin.train.stages import build_data

SEED = 4_242
SCENES = 48


class Stage(NamedTuple):
    """A tuning stage, ready for its first step."""

    model: Any
    data: InstructionDataset
    collate: Any


@lru_cache(maxsize=1)
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="mgimm-bench-")


def scenes() -> Path:
    """A folder of scenes, drawn once a process."""
    from mgimm_plugin.data.scenes import write_scenes

    folder = Path(_folder().name) / f"scenes-{SCENES}"
    if not folder.exists():
        write_scenes(folder, count=SCENES, seed=SEED, workers=1, progress=False)
    return folder


def records(kind: str) -> list[Record]:
    """Records of those scenes; ``kind`` is ``region`` or ``image``."""
    return list(read_records(scenes() / f"{kind}.jsonl"))


def stage(name: str, device: torch.device, *, cached: bool = False) -> Stage:
    """One of the two stages from the bundled bases; ``name`` is ``region`` or ``image``.

    With ``cached``, the tower's features of all images are on disk already.
    """
    folder, playground = scenes(), playground_folder()
    # Taken as they are: a Trainer would use all GPUs that it sees, which is refused, and there is no Trainer here.
    parser = HfArgumentParser((ModelArguments, DataArguments, TrainingArguments))  # type: ignore[arg-type]
    arguments = parser.parse_args_into_dataclasses(
        [
            *("--stage", name, "--report_to", "none", "--output_dir", str(folder / "run")),
            *("--model_name_or_path", str(playground / "mini-llama"), "--vision_tower", str(playground / "mini-clip")),
            *("--data_path", str(folder / f"{name}.jsonl"), "--image_folder", str(folder)),
            # No dropout: both ways are to give the same loss.
            *("--mm_region_mlp_dim", "256", "--model_max_length", "1024", "--lora_dropout", "0"),
            *(("--use_cpu", "True") if device.type == "cpu" else ()),
            *(("--vision_feature_cache", str(folder / "features")) if cached else ()),
        ]
    )
    model, tokenizer = build_model(*arguments)
    data, _, collate = build_data(model, tokenizer, arguments[1], arguments[2])
    return Stage(model.to(device).train(), data, collate)


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The batch on a device."""
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
