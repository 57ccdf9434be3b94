"""``LLaVATrainer`` speaks the argument names of today's ``Trainer``.

Changes: ``llava.train.llava_trainer.LLaVATrainer.__init__`` and ``._get_train_sampler``.
Necessary since: transformers 5 renamed the Trainer's ``tokenizer`` to ``processing_class``, and calls
``_get_train_sampler`` with the dataset (4.5x).
No longer needed when: ``inspect.signature(Trainer.__init__)`` has ``tokenizer`` again, or LLaVA passes
``processing_class`` and its ``_get_train_sampler`` takes the dataset.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from mgimm_patches._patch import Patch


def _accept_tokenizer(llava_trainer: ModuleType) -> bool:
    trainer = llava_trainer.LLaVATrainer
    if "__init__" in vars(trainer) or "tokenizer" in inspect.signature(trainer.__init__).parameters:
        return False
    inherited = trainer.__init__

    def __init__(self: Any, *args: Any, tokenizer: Any = None, **kwargs: Any) -> None:
        if tokenizer is not None:
            kwargs.setdefault("processing_class", tokenizer)
        inherited(self, *args, **kwargs)

    trainer.__init__ = __init__
    return True


def _accept_dataset(llava_trainer: ModuleType) -> bool:
    trainer = llava_trainer.LLaVATrainer
    if len(inspect.signature(trainer._get_train_sampler).parameters) > 1:
        return False

    def _get_train_sampler(self: Any, train_dataset: Any = None) -> Any:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if not getattr(self.args, "group_by_modality_length", False) or not llava_trainer.has_length(dataset):
            return super(trainer, self)._get_train_sampler(dataset)
        return llava_trainer.LengthGroupedSampler(
            self.args.train_batch_size,
            world_size=self.args.world_size * self.args.gradient_accumulation_steps,
            lengths=dataset.modality_lengths,
            group_by_modality=True,
        )

    trainer._get_train_sampler = _get_train_sampler
    return True


PATCHES = (
    Patch(
        name="trainer-tokenizer",
        target="llava.train.llava_trainer",
        reason="transformers 5 renamed the Trainer's tokenizer argument to processing_class",
        obsolete_when="LLaVA passes processing_class",
        change=_accept_tokenizer,
    ),
    Patch(
        name="trainer-sampler",
        target="llava.train.llava_trainer",
        reason="today's Trainer calls _get_train_sampler with the dataset; LLaVA's override takes none",
        obsolete_when="LLaVATrainer._get_train_sampler takes the dataset",
        change=_accept_dataset,
    ),
)
