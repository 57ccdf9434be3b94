"""Boxes and phrases that are written into a text, as GeoChat and EarthDial do."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.prepare.annotations import AnnotatedObject
from mgimm_plugin.data.prepare.values import checked_box, checked_points, number, shown
from mgimm_plugin.errors import BoxError, RecordError
from mgimm_plugin.geometry import fractions_to_pixels, points_to_xyxy, turned_box_to_points

GRID: Final = 100
"""Boxes are in hundredths of the image."""
_FARTHEST: Final = 2 * GRID

_NUMBER: Final = r"\s*(-?\d+(?:\.\d+)?)\s*"
_GEOCHAT_BOX: Final = re.compile(r"\{" + rf"<{_NUMBER}>" * 4 + rf"(?:\|<{_NUMBER}>)?\|?\}}")
_EARTHDIAL_BOX: Final = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}(?:,{_NUMBER})?\]")
_EARTHDIAL_BOXES: Final = re.compile(r"<box>(.*?)</box>", flags=re.DOTALL)
_PHRASE: Final = re.compile(r"<(p|ref)>(.*?)</\1>", flags=re.DOTALL)
_MARK: Final = "\x1a"
_MARKS: Final = re.compile(rf"{_MARK}(?:\s*(?:<delim>|,|and|;)?\s*{_MARK})*")
# Not every < before a number: "less than <50 m2" speaks of no box.
_REMAINS: Final = re.compile(
    r"</?(?:p|ref|box|delim)>|\{\s*<|\[\[|\|\s*<\s*-?\d|<\s*-?\d+(?:\.\d+)?\s*(?:>|[|{}]|<\s*-?\d)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A box of a text: four numbers in hundredths of the image, before it is turned by ``degrees``."""

    corners: tuple[str, str, str, str]
    degrees: str | None


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text with a mark for each of its boxes, and the boxes.

    Attributes:
        text: The text.
        places: Its boxes, in their order.
    """

    text: str
    places: tuple[Place, ...]

    @property
    def phrases(self) -> list[str]:
        """The phrases in tags."""
        return [tidied(match[2]) for match in _PHRASE.finditer(self.text)]

    @property
    def is_places_only(self) -> bool:
        """Whether there is nothing but boxes, and phrases in tags."""
        return bool(self.places) and not _PHRASE.sub("", _MARKS.sub("", self.text)).strip(" .,;\n")

    def with_tokens(self) -> str:
        """The text with ``<region>`` for each box."""
        return tidied(_PHRASE.sub(r"\2", self.text).replace(_MARK, DEFAULT_REGION_TOKEN))

    def without_boxes(self) -> str:
        """The text without its boxes."""
        return tidied(_PHRASE.sub(r"\2", _MARKS.sub("", self.text)))

    def groups(self) -> list[tuple[str | None, tuple[Place, ...]]]:
        """The boxes that stand together, with the phrase in tags right before them."""
        groups = []
        first = 0
        for match in _MARKS.finditer(self.text):
            count = match[0].count(_MARK)
            before = list(_PHRASE.finditer(self.text, 0, match.start()))
            is_named = bool(before) and not self.text[before[-1].end() : match.start()].strip()
            phrase = tidied(before[-1][2]) if is_named else None
            groups.append((phrase, self.places[first : first + count]))
            first += count
        return groups


def geochat_text(text: str) -> MarkedText:
    """Find boxes ``{<x1><y1><x2><y2>|<angle>}``; the angle may be missing."""
    places: list[Place] = []
    return MarkedText(_GEOCHAT_BOX.sub(_marking(places), _plain(text)), tuple(places))


def earthdial_text(text: str) -> MarkedText:
    r"""Find boxes ``<box>[[x1, y1, x2, y2, angle]]</box>``, in any number of brackets; ``\n`` is a new line.

    Raises:
        RecordError: Tags have no box in them.
    """
    places: list[Place] = []

    def mark_group(match: re.Match[str]) -> str:
        found = len(places)
        _EARTHDIAL_BOX.sub(_marking(places), match[1])
        if len(places) == found:
            raise RecordError(f"has a box that is none: {shown(match[0])}")
        return _MARK * (len(places) - found)

    return MarkedText(_EARTHDIAL_BOXES.sub(mark_group, _plain(text).replace("\\n", "\n")), tuple(places))


def placed_object(place: Place, name: str, phrase: str | None, size: tuple[int, int] | None) -> AnnotatedObject:
    """Turn a box of a text into an object.

    Args:
        place: The box.
        name: The object's ``source_id``.
        phrase: What the source says of it.
        size: Width and height of the image.

    Returns:
        The object; one that is turned has its corners as ``polygon``, the box around them, and its ``angle``.

    Raises:
        RecordError: The image's size is not known.
        BoxError: It is no box on the grid.
    """
    if size is None:
        raise RecordError(
            "has boxes in hundredths of the image, whose size is not known: give the images (--images), or their size "
            "(--image-size 512x512)"
        )
    corners = [number(corner) for corner in place.corners]
    if max(map(abs, corners)) > _FARTHEST:
        raise BoxError(f"box {shown(list(place.corners))} is not on the grid of 0 to {GRID}")
    points = fractions_to_pixels([corner / GRID for corner in corners], *size)
    bbox = checked_box(points.reshape(-1).tolist())
    degrees = 0.0 if place.degrees is None else number(place.degrees)
    if not degrees % 180:
        return AnnotatedObject(source_id=name, bbox=bbox, phrase=phrase)
    polygon = checked_points(turned_box_to_points(bbox, degrees).tolist())
    around = checked_box(points_to_xyxy(polygon)[0].tolist())
    return AnnotatedObject(source_id=name, bbox=around, phrase=phrase, polygon=polygon, extra={"angle": degrees})


def tidied(text: str) -> str:
    """A text without the gaps that tags and boxes leave.

    Raises:
        RecordError: Nothing is left, or half a tag or box is.
    """
    text = text.replace("<delim>", " ")
    text = re.sub(r"[ \t]+([.,;:?!])", r"\1", re.sub(r"[ \t]{2,}", " ", text)).strip()
    remains = _REMAINS.search(text)
    if remains is not None:
        raise RecordError(f"has {shown(remains[0])} of a box or a tag that is not complete")
    if not text:
        raise RecordError("has no words")
    return text


def _plain(text: str) -> str:
    """A text in which nothing but boxes will become a mark or a token."""
    return text.replace(_MARK, " ").replace(DEFAULT_IMAGE_TOKEN, "").replace(DEFAULT_REGION_TOKEN, "region")


def _marking(places: list[Place]) -> Callable[[re.Match[str]], str]:
    def mark(match: re.Match[str]) -> str:
        x1, y1, x2, y2, degrees = match.groups()
        places.append(Place((x1, y1, x2, y2), degrees))
        return _MARK

    return mark
