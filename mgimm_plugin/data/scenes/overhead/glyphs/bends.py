"""What runs on: straight, along a curve, or with a bend in the middle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mgimm_plugin.data.scenes.overhead.glyphs.forms import Points, Polygon


class Bend(NamedTuple):
    """How something that runs along y (or x) is bent sideways.

    Attributes:
        shape: ``straight``, ``curved`` or ``angled``; anything else is straight.
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

    def strip(self, x1: float, y1: float, x2: float, y2: float) -> Polygon:
        """A rectangle with enough corners to be bent."""
        low, high = (y1, y2) if self.lengthwise else (x1, x2)
        if self.shape == "curved":
            count = max(1, round(abs(high - low) * 7))
            stops = [low + (high - low) * k / count for k in range(count + 1)]
        elif self.shape == "angled" and low < 0 < high:
            stops = [low, 0.0, high]
        else:
            stops = [low, high]
        if self.lengthwise:
            return [(x1, y) for y in stops] + [(x2, y) for y in reversed(stops)]
        return [(x, y1) for x in stops] + [(x, y2) for x in reversed(stops)]
