"""The record and its parts. ``docs/data_formats.md`` has it in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN

Box = tuple[float, float, float, float]
"""``x1, y1, x2, y2``."""

Polygon = tuple[tuple[float, float], ...]
"""``x, y`` of each corner."""


@dataclass(frozen=True, slots=True)
class Region:
    """An object or place in an image.

    Attributes:
        bbox: ``x1, y1, x2, y2`` in pixels of the original image, continuous edges, 0-based; may stick out of the image.
        category: Its class.
        phrase: A short description of it.
        attributes: Ground truth by name: ``category``, ``color``, ``shape``, ``size``, ``position``.
        polygon: Its outline as ``(x, y)`` points in the frame of ``bbox``.
        extra: Keys of the file that mean nothing here.
    """

    bbox: Box
    category: str | None = None
    phrase: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    polygon: Polygon | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says; ``role`` is ``human`` or ``gpt``."""

    role: str
    value: str


@dataclass(frozen=True, slots=True)
class Record:
    """An image with regions and a conversation.

    Attributes:
        id: Names the record in errors and predictions.
        image: Path relative to the image folder, or None for text alone.
        width: Width of the image in pixels, where the file says it.
        height: Height of the image in pixels, where the file says it.
        regions: Regions, in the order in which the conversation's ``<region>`` tokens take them.
        conversations: Turns, human and gpt by turns, the human first.
        references: Further reference answers to the first question.
        extra: Keys of the file that mean nothing here.
    """

    id: str
    image: str | None
    width: int | None
    height: int | None
    regions: tuple[Region, ...]
    conversations: tuple[Turn, ...]
    references: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def region_token_count(self) -> int:
        """Number of ``<region>`` tokens in the conversation."""
        return sum(turn.value.count(DEFAULT_REGION_TOKEN) for turn in self.conversations)

    @property
    def has_image_token(self) -> bool:
        """Whether the language model is shown the whole image."""
        return DEFAULT_IMAGE_TOKEN in self.conversations[0].value
