"""LLaVA's trainer with learning rates by part, atomic checkpoints, and resuming that restores everything."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from llava.train.llava_trainer import LengthGroupedSampler, LLaVATrainer
from torch.utils.data import Dataset, RandomSampler, Sampler
from transformers import Trainer, TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import rotate_checkpoints

from mgimm_plugin.data.shared_folder import check_shared
from mgimm_plugin.model.folders import ADAPTER_FILE, LORA_FILE, CheckpointKind, partial_name, publish, start_partial
from mgimm_plugin.model.keys import VISION_PREFIX, adapter_tensors, compare_tensors, copy_into, read_tensors
from mgimm_plugin.model.lora import without_lora
from mgimm_plugin.model.saving import barrier, save_checkpoint, write_checkpoint
from mgimm_plugin.train.building import stage_kind
from mgimm_plugin.train.sampling import EpochSampler, ImageGroupedSampler

PROJECTOR, REGION_ENCODER = "mm_projector", "region_encoder"


class MgimmTrainer(LLaVATrainer):
    """Trainer of both stages.

    Args:
        *args: As in ``transformers.Trainer``.
        **kwargs: As in ``transformers.Trainer``; ``args`` is a ``mgimm_plugin.train.arguments.TrainingArguments``.

    Raises:
        MgimmError: The nodes do not share the output folder.
    """

    optimizer: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_shared(Path(self.args.output_dir), self.args.process_index, self.args.world_size, barrier)
        self._set_epoch = _SetEpoch(self.train_dataset)
        self.add_callback(self._set_epoch)
        if self.is_deepspeed_enabled:
            self.model.register_load_state_dict_post_hook(_may_lack_frozen_weights)

    @property
    def kind(self) -> CheckpointKind:
        """The kind of checkpoint this run writes."""
        return stage_kind(self.model, self.args)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Group parameters by weight decay and by part: projector and region encoder may have their own rates."""
        if self.optimizer is None:
            opt_model = self.model if model is None else model
            rates = {PROJECTOR: self.args.mm_projector_lr, REGION_ENCODER: self.args.mm_region_lr}
            decayed = set(self.get_decay_parameter_names(opt_model))
            groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
            for name, parameter in opt_model.named_parameters():
                if parameter.requires_grad:
                    part = next((part for part in rates if f".{part}." in name), None)
                    own = rates[part] if part else None
                    rate = self.args.learning_rate if own is None else own
                    decay = self.args.weight_decay if name in decayed else 0.0
                    groups.setdefault((rate, decay), []).append(parameter)
            grouped = [
                {"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()
            ]
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args, opt_model)
            self.optimizer = optimizer_class(grouped, **options)
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        """By image, LLaVA's grouping by length, or at random; drawn anew and reproducibly each epoch."""
        dataset = train_dataset if train_dataset is not None else self.train_dataset
        self._set_epoch.sampler = self._sampler_of(dataset)
        return self._set_epoch.sampler

    def _sampler_of(self, dataset: Any) -> Sampler | None:
        """What a sampler asks of the data set is asked in each epoch: items change where weights are fractions."""
        args = self.args
        seed = args.data_seed if args.data_seed is not None else args.seed
        if args.group_by_image:
            return EpochSampler(lambda epoch: ImageGroupedSampler(dataset.image_numbers, seed, epoch), seed)
        if args.group_by_modality_length:
            return EpochSampler(
                lambda _: LengthGroupedSampler(
                    args.train_batch_size,
                    world_size=args.world_size * args.gradient_accumulation_steps,
                    lengths=dataset.modality_lengths,
                    group_by_modality=True,
                ),
                seed,
            )
        sampler = Trainer._get_train_sampler(self, dataset)
        return EpochSampler(lambda _: RandomSampler(dataset), seed) if isinstance(sampler, RandomSampler) else sampler

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> Any:
        """An evaluation that asks for the loss alone makes no logits: a batch takes no more memory than in training."""
        inputs = {**inputs, "loss_only": prediction_loss_only}
        return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write a whole checkpoint of the stage's kind to ``output_dir``, or to the run folder. All ranks call it."""
        target = Path(output_dir or self.args.output_dir)
        if target.parent == self._partial_folder:  # inside a numbered checkpoint, which is published as one
            final = Path(self.args.output_dir) / target.name
            write_checkpoint(self.model, self.processing_class, target, self.kind, final)
        else:
            save_checkpoint(self.model, self.processing_class, target, self.kind)

    def _save_checkpoint(self, model: Any, trial: Any, metrics: Any = None) -> None:
        """Write ``checkpoint-N`` aside, and move it to its place when every rank is done."""
        target = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            start_partial(target)
        barrier()
        if self.is_deepspeed_enabled:  # what is frozen was loaded from elsewhere, and will be again
            engine = self.model_wrapped
            engine.save_checkpoint = functools.partial(
                type(engine).save_checkpoint, engine, exclude_frozen_parameters=True
            )
        self._saving = True
        try:
            Trainer._save_checkpoint(self, model, trial)  # LLaVA's would write only the projector, or nothing
        finally:
            self._saving = False
        barrier()
        partial, best = partial_name(target), self.state.best_model_checkpoint
        if best and Path(best) == partial:  # every rank loads the best one in the end, from where it will be
            self.state.best_model_checkpoint = str(target)
        if self.args.should_save:
            self.state.save_to_json(str(partial / TRAINER_STATE_NAME))
            publish(target)
            rotate_checkpoints(
                output_dir=self.args.output_dir,
                save_total_limit=self.args.save_total_limit,
                best_model_checkpoint=self.state.best_model_checkpoint,
                use_mtime=False,  # the numbers say the order; a resumed run goes on counting
            )
        barrier()

    def restore_finished(self, checkpoint: Path) -> bool:
        """Take over the result of a run that had done all its steps, and only not yet saved it.

        ``train()`` would do one step too many. Returns False, and does nothing, where there are steps left.
        """
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        # Not the total of the state: the same folder may be gone on with for more epochs.
        *_, total = self.set_initial_training_values(self.args, self.get_train_dataloader())
        if state.global_step < total:
            return False
        best = state.best_model_checkpoint if self.args.load_best_model_at_end else None
        load_trained_weights(self.model, Path(best) if best else checkpoint, self.kind)
        self.state = state
        return True

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Restore all trained weights: PEFT's alone would leave projector and region encoder fresh."""
        load_trained_weights(self.model, Path(resume_from_checkpoint), self.kind)

    def _load_best_model(self) -> None:
        if self.is_deepspeed_enabled:
            super()._load_best_model()
        else:
            load_trained_weights(self.model, Path(self.state.best_model_checkpoint), self.kind)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._partial_folder) if self._saving else super()._get_output_dir(trial)

    _saving = False

    @property
    def _partial_folder(self) -> Path:
        return partial_name(Path(self.args.output_dir) / "checkpoint").parent


