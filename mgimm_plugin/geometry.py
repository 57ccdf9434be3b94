"""Every change of box frame, and nothing else. numpy only.

Frames:
    pixels: ``xyxy`` in pixels of the original image, 0-based, continuous edges: the first pixel spans [0, 1], and a box
        around the whole image is ``(0, 0, width, height)``.
    unit: ``xyxy`` in [0, 1] of the square that the vision tower sees, after padding, resizing and cropping.
    units: the same as int64 multiples of ``1 / BOX_UNITS``, the form in which boxes travel in a batch.

Sizes are always given as ``width, height``, in this order and under these names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgimm_plugin.constants import ASPECT_RATIO_MODES, BOX_UNITS
from mgimm_plugin.errors import BoxError, MgimmError

Boxes = NDArray[np.float64]
"""``[R, 4]`` boxes, ``x1, y1, x2, y2``."""


_ROUNDING = 0.005
"""Of the frame: a box that is cut by less is not told of, as images that are nearly square lose a pixel or two."""


@dataclass(frozen=True, slots=True)
class ImageFrame:
    """The affine map from an image's pixels to the square the tower sees: ``unit = pixel * scale + offset``.

    Attributes:
        width: Width of the original image in pixels.
        height: Height of the original image in pixels.
        scale: Unit lengths per pixel, along x and y.
        offset: Where the image's top-left corner lies in the unit square; negative where it is cropped away.
    """

    width: int
    height: int
    scale: tuple[float, float]
    offset: tuple[float, float]

    def to_unit(self, boxes_xyxy: ArrayLike) -> Boxes:
        """Map boxes from pixels to the unit square, clipped to it.

        Args:
            boxes_xyxy: ``[R, 4]`` boxes in pixels of the original image.

        Returns:
            ``[R, 4]`` float64 boxes in [0, 1].

        Raises:
            BoxError: Nothing is left of a box, because it lies where the frame is cropped.
        """
        boxes = as_boxes(boxes_xyxy)
        unit = np.clip(boxes * np.tile(self.scale, 2) + np.tile(self.offset, 2), 0.0, 1.0)
        for row in np.flatnonzero(_is_empty(unit)):
            raise BoxError(
                f"box {_text(boxes[row])} lies outside the part of the {self.width}x{self.height} image that "
                "the vision tower sees: this model's image_aspect_ratio crops images; pad and resize keep them whole",
                field=f"regions[{row}].bbox",
            )
        return unit

    def cuts(self, boxes_xyxy: ArrayLike) -> NDArray[np.bool_]:
        """Which of ``[R, 4]`` boxes in pixels stick out of the unit square, by more than rounding: ``[R]``."""
        unit = as_boxes(boxes_xyxy) * np.tile(self.scale, 2) + np.tile(self.offset, 2)
        return np.asarray(((unit < -_ROUNDING) | (unit > 1.0 + _ROUNDING)).any(axis=1))

    def to_pixels(self, boxes_unit: ArrayLike) -> Boxes:
        """Map ``[R, 4]`` boxes from the unit square back to pixels of the original image; not clipped to it."""
        return (as_boxes(boxes_unit) - np.tile(self.offset, 2)) / np.tile(self.scale, 2)


def frame_for(width: int, height: int, *, mode: str, frame_size: int) -> ImageFrame:
    """Describe where an image lands in the tower's frame.

    Args:
        width: Width of the original image in pixels.
        height: Height of the original image in pixels.
        mode: ``pad`` centres the image on a square canvas and resizes that; ``resize`` stretches the image to the
            square, and so does ``anyres`` for its base view, the one regions are read from; ``square`` is LLaVA's
            default, the shorter side resized to the frame and the centre cropped out.
        frame_size: Side of the tower's input in pixels (only ``square`` depends on it, through its rounding).

    Raises:
        MgimmError: ``mode`` is none of these.
    """
    if mode == "pad":
        side = max(width, height)
        left, top = (side - width) // 2, (side - height) // 2
        return ImageFrame(width, height, (1 / side, 1 / side), (left / side, top / side))
    if mode in ("resize", "anyres"):
        return ImageFrame(width, height, (1 / width, 1 / height), (0.0, 0.0))
    if mode == "square":
        new_width, new_height = shortest_edge_size(width, height, frame_size)
        # Resizing rounds the long side to whole pixels, so that the two scales differ by a hair.
        left, top = (new_width - frame_size) // 2, (new_height - frame_size) // 2
        return ImageFrame(
            width,
            height,
            (new_width / width / frame_size, new_height / height / frame_size),
            (-left / frame_size, -top / frame_size),
        )
    raise MgimmError(f"image_aspect_ratio is {mode!r}; it must be one of {', '.join(ASPECT_RATIO_MODES)}")


def shortest_edge_size(width: int, height: int, shortest_edge: int) -> tuple[int, int]:
    """Return ``(width, height)`` after the shorter side is resized to ``shortest_edge``; the longer is rounded down."""
    longest_edge = int(shortest_edge * max(width, height) / min(width, height))
    return (shortest_edge, longest_edge) if width <= height else (longest_edge, shortest_edge)


def clip_boxes(
    boxes_xyxy: ArrayLike,
    width: int,
    height: int,
    *,
    file: object = None,
    index: int | None = None,
    record: object = None,
) -> tuple[Boxes, int]:
    """Clip boxes to their image.

    Args:
        boxes_xyxy: ``[R, 4]`` boxes in pixels.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        file: File of the record, for errors.
        index: Position of the record in its file, for errors.
        record: Id of the record, for errors.

    Returns:
        The clipped ``[R, 4]`` float64 boxes, and how many of them stuck out.

    Raises:
        BoxError: A box has a NaN or infinite number, reversed corners, or lies wholly outside the image.
    """
    boxes = as_boxes(boxes_xyxy)
    clipped = np.clip(boxes, 0.0, np.tile(np.array([width, height], dtype=np.float64), 2))
    finite = np.asarray(np.isfinite(boxes).all(axis=1))
    for row in np.flatnonzero(~finite | _is_empty(boxes) | _is_empty(clipped)):
        if not finite[row]:
            problem = "has a number that is NaN or infinite"
        elif _is_empty(boxes)[row]:
            problem = "encloses nothing: it must have x1 < x2 and y1 < y2"
        else:
            problem = f"lies outside the {width}x{height} image"
        raise BoxError(
            f"box {_text(boxes[row])} {problem}", file=file, index=index, record=record, field=f"regions[{row}].bbox"
        )
    return clipped, int((clipped != boxes).any(axis=1).sum())


def quantize_boxes(boxes_unit: ArrayLike) -> NDArray[np.int64]:
    """Round ``[R, 4]`` boxes in [0, 1] to int64 multiples of ``1 / BOX_UNITS``; a thin one keeps x1 < x2, y1 < y2."""
    units = np.clip(np.rint(as_boxes(boxes_unit) * BOX_UNITS), 0, BOX_UNITS).astype(np.int64)
    top_left = np.minimum(units[:, :2], BOX_UNITS - 1)
    return np.concatenate([top_left, np.maximum(units[:, 2:], top_left + 1)], axis=1)


def voc_to_xyxy(boxes_voc: ArrayLike) -> Boxes:
    """Convert Pascal VOC's ``xmin, ymin, xmax, ymax`` (1-based pixels, both corners inside the box) to pixels.

    The pixel ``xmin`` spans ``[xmin - 1, xmin]``, so that the left edge moves by one and the right edge stays.
    """
    return as_boxes(boxes_voc) - np.array([1.0, 1.0, 0.0, 0.0])


def xywh_to_xyxy(boxes_xywh: ArrayLike) -> Boxes:
    """Convert COCO's ``x, y, width, height`` (0-based, continuous) to pixels."""
    boxes = as_boxes(boxes_xywh)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def yolo_to_xyxy(boxes_cxcywh: ArrayLike, width: int, height: int) -> Boxes:
    """Convert YOLO's ``centre x, centre y, width, height`` (fractions of the image) to pixels."""
    boxes = as_boxes(boxes_cxcywh)
    half = boxes[:, 2:] / 2
    corners = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return corners * np.tile(np.array([width, height], dtype=np.float64), 2)


