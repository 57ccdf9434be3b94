"""How each of the 20 categories looks from above: polygons, drawn in order.

The frame of a glyph is [-1, 1] x [-1, 1], x to the right, y down, its front up; its longer side fills the frame, and
its middle is 0. Everything is a polygon, so that the exact box of a turned and stretched glyph follows from its points.
What carries traffic (bridge, overpass, toll station, train station, runway) does so along y; a dam runs along x, with
its reservoir up and its outflow down.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import numpy as np

from mgimm_plugin.data.scenes.overhead.glyphs import (
    airport,
    courts,
    craft,
    fields,
    golf,
    quays,
    roads,
    roadside,
    spans,
    stadium,
    towers,
)
from mgimm_plugin.data.scenes.overhead.glyphs.forms import Glyph, Part, Sketch
from mgimm_plugin.data.scenes.scene import Points

__all__ = ["Glyph", "Part", "Points", "bounds", "glyph", "placed"]

_DRAWINGS: Final[dict[str, Callable[[Sketch, str], Glyph]]] = {
    "airplane": craft.airplane,
    "airport": airport.airport,
    "baseball field": fields.baseball_field,
    "basketball court": courts.basketball_court,
    "bridge": spans.bridge,
    "chimney": towers.chimney,
    "dam": spans.dam,
    "expressway service area": roadside.service_area,
    "expressway toll station": roadside.toll_station,
    "golf field": golf.golf_field,
    "ground track field": fields.ground_track_field,
    "harbor": quays.harbor,
    "overpass": roads.overpass,
    "ship": craft.ship,
    "stadium": stadium.stadium,
    "storage tank": towers.storage_tank,
    "tennis court": courts.tennis_court,
    "train station": quays.train_station,
    "vehicle": craft.vehicle,
    "windmill": craft.windmill,
}


def glyph(category: str, shape: str, rng: np.random.Generator, *, detail: float = 128.0) -> Glyph:
    """An object seen from above; every call gives another variant of it.

    Args:
        category: One of ``vocabulary.CATEGORIES``.
        shape: One of that category's ``vocabulary.KINDS`` shapes.
        rng: Source of the variation; one number is drawn from it, whatever the object.
        detail: Side of the object in pixels: what would be below half a pixel is left out. Neither its box nor its
            outline depends on it.
    """
    sketch = Sketch(random.Random(int(rng.integers(1 << 62))), detail)
    return _DRAWINGS[category](sketch, shape)


def placed(glyph: Glyph, matrix: Points, offset: Points) -> Glyph:
    """The glyph with its points moved by ``points @ matrix.T + offset``, and its heights scaled alike.

    Args:
        glyph: A glyph.
        matrix: ``[2, 2]``.
        offset: ``[2]``.
    """
    everything = np.concatenate([*(part.points for part in glyph.parts), glyph.outline]) @ matrix.T + offset
    unit = float(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])) ** 0.5
    parts = []
    start = 0
    for part in glyph.parts:
        end = start + len(part.points)
        parts.append(Part(everything[start:end], part.role, part.height * unit, part.base * unit))
        start = end
    return Glyph(tuple(parts), everything[start:])


def bounds(glyph: Glyph) -> tuple[Points, Points]:
    """Smallest and largest coordinates over all that is drawn, each ``[2]``; shadows apart."""
    points = np.concatenate([part.points for part in glyph.parts])
    return points.min(axis=0), points.max(axis=0)
