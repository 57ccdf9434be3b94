"""What turns boxes into region tokens, chosen by ``mm_region_encoder`` in the config."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mgimm_plugin.errors import CheckpointError, RecordError
from mgimm_plugin.model.regions.box_encoder import CORNERS, BoxEncoder
from mgimm_plugin.model.regions.interactive import RegionInteractiveModule
from mgimm_plugin.model.regions.roi import RoiReader, box_average, box_shares, roi_cells
from mgimm_plugin.model.seeded import IdentityLinear, reset_leaf, reset_seeded
from mgimm_plugin.region_settings import RegionSettings

OUTSIDE_BIAS = -6.0
"""Attention bias of a patch that a box has no part in: tokens may still look there, where that is worth it."""


class RegionEncoder(nn.Module):
    """All boxes of a batch to region tokens in one call; a kind of encoder says how in ``encode``."""

    token_counts: tuple[int, ...]
    """The values of ``mm_region_tokens`` that it can make."""

    def __init__(self, channels: int, settings: RegionSettings) -> None:
        super().__init__()
        self.seed = settings.mm_region_seed
        queries = max(0, settings.mm_region_tokens - CORNERS)
        self.box_encoder = BoxEncoder(channels, self.seed, settings.mm_region_fourier_scale, queries)

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
            ``[R, Q, C]`` region features, Q being ``mm_region_tokens``.
        """
        if grid[0] * grid[1] != features.shape[1]:
            raise ValueError(f"a grid of {grid[0]} x {grid[1]} patches does not fit {features.shape[1]} features")
        # Outside autocast: it costs next to nothing here, and the layer norms of the image's side, which are inferred
        # from inner products, keep their precision.
        with torch.autocast(features.device.type, enabled=False):
            return self.encode(features, boxes, image_index, grid)

    def encode(self, features: Tensor, boxes: Tensor, image_index: Tensor, grid: tuple[int, int]) -> Tensor:
        """As ``forward``, which has checked the arguments."""
        raise NotImplementedError


class InteractiveRegionEncoder(RegionEncoder):
    """Box encoder and region interactive module, the paper's F_rim.

    One token a box is the mean of the two; of four, two start from learned queries instead of corners.
    """

    token_counts = (1, 2, 4)
    keeps_start = False

    def __init__(self, channels: int, settings: RegionSettings) -> None:
        super().__init__(channels, settings)
        self.interaction = RegionInteractiveModule(
            channels,
            settings.mm_region_depth,
            settings.mm_region_heads,
            settings.mm_region_mlp_dim,
            image_update=settings.mm_region_image_update,
            keeps_start=self.keeps_start,
        )
        self.averages_tokens = settings.mm_region_tokens == 1
        self.reset_parameters()

    def encode(self, features: Tensor, boxes: Tensor, image_index: Tensor, grid: tuple[int, int]) -> Tensor:
        """Let the encoded corners and the image attend to each other."""
        dtype = self.interaction.final_norm.weight.dtype
        tokens = self.tokens(features, boxes, image_index, grid).to(dtype)
        positions = self.box_encoder.grid(*grid).to(dtype)
        bias = self.attention_bias(boxes, grid)
        bias = None if bias is None else bias.to(dtype)
        out = self.interaction(tokens, features.to(dtype), image_index, positions, bias)
        return out.mean(dim=1, keepdim=True) if self.averages_tokens else out

    def tokens(self, features: Tensor, boxes: Tensor, image_index: Tensor, grid: tuple[int, int]) -> Tensor:
        """The tokens that the module starts from, ``[R, 2 or 4, C]``; the arguments are those of ``forward``."""
        return self.box_encoder(boxes)

    def attention_bias(self, boxes: Tensor, grid: tuple[int, int]) -> Tensor | None:
        """What is added to the logits with which the tokens of a box look at the patches, ``[R, T]``; here nothing."""
        return None


class BiasedInteractiveRegionEncoder(InteractiveRegionEncoder):
    """The region interactive module, told which patches are in the box: its tokens' attention is biased to them."""

    def attention_bias(self, boxes: Tensor, grid: tuple[int, int]) -> Tensor:
        """ln(s / max s), and at least ``OUTSIDE_BIAS``, s being the share of the box that a patch has."""
        shares = box_shares(boxes, grid)
        return (shares / shares.amax(dim=1, keepdim=True)).log().clamp(min=OUTSIDE_BIAS)


