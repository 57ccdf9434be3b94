"""The config of a multimodal model: a language model's config plus LLaVA's and our ``mm_*`` keys."""

from __future__ import annotations

import re
from ast import literal_eval
from dataclasses import asdict, dataclass
from typing import Any

from transformers import AutoConfig, CLIPVisionConfig, PretrainedConfig

from mgimm_plugin.constants import ASPECT_RATIO_MODES
from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.families import family_of
from mgimm_plugin.model.paths import check_exists, named_folder, resolve_folder
from mgimm_plugin.region_settings import RegionSettings

_LLAVA_DEFAULTS = {"mm_projector_type": "linear", "image_aspect_ratio": "square"}
"""What LLaVA takes a key that is missing to mean."""

TUNED_TOWER = "unfreeze_mm_vision_tower"
"""LLaVA's key of a checkpoint whose tower was trained too, as LLaVA-1.6's; its folder holds the tower's weights."""

_CLIP_TYPES = ("clip", "clip_vision_model")

_DROPPED = (
    TUNED_TOWER,
    "model_type",
    "architectures",
    "transformers_version",
    "_name_or_path",
    "auto_map",
    "torch_dtype",
    "dtype",
)


@dataclass(frozen=True, slots=True)
class VisionSettings:
    """LLaVA's keys about the vision side; the defaults are the paper's."""

    mm_vision_tower: str
    mm_vision_select_layer: int = -2
    mm_vision_select_feature: str = "patch"
    mm_projector_type: str = "mlp2x_gelu"
    mm_patch_merge_type: str = "flat"
    image_aspect_ratio: str = "pad"
    image_grid_pinpoints: tuple[tuple[int, int], ...] | None = None


def multimodal_config(
    base: str, vision: VisionSettings, regions: RegionSettings | None = None, *, template: str | None = None
) -> PretrainedConfig:
    """Write the config of a model that starts from ``base``.

    Args:
        base: A bare language model, a LLaVA-1.5 checkpoint, or a model of ours: folder or Hub id.
        vision: The vision side. Keys that a LLaVA checkpoint already has are replaced by these.
        regions: The region side; the base's own, or the defaults, when None.
        template: Conversation template; the family's default when None.

    Raises:
        CheckpointError: The base's model type has no binding, a setting is unknown, or the tower cannot be read.
    """
    if vision.image_aspect_ratio not in ASPECT_RATIO_MODES:
        raise CheckpointError(
            f"image_aspect_ratio {vision.image_aspect_ratio!r} is unknown; known: {', '.join(ASPECT_RATIO_MODES)}"
        )
    if not re.fullmatch(r"linear|mlp\d+x_gelu|identity", vision.mm_projector_type):
        raise CheckpointError(
            f"mm_projector_type {vision.mm_projector_type!r} is unknown; "
            "known: linear, mlp2x_gelu (or with another number of layers), identity"
        )
    folder = resolve_folder(base)
    values = read_config_dict(folder)
    family = family_of(values.get("model_type", ""))
    tower = resolve_folder(vision.mm_vision_tower)
    vision_config = tower_config(tower)
    regions = regions or RegionSettings(**{k: values[k] for k in RegionSettings.__dataclass_fields__ if k in values})
    values = {key: value for key, value in values.items() if key not in _DROPPED}
    values.update(asdict(vision), **asdict(regions))
    values.update(
        mm_vision_tower=tower,
        mm_hidden_size=vision_config.hidden_size,
        use_mm_proj=True,
        mm_use_im_start_end=False,
        mm_use_im_patch_token=False,
        mm_conversation_template=template or values.get("mm_conversation_template") or family.template,
        mm_base_model=folder,
    )
    values.pop("image_grid_pinpoints", None)
    if vision.image_aspect_ratio == "anyres":
        side = vision_config.image_size
        if not isinstance(side, int):
            raise CheckpointError(f"vision tower {vision.mm_vision_tower}: anyres needs a square input, not {side}")
        canvases = vision.image_grid_pinpoints or default_canvases(side)
        values["image_grid_pinpoints"] = [list(canvas) for canvas in canvases]  # LLaVA takes lists only
    return family.config_class.from_dict(values)


