"""The vision tower with all of its weights, those of the checkpoint where it has some of its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from llava.model.multimodal_encoder.clip_encoder import CLIPVisionTower
from safetensors import SafetensorError
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionModel

from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.config import tower_config
from mgimm_plugin.model.keys import VISION_PREFIX, copy_into, quiet_loading, read_tensors

_OUTER = ("vision_tower.", "vision_model.")
"""What libraries of different age put before a tensor's name."""


class WholeVisionTower(CLIPVisionTower):
    """LLaVA's vision tower, which takes no folder of another model, or that lacks some of its weights.

    Raises:
        CheckpointError: The config is of another model.
    """

    is_loaded: bool
    vision_tower: CLIPVisionModel

    def __init__(self, vision_tower: str, args: Any, delay_load: bool = False) -> None:
        tower_config(vision_tower)
        if delay_load:  # LLaVA loads a tuned tower at once, amid the loading of the model around it
            feature = getattr(args, "mm_vision_select_feature", "patch")
            args = SimpleNamespace(mm_vision_select_layer=args.mm_vision_select_layer, mm_vision_select_feature=feature)
        super().__init__(vision_tower, args, delay_load)

    def load_model(self, device_map: Any = None) -> None:
        """Load image processor and weights; a second call does nothing.

        Raises:
            CheckpointError: The folder cannot be read, or is of another model.
        """
        if self.is_loaded:
            return
        name = self.vision_tower_name
        options: dict[str, Any] = {
            "device_map": device_map, "output_loading_info": True, "ignore_mismatched_sizes": True,
        }  # fmt: skip
        load: Any = CLIPVisionModel.from_pretrained  # typed as if there were no report
        try:
            self.image_processor = CLIPImageProcessor.from_pretrained(name)
            with quiet_loading():
                self.vision_tower, report = load(name, **options)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"vision tower {name}: {error}") from error
        absent = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
        if absent:
            raise CheckpointError(
                f"vision tower {name}: {len(absent)} tensors of a CLIP vision model are missing or of another shape, "
                f"such as {absent[0]}"
            )
        self.vision_tower.requires_grad_(False)
        self.is_loaded = True


def load_tuned_tower(tower: WholeVisionTower, folder: Path) -> None:
    """Give a loaded tower the weights that a checkpoint of LLaVA's holds for it.

    Raises:
        CheckpointError: The folder holds none, or not all.
    """
    found: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin")):
        found |= {_bare(name): tensor for name, tensor in read_tensors(file, prefix=VISION_PREFIX).items()}
    targets = {_bare(name): tensor for name, tensor in tower.vision_tower.state_dict(keep_vars=True).items()}
    found.pop("embeddings.position_ids", None)  # older libraries save what is counted out anew
    copy_into(f"{folder}, whose vision tower was tuned", targets, found)


def _bare(name: str) -> str:
    bare = name.removeprefix(VISION_PREFIX)
    for prefix in _OUTER:
        bare = bare.removeprefix(prefix)
    return bare