def fractions_to_pixels(points_xy: ArrayLike, width: int, height: int) -> NDArray[np.float64]:
    """Convert ``[P, 2]`` points from fractions of the image to pixels. A box is two points."""
    points = np.asarray(points_xy, dtype=np.float64).reshape(-1, 2)
    return points * np.array([width, height], dtype=np.float64)


def turned_box_to_points(box_xyxy: ArrayLike, degrees: float) -> NDArray[np.float64]:
    """Turn a box about its center.

    Args:
        box_xyxy: Four numbers in pixels: the box before it is turned.
        degrees: Angle, counterclockwise as one sees it (y grows downward).

    Returns:
        ``[4, 2]`` corners in pixels, from the one that was top left.
    """
    ((x1, y1, x2, y2),) = as_boxes(np.reshape(np.asarray(box_xyxy, dtype=np.float64), (1, 4)))
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
    center = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (corners - center) @ np.array([[cosine, -sine], [sine, cosine]]) + center


def map_to_pixels(points_xy: ArrayLike, pixel_to_map: Sequence[float]) -> NDArray[np.float64]:
    """Convert points of a map to pixels of a georeferenced raster.

    Args:
        points_xy: ``[P, 2]`` points in the raster's reference system.
        pixel_to_map: The raster's transform ``a, b, c, d, e, f``: ``x = a * column + b * row + c`` and
            ``y = d * column + e * row + f``, column and row being continuous pixel edges.

    Returns:
        ``[P, 2]`` points in pixels.

    Raises:
        BoxError: The transform has no inverse.
    """
    a, b, c, d, e, f = pixel_to_map
    determinant = a * e - b * d
    if not (np.isfinite(determinant) and determinant != 0):
        raise BoxError("the raster's transform has no inverse: it does not say where its pixels are")
    x, y = (np.asarray(points_xy, dtype=np.float64).reshape(-1, 2) - np.array([c, f])).T
    return np.stack([(e * x - b * y) / determinant, (a * y - d * x) / determinant], axis=1)


