"""What turns boxes into region features, chosen by ``mm_region_encoder`` in the config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mgimm_plugin.constants import REGION_TOKENS_PER_BOX
from mgimm_plugin.errors import CheckpointError
from mgimm_plugin.model.box_encoder import BoxEncoder
from mgimm_plugin.model.region_interactive import RegionInteractiveModule
from mgimm_plugin.model.seeded import reset_seeded


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """The ``mm_region_*`` keys of a config; the defaults are the paper's."""

    mm_region_encoder: str = "interactive"
    mm_region_depth: int = 2
    mm_region_heads: int = 8
    mm_region_mlp_dim: int = 2048
    mm_region_tokens: int = REGION_TOKENS_PER_BOX
    mm_region_seed: int = 0

    @classmethod
    def of(cls, config: Any) -> RegionSettings:
        """Read the keys that ``config`` has."""
        present = {name: getattr(config, name) for name in cls.__dataclass_fields__ if hasattr(config, name)}
        return cls(**present)


class InteractiveRegionEncoder(nn.Module):
    """Box encoder and region interactive module, the paper's F_rim."""

    def __init__(self, channels: int, settings: RegionSettings) -> None:
        super().__init__()
        self.seed = settings.mm_region_seed
        self.box_encoder = BoxEncoder(channels, self.seed)
        self.interaction = RegionInteractiveModule(
            channels, settings.mm_region_depth, settings.mm_region_heads, settings.mm_region_mlp_dim
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise every parameter and buffer from the seed."""
        self.box_encoder.reset_parameters()
        reset_seeded(self, self.seed)

    def forward(self, features: Tensor, boxes: Tensor, image_index: Tensor, grid: tuple[int, int]) -> Tensor:
        """Encode all boxes of a batch in one call; R = 0 runs through, so that ranks stay in step.

        Args:
            features: ``[N, T, C]`` patch features, row-major over ``grid``.
            boxes: ``[R, 4]`` integers, xyxy in units of 1/65536 of the tower's frame.
            image_index: ``[R]``, the image that each box is in.
            grid: ``(height, width)`` of the patches; height * width = T.

        Returns:
            ``[R, 2, C]`` region features.
        """
        if grid[0] * grid[1] != features.shape[1]:
            raise ValueError(f"a grid of {grid[0]} x {grid[1]} patches does not fit {features.shape[1]} features")
        dtype = self.interaction.final_norm.weight.dtype
        # Outside autocast: it costs next to nothing here, and the layer norms of the image's side, which are inferred
        # from inner products, keep their precision.
        with torch.autocast(features.device.type, enabled=False):
            corners = self.box_encoder(boxes).to(dtype)
            positions = self.box_encoder.grid(*grid).to(dtype)
            return self.interaction(corners, features.to(dtype), image_index, positions)


REGION_ENCODERS: dict[str, Callable[[int, RegionSettings], nn.Module]] = {"interactive": InteractiveRegionEncoder}


def build_region_encoder(config: Any) -> nn.Module:
    """Build the region encoder a config asks for, over ``config.mm_hidden_size`` channels.

    Raises:
        CheckpointError: The config names an encoder or a token count that this version does not have.
    """
    settings = RegionSettings.of(config)
    if settings.mm_region_encoder not in REGION_ENCODERS:
        known = ", ".join(sorted(REGION_ENCODERS))
        raise CheckpointError(f"config: mm_region_encoder {settings.mm_region_encoder!r} is unknown; known: {known}")
    if settings.mm_region_tokens != REGION_TOKENS_PER_BOX:
        raise CheckpointError(
            f"config: mm_region_tokens is {settings.mm_region_tokens}; "
            f"the {settings.mm_region_encoder} encoder makes {REGION_TOKENS_PER_BOX} tokens a box"
        )
    return REGION_ENCODERS[settings.mm_region_encoder](config.mm_hidden_size, settings)