def load_trained_weights(model: Any, folder: Path, kind: CheckpointKind) -> None:
    """Copy what a stage trains from one of its checkpoints into ``model``, compared tensor by tensor.

    Raises:
        CheckpointError: Tensors are missing, unexpected or of another shape.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    base = without_lora(model)
    if kind is CheckpointKind.FULL:
        values: dict[str, torch.Tensor] = {}
        for file in sorted(folder.glob("model*.safetensors")):
            values |= read_tensors(file)
        tied = set(getattr(base, "all_tied_weights_keys", {})) - set(values)
        own = base.state_dict(keep_vars=True)
        copy_into(folder, {n: t for n, t in own.items() if not n.startswith(VISION_PREFIX) and n not in tied}, values)
        return
    copy_into(folder / ADAPTER_FILE, adapter_tensors(base), read_tensors(folder / ADAPTER_FILE))
    if kind is CheckpointKind.LORA:
        found, own = read_tensors(folder / LORA_FILE), model.state_dict(keep_vars=True)
        wanted = get_peft_model_state_dict(model, state_dict=own, save_embedding_layers=False)
        compare_tensors(folder / LORA_FILE, wanted, found)
        set_peft_model_state_dict(model, found)


def _may_lack_frozen_weights(model: Any, keys: Any) -> None:
    """What DeepSpeed restores has to have all trained weights, and no more."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    keys.missing_keys[:] = [name for name in keys.missing_keys if name not in frozen]


class _SetEpoch(TrainerCallback):
    """Tell data set and sampler the epoch before their loader starts, resumed runs included.

    accelerate's loader does not get through to the sampler of several ranks, nor, while it skips, to that of one.
    """

    sampler: Any = None

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for follower in (self._dataset, self.sampler):
            if hasattr(follower, "set_epoch"):
                follower.set_epoch(int(state.epoch or 0))
