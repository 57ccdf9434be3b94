"""Run one of the two stages from settings to checkpoint."""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import transformers
from huggingface_hub.utils import logging as hub_logging
from tqdm import tqdm
from transformers import set_seed
from transformers.integrations import get_reporting_integration_callbacks

from mgimm_plugin.data.collator import RegionCollator
from mgimm_plugin.data.dataset import InstructionDataset
from mgimm_plugin.data.region_input import RegionInput
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.model.folders import last_complete_checkpoint
from mgimm_plugin.model.loading import context_length
from mgimm_plugin.model.lora import without_lora
from mgimm_plugin.model.saving import barrier, is_first_rank
from mgimm_plugin.train.arguments import DataArguments, ModelArguments, TrainingArguments
from mgimm_plugin.train.building import build_model, starting_point
from mgimm_plugin.train.command_line import parse_arguments
from mgimm_plugin.train.feature_cache import cache_features
from mgimm_plugin.train.inputs import check_data, check_start, parse_source
from mgimm_plugin.train.run_record import keep_record, record_of, refuse_other_run
from mgimm_plugin.train.trainer import MgimmTrainer

logger = logging.getLogger(__name__)

SKIPPED_FILE = "skipped.jsonl"


def run_stage(model_args: ModelArguments, data_args: DataArguments, args: TrainingArguments) -> MgimmTrainer:
    """Train, save the checkpoint to ``args.output_dir``, and return the trainer.

    A run folder with checkpoints is gone on with, from the last one that was written to the end, where what shapes the
    run is as it was.

    Raises:
        MgimmError: Settings, model, or data do not fit; the message says which and what to do.
    """
    _ = args.device  # starts the process group: under ZeRO-3 it has to exist before the model
    _choose_reports(args)
    set_seed(args.seed)
    check_data(data_args)
    check_start(model_args, args.stage)
    start = starting_point(model_args, data_args)
    folder = Path(args.output_dir)
    checkpoint = last_complete_checkpoint(folder)
    record = record_of(start, model_args, data_args, args) if is_first_rank() else None
    refuse_other_run(folder, checkpoint, record)
    model, tokenizer = build_model(model_args, data_args, args, start)
    train_set, eval_set, collator = build_data(model, tokenizer, data_args, args)
    if is_first_rank():
        logger.info("%s items an epoch from %s", f"{len(train_set):,}", ", ".join(data_args.data_path))
    trainer = MgimmTrainer(
        model=model,
        processing_class=tokenizer,
        args=args,
        train_dataset=train_set,
        eval_dataset=eval_set,
        data_collator=collator,
    )
    keep_record(folder, checkpoint, record)
    if checkpoint is not None and is_first_rank():
        logger.warning("resuming from %s", checkpoint)
    if checkpoint is None or not trainer.restore_finished(checkpoint):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.save_state()
    trainer.save_model()
    if is_first_rank():
        _report_skips([train_set] if eval_set is None else [train_set, eval_set], folder)
    barrier()
    return trainer


def build_data(
    model: Any, tokenizer: Any, data_args: DataArguments, args: TrainingArguments
) -> tuple[InstructionDataset, InstructionDataset | None, RegionCollator]:
    """Build data sets and collator for a model; fills ``--vision_feature_cache``, where one is named.

    Returns:
        Training set, evaluation set or None, collator.
    """
    base = without_lora(model)
    tower, config = base.get_vision_tower(), base.config
    common: dict[str, Any] = {
        "image_folder": data_args.image_folder or ".",
        "tokenizer": tokenizer,
        "image_processor": tower.image_processor,
        "template": config.mm_conversation_template,
        "image_aspect_ratio": config.image_aspect_ratio,
        "context_length": min(args.model_max_length, context_length(config)),
        "tokens_per_image": tower.num_patches,
        "regions": RegionInput.of(config),
        "on_error": data_args.on_error,
        "max_pixels": data_args.max_pixels,
        "skipped_path": Path(args.output_dir) / SKIPPED_FILE,
        "seed": args.data_seed if args.data_seed is not None else args.seed,
        "image_grid_pinpoints": getattr(config, "image_grid_pinpoints", None),
        "patch_merge_type": getattr(config, "mm_patch_merge_type", "flat"),
    }
    is_image_stage = args.stage == "image"
    train_set = InstructionDataset(
        [parse_source(text) for text in data_args.data_path],
        region_subsets=is_image_stage and data_args.region_subsets,
        region_replay=[parse_source(text) for text in data_args.region_data_path] if is_image_stage else (),
        region_replay_fraction=data_args.region_replay,
        **common,
    )
    eval_set = (
        InstructionDataset([parse_source(text) for text in data_args.eval_data_path], **common)
        if data_args.eval_data_path
        else None
    )
    collator = RegionCollator(tokenizer.pad_token_id, tower.config.image_size)
    if data_args.vision_feature_cache:
        sets = [train_set] if eval_set is None else [train_set, eval_set]
        no_features = cache_features(Path(data_args.vision_feature_cache), tower, sets, args)
        collator = replace(collator, no_features=no_features)
    return train_set, eval_set, collator


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of ``python -m mgimm_plugin.train``; returns the exit status."""
    logging.basicConfig(level=logging.INFO if is_first_rank() else logging.WARNING, format="%(levelname)s: %(message)s")
    transformers.logging.set_verbosity_warning()
    hub_logging.disable_propagation()  # it prints by itself
    # What libraries will call otherwise in their next version: nothing that who trains could change.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|accelerate|peft|torch)\.")
    try:
        arguments = parse_arguments(argv)
    except MgimmError as error:
        _report_failure(error)
        return 2
    try:
        run_stage(*arguments)
    except MgimmError as error:
        _report_failure(error)
        return 1
    return 0


def _report_failure(error: MgimmError) -> None:
    """One line on standard error, above a progress bar that is still there."""
    text = str(error)
    if text.startswith("Caught "):  # by a worker of the data loader, which sends its traceback along
        text = text.strip().splitlines()[-1].removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: ")
    tqdm.write(f"error: {' '.join(text.split())}", file=sys.stderr)


def _choose_reports(args: TrainingArguments) -> None:
    """TensorBoard where it is installed; an explicit --report_to is kept.

    Raises:
        MgimmError: There is no such reporter, or its package is not installed.
    """
    if "tensorboard" in args.report_to and importlib.util.find_spec("tensorboard") is None:
        args.report_to = [name for name in args.report_to if name != "tensorboard"]
        logger.warning("TensorBoard is not installed, so no curves are written: pip install 'mgimm-plugin[train]'")
    try:  # as the Trainer will, when the model is loaded and the features are cached
        for reporter in get_reporting_integration_callbacks(args.report_to):
            reporter()
    except (ImportError, RuntimeError, ValueError) as error:
        raise MgimmError(f"--report_to {' '.join(args.report_to)}: {error}") from error


def _report_skips(sets: Sequence[InstructionDataset], folder: Path) -> None:
    skipped, clipped = sets[0].skipped, sum(data.clipped_boxes for data in sets)  # all sets share one list
    if skipped:
        logger.warning("records that were left out: %d; they are listed in %s", skipped, folder / SKIPPED_FILE)
    if clipped:
        logger.warning(
            "boxes that stuck out of what the model sees of their image, and were clipped to it: %d", clipped
        )
