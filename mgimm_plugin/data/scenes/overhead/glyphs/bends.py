"""What runs on: straight, along a curve, or with a bend in the middle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mgimm_plugin.data.scenes.overhead.glyphs.forms import Pair, Polygon
from mgimm_plugin.data.scenes.scene import Points


class Bend(NamedTuple):
    """How something that runs along y (or x) from -1 to 1 is bent sideways.

    Attributes:
        shape: ``curved`` or ``angled``; anything else is straight.
        depth: How far its middle lies aside, in the glyph's unit.
        lengthwise: Whether it runs along y; otherwise along x.
    """

    shape: str
    depth: float
    lengthwise: bool = True

    def apply(self, points: Points) -> Points:
        """The points ``[N, 2]`` moved sideways by how near they are to the middle."""
        along = points[:, 1 if self.lengthwise else 0]
        if self.shape == "curved":
            aside = self.depth * (1 - along**2)
        elif self.shape == "angled":
            aside = self.depth * (1 - np.abs(along))
        else:
            return points
        bent = points.copy()
        bent[:, 0 if self.lengthwise else 1] += aside
        return bent

    def edge(self, start: float, end: float, aside: float) -> Polygon:
        """A line from ``start`` to ``end`` along it, ``aside`` of its axis, with enough points to be bent."""
        if self.shape == "curved":
            count = max(1, round(abs(end - start) * 7))
            stops = [start + (end - start) * k / count for k in range(count + 1)]
        elif self.shape == "angled" and min(start, end) < 0 < max(start, end):
            stops = [start, 0.0, end]
        else:
            stops = [start, end]
        return [self._pair(along, aside) for along in stops]

    def strip(self, x1: float, y1: float, x2: float, y2: float) -> Polygon:
        """A rectangle with enough corners to be bent."""
        if self.lengthwise:
            return self.edge(y1, y2, x1) + self.edge(y2, y1, x2)
        return self.edge(x1, x2, y1) + self.edge(x2, x1, y2)

    def _pair(self, along: float, aside: float) -> Pair:
        return (aside, along) if self.lengthwise else (along, aside)
