"""``mm_vision_tower`` may be relative to the checkpoint, and name any CLIP, whose weights must all be there.

Changes: ``build_vision_tower`` of ``llava.model.multimodal_encoder.builder``, also where it has been imported by name.
Necessary since: LLaVA looks for the path from the working directory, and accepts a name that is not a path only when it
starts with ``openai`` or ``laion``; a folder of checkpoints could not be moved or used from elsewhere. Weights that a
folder lacks are made at random by transformers, which says so in a log only.
No longer needed when: LLaVA resolves the path relative to the checkpoint, lets transformers judge the name, and looks
at its report of missing weights.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from mgimm_patches._hooks import rebind
from mgimm_patches._patch import Patch


def _replace_builder(encoder_builder: ModuleType) -> bool:
    original = encoder_builder.build_vision_tower

    def build_vision_tower(vision_tower_cfg: Any, **kwargs: Any) -> Any:
        """Build the tower that a config (``mm_vision_tower``) or LLaVA's arguments (``vision_tower``) name."""
        from mgimm_plugin.model.paths import resolve_folder
        from mgimm_plugin.model.tower import WholeVisionTower

        name = getattr(vision_tower_cfg, "mm_vision_tower", None) or vision_tower_cfg.vision_tower
        folder = resolve_folder(name, relative_to=getattr(vision_tower_cfg, "_name_or_path", None) or None)
        return WholeVisionTower(folder, args=vision_tower_cfg, **kwargs)

    encoder_builder.build_vision_tower = build_vision_tower  # type: ignore[attr-defined]
    rebind(original, build_vision_tower)
    return True


PATCHES = (
    Patch(
        name="vision-tower-path",
        target="llava.model.multimodal_encoder.builder",
        reason="LLaVA looks for the vision tower from the working directory and accepts few names",
        obsolete_when="LLaVA resolves mm_vision_tower relative to the checkpoint, and refuses one without all weights",
        change=_replace_builder,
    ),
)