def points_to_xyxy(points_xy: ArrayLike) -> Boxes:
    """Return the ``[1, 4]`` upright box around ``[P, 2]`` points of a polygon, in the points' own frame."""
    points = np.asarray(points_xy, dtype=np.float64).reshape(-1, 2)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])[None]


def grid_boxes(grid: str, width: int, height: int) -> Boxes:
    """Cut an image into cells for users without boxes.

    Args:
        grid: ``"ROWSxCOLUMNS"``, such as ``"3x4"``: three rows of four cells.
        width: Width of the image in pixels.
        height: Height of the image in pixels.

    Returns:
        ``[ROWS * COLUMNS, 4]`` boxes in pixels, row by row from the top left; together they cover the image.

    Raises:
        MgimmError: ``grid`` is not of that form, or has more cells than the image has pixels along a side.
    """
    match = re.fullmatch(r"\s*([1-9]\d{0,5})\s*[xX]\s*([1-9]\d{0,5})\s*", grid)
    if match is None:
        raise MgimmError(f"grid {grid!r} is not ROWSxCOLUMNS; write for example 3x4")
    rows, columns = int(match[1]), int(match[2])
    if rows > height or columns > width:
        raise MgimmError(f"a grid of {rows}x{columns} has cells smaller than a pixel of the {width}x{height} image")
    x, y = np.linspace(0, width, columns + 1), np.linspace(0, height, rows + 1)
    left, top = np.meshgrid(x[:-1], y[:-1])
    right, bottom = np.meshgrid(x[1:], y[1:])
    return np.stack([left, top, right, bottom], axis=-1).reshape(-1, 4)


def as_boxes(boxes: ArrayLike) -> Boxes:
    """Return boxes as ``[R, 4]`` float64; no boxes at all become ``[0, 4]``.

    Raises:
        BoxError: They are not rows of four numbers.
    """
    try:
        array = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BoxError(f"boxes must be rows of four numbers x1, y1, x2, y2: {error}") from error
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise BoxError(f"boxes must be rows of four numbers x1, y1, x2, y2, not an array of shape {array.shape}")
    return array


def _is_empty(boxes: Boxes) -> NDArray[np.bool_]:
    # Not `<=`: a NaN has to count as empty as well.
    return np.logical_not((boxes[:, 2:] > boxes[:, :2]).all(axis=1))


def _text(box: Boxes) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box) + "]"
