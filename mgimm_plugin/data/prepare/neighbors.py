"""The nearest of many boxes, without a look at each: buildings come by the ten thousand on one raster."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_GROUP: Final = 64
"""Boxes of one group, about: a look at all groups, and at all boxes of a few, cost the same for some thousands."""


class Nearest(NamedTuple):
    """The nearest box.

    Attributes:
        row: Its row.
        gaps: ``[4]``: how far the box that is asked about is left of it, right of it, above and below; negative where
            they overlap.
    """

    row: int
    gaps: NDArray[np.float64]


class BoxIndex:
    """Finds the nearest of some boxes; of several that are as near, the first.

    Boxes that are about as large and lie together are a group, with the box around them. No box of a group is nearer
    than that one, so that few groups have to be looked into.

    Args:
        boxes: ``[N, 4]`` xyxy, finite.
    """

    def __init__(self, boxes: NDArray[np.float64]) -> None:
        self._edges = np.ascontiguousarray(boxes.T)  # [4, N]
        self._groups = list(_groups(boxes))
        around = [(*boxes[rows, :2].min(axis=0), *boxes[rows, 2:].max(axis=0)) for rows in self._groups]
        self._around = np.array(around, dtype=np.float64).reshape(-1, 4).T.copy()

    def nearest(self, box: NDArray[np.float64], without: int | None = None) -> Nearest | None:
        """Find the box nearest to a box.

        Args:
            box: ``[4]`` xyxy.
            without: A row that does not count, such as the box itself.

        Returns:
            None where there is no other box.
        """
        if self._edges.shape[1] - (without is not None) < 1:
            return None
        at_least = _distances(_gaps(self._around, box))
        _, limit = self._first_of(self._groups[int(at_least.argmin())], box, without)
        # Rounding may put a box a little nearer than its group.
        near = np.flatnonzero(at_least * (1 - 1e-9) <= limit)
        row, _ = self._first_of(np.concatenate([self._groups[number] for number in near]), box, without)
        return Nearest(row, _gaps(self._edges[:, [row]], box)[:, 0])

    def _first_of(self, rows: NDArray[np.intp], box: NDArray[np.float64], without: int | None) -> tuple[int, float]:
        """The first of the nearest of some rows, and its distance: infinite where none counts."""
        distances = _distances(_gaps(self._edges[:, rows], box))
        distances[rows == without] = math.inf
        distance = float(distances.min())
        return int(rows[distances == distance].min()), distance


def _gaps(edges: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[4, N]`` as in ``Nearest``, for ``[4, N]`` edges of boxes."""
    left, top, right, bottom = edges
    return np.array([left - own[2], own[0] - right, top - own[3], own[1] - bottom])


def _distances(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[N]`` distances from edge to edge; 0 where boxes overlap."""
    left, right, above, below = gaps
    return np.hypot(np.maximum(left, right).clip(0), np.maximum(above, below).clip(0))


def _groups(boxes: NDArray[np.float64]) -> Iterator[NDArray[np.intp]]:
    """Rows of boxes that lie together: of one size up to a factor of two, cut into columns and those into cells."""
    _, sizes = np.frexp((boxes[:, 2:] - boxes[:, :2]).max(axis=1))
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        rows = rows[boxes[rows, 0].argsort(kind="stable")]
        for column in np.array_split(rows, math.ceil(math.sqrt(len(rows) / _GROUP))):
            column = column[boxes[column, 1].argsort(kind="stable")]
            yield from np.array_split(column, math.ceil(len(column) / _GROUP))