class SeededInteractiveRegionEncoder(InteractiveRegionEncoder):
    """The region interactive module, whose tokens start from the averaged features of their box too."""

    def __init__(self, channels: int, settings: RegionSettings) -> None:
        super().__init__(channels, settings)
        self.average_norm = nn.LayerNorm(channels)
        self.average = IdentityLinear(channels, channels)
        for module in (self.average_norm, self.average):  # all else was reset above
            reset_leaf(module, self.seed, "")

    def tokens(self, features: Tensor, boxes: Tensor, image_index: Tensor, grid: tuple[int, int]) -> Tensor:
        """The tokens of the box encoder, with what the box shows added to each."""
        average = box_average(features, boxes, image_index, grid).to(self.average.weight.dtype)
        return self.box_encoder(boxes) + self.average(self.average_norm(average))[:, None]


class ResidualInteractiveRegionEncoder(SeededInteractiveRegionEncoder):
    """The seeded module, whose first block leaves the averaged features in the tokens rather than replace them."""

    keeps_start = True


class BiasedResidualInteractiveRegionEncoder(BiasedInteractiveRegionEncoder, ResidualInteractiveRegionEncoder):
    """The residual module with attention biased to the box: tokens start from what it shows, and look there first."""


class RoiAlignRegionEncoder(RegionEncoder):
    """RoIAlign in place of attention, as in GPT4RoI (Zhang et al. 2023), with the same encoded corners."""

    token_counts = (2,)

    def __init__(self, channels: int, settings: RegionSettings) -> None:
        super().__init__(channels, settings)
        self.reader = RoiReader(channels, settings)
        self.reset_parameters()

    def encode(self, features: Tensor, boxes: Tensor, image_index: Tensor, grid: tuple[int, int]) -> Tensor:
        """Read the cells of each box."""
        dtype = self.reader.final_norm.weight.dtype
        cells = roi_cells(features, boxes, image_index, grid).to(dtype)
        return self.reader(cells, self.box_encoder(boxes).to(dtype))


class NoRegionTokens(nn.Module):
    """For a model that is told of boxes in words, as GeoChat is (Kuckreja et al. 2024), or not at all."""

    def __init__(self, channels: int, settings: RegionSettings) -> None:
        super().__init__()
        self.name = settings.mm_region_encoder

    def forward(self, features: Tensor, boxes: Tensor, image_index: Tensor, grid: tuple[int, int]) -> Tensor:
        """No region features, ``[0, 1, C]``, for no boxes; the arguments are those of ``RegionEncoder.forward``.

        Raises:
            RecordError: There are boxes.
        """
        if len(boxes):
            raise RecordError(
                f"the batch has {len(boxes)} boxes, but a model with mm_region_encoder {self.name} takes none"
            )
        return features.new_zeros(0, 1, features.shape[-1])


REGION_ENCODERS: dict[str, type[RegionEncoder | NoRegionTokens]] = {
    "box_text": NoRegionTokens,
    "interactive": InteractiveRegionEncoder,
    "interactive_biased": BiasedInteractiveRegionEncoder,
    "interactive_roi": SeededInteractiveRegionEncoder,
    "interactive_roi_biased": BiasedResidualInteractiveRegionEncoder,
    "interactive_roi_residual": ResidualInteractiveRegionEncoder,
    "none": NoRegionTokens,
    "roi_align": RoiAlignRegionEncoder,
}


def build_region_encoder(config: Any) -> RegionEncoder | NoRegionTokens:
    """Build the region encoder a config asks for, over ``config.mm_hidden_size`` channels.

    Raises:
        CheckpointError: The config names an encoder or a token count that this version does not have, a number of
            heads that does not divide the channels, or features of the tower that are no grid.
    """
    settings = RegionSettings.of(config)
    kind = REGION_ENCODERS.get(settings.mm_region_encoder)
    if kind is None:
        known = ", ".join(sorted(REGION_ENCODERS))
        raise CheckpointError(f"config: mm_region_encoder {settings.mm_region_encoder!r} is unknown; known: {known}")
    if issubclass(kind, RegionEncoder) and settings.mm_region_tokens not in kind.token_counts:
        counts = ", ".join(map(str, kind.token_counts))
        raise CheckpointError(
            f"config: mm_region_tokens is {settings.mm_region_tokens}; "
            f"the {settings.mm_region_encoder} encoder makes {counts} tokens a box"
        )
    selected = getattr(config, "mm_vision_select_feature", "patch")
    if issubclass(kind, RegionEncoder) and selected != "patch":
        raise CheckpointError(
            f"config: mm_vision_select_feature is {selected!r}; "
            f"the {settings.mm_region_encoder} encoder reads boxes from the grid of 'patch'"
        )
    return kind(config.mm_hidden_size, settings)