def default_canvases(side: int) -> tuple[tuple[int, int], ...]:
    """Canvases of ``anyres``, (width, height) in pixels: those of LLaVA-1.6, in units of the tower's side."""
    return tuple((side * columns, side * rows) for columns, rows in ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3)))


def read_config_dict(folder: str) -> dict[str, Any]:
    """Read a folder's or a Hub id's ``config.json`` as it is, whatever its model type.

    Raises:
        CheckpointError: There is none, or it is not JSON.
    """
    check_exists(folder)
    try:
        values, _ = PretrainedConfig.get_config_dict(folder)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: no readable config.json here: {_first_line(error)}") from error
    if not values:
        raise CheckpointError(f"{folder}: no config.json here, so this is not a model folder")
    return values


def load_config(folder: str, *, tower: str | None = None) -> PretrainedConfig:
    """Load the config of a checkpoint of ours, or of LLaVA's as one without regions, with the tower's place resolved.

    Args:
        folder: The checkpoint.
        tower: Where the tower of a checkpoint of ours is, where it is no longer in the place that the config names.

    Raises:
        CheckpointError: It is neither, or ``tower`` is of another size.
    """
    values = read_config_dict(folder)
    model_type = values.get("model_type", "")
    if is_llava_type(model_type):
        return _without_regions(folder, values)
    if not model_type.startswith("mgimm_"):
        raise CheckpointError(
            f"{folder}: config.json says model_type {model_type!r}, which is neither an MGIMM nor a LLaVA checkpoint"
        )
    family_of(model_type)
    config = AutoConfig.from_pretrained(folder)
    if tower is None:
        config.mm_vision_tower = named_folder(config.mm_vision_tower, folder, "vision tower")
        return config
    config.mm_vision_tower = resolve_folder(tower)
    size = tower_config(config.mm_vision_tower).hidden_size
    if size != config.mm_hidden_size:
        raise CheckpointError(
            f"vision tower {tower}: has size {size}; {folder} was trained with {config.mm_hidden_size}"
        )
    return config


def tower_config(tower: str) -> CLIPVisionConfig:
    """Read the config of a vision tower: a CLIP model, or its vision side alone.

    Raises:
        CheckpointError: There is none, or it is of a model of another kind.
    """
    try:
        model_type = read_config_dict(tower).get("model_type")
    except CheckpointError as error:
        raise CheckpointError(f"vision tower {error}") from error
    if model_type not in _CLIP_TYPES:  # transformers would take it, with a warning
        raise CheckpointError(f"vision tower {tower}: is a {model_type}, not a CLIP vision tower")
    return CLIPVisionConfig.from_pretrained(tower)


def is_llava_type(model_type: str) -> bool:
    """Is this the ``model_type`` of a checkpoint of LLaVA's own code."""
    return model_type == "llava" or model_type.startswith("llava_")


def _without_regions(folder: str, values: dict[str, Any]) -> PretrainedConfig:
    if not values.get("mm_vision_tower"):
        raise CheckpointError(f"{folder}: config.json names no mm_vision_tower: not written by LLaVA's own code")
    if values.get("mm_use_im_start_end"):
        raise CheckpointError(f"{folder}: made with mm_use_im_start_end; such models are not supported")
    given = {key: values[key] for key in VisionSettings.__dataclass_fields__ if values.get(key) is not None}
    given = {**_LLAVA_DEFAULTS, **given}
    given["mm_vision_tower"] = named_folder(given["mm_vision_tower"], folder, "vision tower")
    if "image_grid_pinpoints" in given:
        given["image_grid_pinpoints"] = _canvases(folder, given["image_grid_pinpoints"])
    config = multimodal_config(folder, VisionSettings(**given), RegionSettings(mm_region_encoder="none"))
    setattr(config, TUNED_TOWER, bool(values.get(TUNED_TOWER)))
    return config


def _canvases(folder: str, value: Any) -> tuple[tuple[int, int], ...]:
    """Sides of the canvases of ``anyres``; LLaVA's own flag is a text."""
    try:
        canvases = literal_eval(value) if isinstance(value, str) else value
        return tuple((int(width), int(height)) for width, height in canvases)
    except (ValueError, TypeError, SyntaxError) as error:
        raise CheckpointError(f"{folder}: config.json: image_grid_pinpoints {value!r}: not pairs of sides") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
