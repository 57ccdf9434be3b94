"""The keys of a config that say how regions come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mgimm_plugin.constants import REGION_TOKENS_PER_BOX


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """The ``mm_region_*`` keys of a config, for all that read one or make one.

    The defaults are the paper's, but for the encoder: the paper's is ``interactive``, which has to find out by itself
    where a box lies. ``docs/benchmark_rim.md`` has what that costs.
    """

    mm_region_encoder: str = "interactive_roi_biased"
    mm_region_depth: int = 2
    mm_region_heads: int = 8
    mm_region_mlp_dim: int = 2048
    mm_region_tokens: int = REGION_TOKENS_PER_BOX
    mm_region_image_update: bool = True
    mm_region_fourier_scale: float = 1.0
    mm_region_seed: int = 0

    @classmethod
    def of(cls, config: Any) -> RegionSettings:
        """Read the keys that ``config`` has."""
        present = {name: getattr(config, name) for name in cls.__dataclass_fields__ if hasattr(config, name)}
        return cls(**present)

    def conflicts_with(self, other: RegionSettings) -> list[str]:
        """``key value, not value`` for each key that differs; weights that were trained do not depend on the seed."""
        pairs = ((name, getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return [f"{name} {own}, not {its}" for name, own, its in pairs if own != its and name != "mm_region_seed"]
