"""How the regions of a conversation come before a model: as region tokens, in words, or not at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mgimm_plugin.constants import BOX_UNITS, DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.errors import RecordError
from mgimm_plugin.region_settings import RegionSettings

IN_WORDS, NOT_AT_ALL = "box_text", "none"

_DEFAULTS = RegionSettings()

COORDINATE_STEPS = 100
"""Coordinates in words count hundredths of the tower's frame."""


@dataclass(frozen=True, slots=True)
class RegionInput:
    """What a model's settings say about regions.

    Attributes:
        encoder: ``mm_region_encoder`` of the config. ``box_text`` and ``none`` take no boxes; all others do.
        tokens_per_region: Positions of the language model that a ``<region>`` takes.
    """

    encoder: str = _DEFAULTS.mm_region_encoder
    tokens_per_region: int = _DEFAULTS.mm_region_tokens

    @classmethod
    def of(cls, config: Any) -> RegionInput:
        """Read a model's config."""
        settings = RegionSettings.of(config)
        return cls(settings.mm_region_encoder, settings.mm_region_tokens)

    @property
    def takes_boxes(self) -> bool:
        """Whether boxes go into the batch, one for each ``<region>``."""
        return self.encoder not in (IN_WORDS, NOT_AT_ALL)

    def shown(self, texts: Sequence[str]) -> list[str]:
        """Put the image before questions whose regions would not show it, or take the regions out.

        Args:
            texts: What both sides say in turn; the first text is the first question.

        Raises:
            RecordError: The model takes no regions, and the conversation is about nothing else.
        """
        first, *others = texts
        if self.takes_boxes or not any(DEFAULT_REGION_TOKEN in text for text in texts):
            return list(texts)
        if self.encoder == IN_WORDS:
            shows_it = any(DEFAULT_IMAGE_TOKEN in text for text in texts)
            return list(texts) if shows_it else [f"{DEFAULT_IMAGE_TOKEN}\n{first}", *others]
        if DEFAULT_IMAGE_TOKEN not in first:
            raise RecordError(
                f"asks about a region without {DEFAULT_IMAGE_TOKEN}, and this model takes no regions "
                f"(mm_region_encoder {self.encoder}): ask it about whole images only"
            )
        return [without_regions(text) for text in texts]

    def written(self, texts: Sequence[str], boxes: Tensor) -> list[str]:
        """Write each ``<region>`` of ``shown`` texts as the words for its box, where the model is told in words.

        Args:
            texts: What ``shown`` returned.
            boxes: ``[R, 4]`` integers, xyxy in 1/BOX_UNITS of the tower's frame, one for each ``<region>``.
        """
        if self.encoder != IN_WORDS:
            return list(texts)
        words = iter([box_in_words(box) for box in boxes.tolist()])
        return [re.sub(DEFAULT_REGION_TOKEN, lambda _: next(words), text) for text in texts]


def box_in_words(box: Sequence[int]) -> str:
    """Write a box as ``{<x1><y1><x2><y2>}`` in hundredths of the tower's frame.

    This is the notation of GeoChat (Kuckreja et al., CVPR 2024), integers from 0 to 100 in these brackets, without the
    angle that it gives last: boxes here are upright. ``mgimm prepare geochat`` reads it.
    """
    return "{" + "".join(f"<{round(edge * COORDINATE_STEPS / BOX_UNITS)}>" for edge in box) + "}"


def without_regions(text: str) -> str:
    """A question without its ``<region>`` tokens; a line that held nothing else goes too."""
    lines = []
    for line in text.split("\n"):
        kept = " ".join(line.replace(DEFAULT_REGION_TOKEN, " ").split()) if DEFAULT_REGION_TOKEN in line else line
        if kept or DEFAULT_REGION_TOKEN not in line:
            lines.append(kept)
    return "\n".join(lines)
