"""Values of other people, taken with care: whatever they are, the outcome is one of ours or a RecordError."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN
from mgimm_plugin.data.record_parsing import HALF_A_CHARACTER, has_lone_surrogate
from mgimm_plugin.data.records import Box, Polygon
from mgimm_plugin.errors import BoxError, RecordError
from mgimm_plugin.geometry import Boxes, as_boxes

LARGEST_COORDINATE: Final = 1e7
"""Pixels from the origin beyond which a number is no place in an image."""
SMALLEST_SIDE: Final = 1e-3
"""Pixels below which a box encloses nothing."""
DIGITS: Final = 4
"""Decimals that coordinates are rounded to: what is beyond is noise of the conversion, and fills files."""


def number(value: object, **where: Any) -> float:
    """A finite number, written as a number or as a text.

    Args:
        value: What the source has.
        **where: ``file``, ``index``, ``record``, ``field`` for the error.

    Raises:
        RecordError: It is no number, or is NaN or infinite.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        result = float(value)
    except ValueError:
        raise RecordError(f"must be a number, not {shown(value)}", **where) from None
    except OverflowError:  # a whole number of more than 308 digits
        result = math.inf
    if not math.isfinite(result):
        raise RecordError(f"is {result}; only finite numbers are places in an image", **where)
    return result


def whole(value: object, **where: Any) -> int:
    """A whole number, written as a number or as a text; ``3.0`` is one.

    Raises:
        RecordError: It is not.
    """
    result = number(value, **where)
    if not result.is_integer():
        raise RecordError(f"must be a whole number, not {shown(value)}", **where)
    return int(result)


def words(value: object, **where: Any) -> str:
    """A text that is not blank, without white space around it.

    Raises:
        RecordError: It is no such text, or could not be written as UTF-8.
    """
    if not isinstance(value, str):
        raise RecordError("is missing" if value is None else f"must be a text, not {shown(value)}", **where)
    text = value.strip()
    if not text:
        raise RecordError("is empty", **where)
    if has_lone_surrogate(text):
        raise RecordError(HALF_A_CHARACTER, **where)
    if "\0" in text:
        raise RecordError("has a zero byte", **where)
    return text


def sentence(value: object, **where: Any) -> str:
    """A text for the model, in which ``<image>`` and ``<region>``, which mean something to it, are plain words.

    Raises:
        RecordError: It is no such text.
    """
    text = words(value, **where)
    return text.replace(DEFAULT_IMAGE_TOKEN, "image").replace(DEFAULT_REGION_TOKEN, "region")


def checked_size(width: object, height: object, **where: Any) -> tuple[int, int]:
    """Width and height of an image in pixels.

    Raises:
        RecordError: They are no whole numbers, or no size of an image.
    """
    size = whole(width, **{**where, "field": "width"}), whole(height, **{**where, "field": "height"})
    if not all(0 < side <= LARGEST_COORDINATE for side in size):
        raise RecordError(f"{shown(width)} x {shown(height)} is no size of an image", **{**where, "field": "width"})
    return size


def checked_box(values: object, to_xyxy: Callable[[Any], Boxes] = as_boxes, **where: Any) -> Box:
    """Turn four numbers of a source into a box.

    Args:
        values: Four numbers in the source's frame.
        to_xyxy: From ``[1, 4]`` boxes in that frame to xyxy in pixels: a function of ``geometry``.
        **where: ``file``, ``index``, ``record``, ``field`` for the error.

    Returns:
        xyxy in pixels, continuous edges, 0-based; it may stick out of the image.

    Raises:
        BoxError: There are not four numbers, one is NaN, infinite or absurdly large, or the box encloses nothing.
    """
    if not isinstance(values, list | tuple) or len(values) != 4:
        raise BoxError(f"must be four numbers, not {shown(values)}", **where)
    box = [_coordinate(value, where) for value in values]
    x1, y1, x2, y2 = (round(edge, DIGITS) for edge in to_xyxy([box])[0].tolist())
    if not (x2 - x1 >= SMALLEST_SIDE and y2 - y1 >= SMALLEST_SIDE):
        problem = "is reversed: its second corner comes before its first" if x2 < x1 or y2 < y1 else "encloses nothing"
        raise BoxError(f"box {shown(values)} {problem}", **where)
    if max(map(abs, (x1, y1, x2, y2))) > LARGEST_COORDINATE:
        raise BoxError(f"box {shown(values)} reaches further than any image", **where)
    return x1, y1, x2, y2


def checked_points(
    values: object, to_pixels: Callable[[Any], NDArray[np.float64]] | None = None, **where: Any
) -> Polygon:
    """Turn an outline of a source into points.

    Args:
        values: Three or more ``[x, y]`` in the source's frame.
        to_pixels: From ``[P, 2]`` points in that frame to pixels, where it is another: a function of ``geometry``.
        **where: ``file``, ``index``, ``record``, ``field`` for the error.

    Raises:
        BoxError: They are not such points.
    """
    if not isinstance(values, list | tuple):
        raise BoxError(f"must be a list of points, not {shown(values)}", **where)
    points = []
    for value in values:
        if not isinstance(value, list | tuple) or len(value) < 2:
            raise BoxError(f"must be points x, y, not {shown(value)}", **where)
        points.append([_coordinate(coordinate, where) for coordinate in value[:2]])
    if len(points) < 3:
        raise BoxError(f"has {len(points)} points; an outline needs three", **where)
    if to_pixels is not None:
        points = [[_coordinate(coordinate, where) for coordinate in point] for point in to_pixels(points).tolist()]
    return tuple((round(x, DIGITS), round(y, DIGITS)) for x, y in points)


def shown(value: object) -> str:
    """A value for an error message: cut where it is long."""
    return _SHORT.repr(value)


_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxlist = _SHORT.maxtuple = 8


def _coordinate(value: object, where: dict[str, Any]) -> float:
    try:
        result = number(value)
    except RecordError as error:
        raise BoxError(error.message, **where) from None
    if abs(result) > LARGEST_COORDINATE:
        raise BoxError(f"has the number {result:g}, which lies outside any image", **where)
    return result
