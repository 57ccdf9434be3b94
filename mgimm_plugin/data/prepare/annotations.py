"""What every reader of a foreign format yields: images with their objects, captions and dialogues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.records import Box, Polygon, Turn

FROM_SOURCE: Final = "source"
MADE: Final = "made"
"""How a record's answer came about: the source's words, or made from measured attributes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedObject:
    """One object of a source.

    Attributes:
        source_id: Its name in the source, unique there: ``00001-0``, or the source's own id.
        bbox: xyxy in pixels of the original image, continuous edges, 0-based; encloses something, may stick out.
        category: Its class, as the source writes it.
        phrase: A sentence of the source about this object.
        polygon: Its outline in the frame of ``bbox``, where the source has one (oriented boxes too).
        split: The source's split, where it is one of objects.
        attributes: Ground truth of the source by name; what is measured does not replace it.
        extra: What else the source says of it (``difficult``, ``iscrowd``, ...); kept in the region.
    """

    source_id: str
    bbox: Box
    category: str | None = None
    phrase: str | None = None
    polygon: Polygon | None = None
    split: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_crowd(self) -> bool:
        """Whether it is many things in one box, which the source did not tell apart (COCO's ``iscrowd``)."""
        return self.extra.get("iscrowd") in (1, "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """A conversation of the source.

    Attributes:
        turns: Human and gpt by turns, the human first; ``<image>`` is left out, ``<region>`` stands where the source
            speaks of a place.
        objects: Positions in ``AnnotatedImage.objects``, one for each ``<region>`` of the turns, in their order.
        shows_image: Whether the model is shown the whole image.
        references: Further right answers of the source to the first question.
        provenance: ``source``, ``source_id`` and ``text``, where the source is a set of records that says them itself.
        extra: What else the source says of it; kept in the record.
    """

    turns: tuple[Turn, ...]
    objects: tuple[int, ...] = ()
    shows_image: bool = True
    references: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedImage:
    """One image of a source.

    Attributes:
        source_id: Its name in the source, unique there.
        file_name: Path relative to the image folder; None for text alone.
        width: Width in pixels, None where neither the source nor an image says it.
        height: Height in pixels.
        objects: Its objects, in the source's order.
        is_complete: Whether these are all that the source has of it; not where an object was dropped as bad, which a
            count and "the ship" would leave out.
        captions: One-sentence captions of the source.
        descriptions: Detailed descriptions of the source.
        dialogues: Conversations of the source.
        split: The source's split, where it is one of images.
        extra: What else the source says of it; kept in the records.
        file: The source's file that it is annotated in, or the first of several.
        index: Its position in that file, where the file has a list of images.
    """

    source_id: str
    file_name: str | None
    width: int | None = None
    height: int | None = None
    objects: tuple[AnnotatedObject, ...] = ()
    is_complete: bool = True
    captions: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    dialogues: tuple[Dialogue, ...] = ()
    split: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None
    index: int | None = None
