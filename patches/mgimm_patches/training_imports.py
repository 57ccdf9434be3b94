"""``llava.train.*`` can be imported again.

Changes: ``transformers.trainer.ALL_LAYERNORM_LAYERS`` (adds the name).
Necessary since: transformers 5 keeps the list in ``transformers.pytorch_utils`` only; ``llava.train.llava_trainer``
imports it from ``transformers.trainer`` and fails with ImportError.
No longer needed when: ``from transformers.trainer import ALL_LAYERNORM_LAYERS`` works, or LLaVA imports it elsewhere.
"""

from __future__ import annotations

from types import ModuleType

from mgimm_patches._patch import Patch


def _add_layernorm_list(trainer_module: ModuleType) -> bool:
    if hasattr(trainer_module, "ALL_LAYERNORM_LAYERS"):
        return False
    from transformers.pytorch_utils import ALL_LAYERNORM_LAYERS

    trainer_module.ALL_LAYERNORM_LAYERS = ALL_LAYERNORM_LAYERS  # type: ignore[attr-defined]
    return True


PATCHES = (
    Patch(
        name="training-imports",
        target="transformers.trainer",
        reason="transformers 5 removed transformers.trainer.ALL_LAYERNORM_LAYERS, which llava.train imports",
        obsolete_when="transformers.trainer has ALL_LAYERNORM_LAYERS, or LLaVA no longer imports it from there",
        change=_add_layernorm_list,
    ),
)
