"""From a system, a seed and a rate to the command lines of its stages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .systems import Recipe, Scale, System

REPLAY = 0.25
"""Share of region records in the image stage of systems that had a region stage: one checkpoint answers both tasks."""

REGION_FILE, IMAGE_FILE, PLAIN_FILE = "region.jsonl", "image.jsonl", "image.plain.jsonl"


@dataclass(frozen=True)
class Bases:
    """What every system starts from.

    Attributes:
        llm: Absolute folder or Hub id of the language model.
        tower: Absolute folder or Hub id of the vision tower.
    """

    llm: str
    tower: str


def stage_names(system: System) -> tuple[str, ...]:
    """The stages that a system goes through, in order."""
    return ("region", "image") if system.recipe is Recipe.TWO_STAGES else ("image",)


def region_arguments(
    system: System, scale: Scale, bases: Bases, train: Path, output: Path, *, seed: int, factor: float
) -> list[str]:
    """Flags of the region stage.

    Args:
        system: The row.
        scale: Steps, batch and rate.
        bases: Where it starts.
        train: Folder of the training scenes.
        output: Folder of the run.
        seed: Seed of weights and order.
        factor: Of the learning rate.
    """
    return [
        *("--stage", "region", "--data_path", str(train / REGION_FILE), "--group_by_image", "True"),
        *_from_bases(system, bases, seed),
        *_common(scale, train, output, seed, steps=scale.region_steps, rate=scale.region_rate * factor),
    ]


def image_arguments(
    system: System, scale: Scale, bases: Bases, train: Path, region: Path, output: Path, *, seed: int, factor: float
) -> list[str]:
    """Flags of the image stage, or of the one stage; arguments as in ``region_arguments``.

    Args:
        system: The row.
        scale: Steps, batch and rate.
        bases: Where a system without a region stage starts.
        train: Folder of the training scenes.
        region: Checkpoint of the region stage, where there is one.
        output: Folder of the run.
        seed: Seed of weights and order.
        factor: Of the learning rate.
    """
    has_region_stage = system.recipe is Recipe.TWO_STAGES
    start = ["--model_name_or_path", str(region)] if has_region_stage else _from_bases(system, bases, seed)
    steps = scale.steps_of_last_stage(system.recipe)
    share = region_share(system, scale)
    replay = ["--region_data_path", str(train / REGION_FILE), "--region_replay", repr(share)] if share else []
    return [
        *("--stage", "image", "--data_path", str(train / (IMAGE_FILE if system.guided else PLAIN_FILE))),
        *("--group_by_modality_length", "True", "--lora_r", "16", "--lora_alpha", "256", "--lora_dropout", "0.05"),
        *replay,
        *start,
        *_common(scale, train, output, seed, steps=steps, rate=scale.image_rate * factor),
        *system.image_flags,
    ]


def region_share(system: System, scale: Scale) -> float:
    """Share of region records in the image stage; of "one stage", what leaves it as many images as the others have."""
    if system.recipe is Recipe.TWO_STAGES:
        return REPLAY
    if system.recipe is Recipe.IMAGE_STAGE:
        return 0.0
    return 1 - (1 - REPLAY) * scale.image_steps / scale.steps_of_last_stage(Recipe.ONE_STAGE)


def _from_bases(system: System, bases: Bases, seed: int) -> list[str]:
    start = ["--model_name_or_path", bases.llm, "--vision_tower", bases.tower]
    return [*start, "--mm_region_seed", str(seed), *system.model_flags]


def _common(scale: Scale, train: Path, output: Path, seed: int, *, steps: int, rate: float) -> list[str]:
    return [
        *("--image_folder", str(train), "--output_dir", str(output), "--seed", str(seed)),
        *("--max_steps", str(steps), "--per_device_train_batch_size", str(scale.batch)),
        *("--learning_rate", repr(rate), "--lr_scheduler_type", "cosine", "--warmup_steps", "0.03"),
        *("--weight_decay", "0", "--logging_steps", "20", "--report_to", "none"),
        *("--save_strategy", "steps", "--save_steps", str(max(1, steps // 4)), "--save_total_limit", "1"),
        *scale.train_flags,
    ]
