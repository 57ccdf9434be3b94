"""The state of a place while objects settle in it: what is free, and who stands where."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mgimm_plugin.data.record_types import Box
from mgimm_plugin.data.scenes.overhead.objects import (
    GAP,
    RGB,
    Candidate,
    OverheadObject,
    is_clear,
    make_object,
    stands_out,
)
from mgimm_plugin.data.scenes.overhead.place.plan import GRID, NOTHING, Patch, Plan
from mgimm_plugin.data.scenes.overhead.styles import Style
from mgimm_plugin.data.scenes.overhead.vocabulary import KINDS, SURFACES
from mgimm_plugin.data.scenes.scene import Points

_REACHING: Final = {"bridge": 0.4, "dam": 0.5, "harbor": 0.7, "train station": 0.1, "expressway toll station": 0.4}
"""How much of what must reach beyond its own surface is at least on it: a bridge has its ends on the banks."""

_STEP: Final = 2
"""Distance of the cells that are looked at when free ground is searched."""

_BANKS: Final = ("grass", "field", "pavement", "sand", NOTHING)

_ENDS: Final = {
    "bridge": _BANKS,
    "dam": _BANKS,
    "harbor": _BANKS,
    "train station": ("grass", "field", "pavement", NOTHING),
    "expressway toll station": (*_BANKS, "apron"),
}
"""Where the rest of these may be."""


class Site:
    """A plan that fills with objects.

    Args:
        plan: The place; approach roads may be added to it.
        style: Gives the colors of the ground.
        size: Side of the picture in pixels.
        rng: Source of everything random.
    """

    def __init__(self, plan: Plan, style: Style, size: int, rng: Generator) -> None:
        self.plan, self.style, self.size, self.rng = plan, style, size, rng
        self.boxes: list[Box] = []
        self.objects: list[OverheadObject] = []
        self.refresh()

    def refresh(self) -> None:
        """Draw the map of patches again after the plan has changed."""
        self.numbers = self.plan.patch_map()
        self.surfaces = np.array(
            [
                len(SURFACES) if patch.surface == NOTHING else SURFACES.index(patch.surface)
                for patch in self.plan.patches
            ],
            dtype=np.uint8,
        )
        self._middles: dict[tuple[tuple[str, ...], int], NDArray[np.intp]] = {}
        self._free = np.ones((GRID, GRID), dtype=bool)
        for box in self.boxes:
            self._occupy(box)

    def _occupy(self, box: Box) -> None:
        x1, y1, x2, y2 = (round(value * GRID) for value in box)
        edge = round(GAP * GRID)
        self._middles.clear()
        self._free[max(0, y1 - edge) : y2 + edge, max(0, x1 - edge) : x2 + edge] = False

    def surfaces_for(self, category: str) -> tuple[str, ...]:
        """What a category may stand on here: windmills stand in the sea, not in lakes and rivers."""
        surfaces = KINDS[category].surfaces
        if category == "windmill" and self.plan.setting != "sea":
            return tuple(surface for surface in surfaces if surface != "water")
        return surfaces

    def patch_at(self, point: Points) -> Patch:
        """The highest patch at a point of the unit frame."""
        x, y = (min(max(int(value * GRID), 0), GRID - 1) for value in point.tolist())
        return self.plan.patches[self.numbers[y, x]]

    def _numbers_at(self, points: Points) -> NDArray[np.uint8]:
        cells = np.minimum(np.maximum((points.T * GRID).astype(np.intp), 0), GRID - 1)
        return self.numbers[cells[1], cells[0]]

    def surfaces_at(self, points: Points) -> dict[str, int]:
        """How many of the points ``[N, 2]`` of the unit frame are on each surface, with ``NOTHING`` among them."""
        counts = np.bincount(self.surfaces[self._numbers_at(points)])
        return {(*SURFACES, NOTHING)[number]: int(count) for number, count in enumerate(counts) if count}

    def _surface_of(self, footprint: Points, category: str) -> str | None:
        """What an object stands on that covers some points; None if it does not suit it."""
        under = self.surfaces_at(footprint)
        suited = [surface for surface in under if surface in self.surfaces_for(category)]
        if not suited:
            return None
        main = max(suited, key=lambda surface: under[surface])
        most = under[main] / sum(under.values())
        if category in _REACHING:
            return main if most >= _REACHING[category] and set(under) <= {main, *_ENDS[category]} else None
        return main if most == 1.0 else None

    def colors_at(self, points: Points, surface: str) -> list[RGB]:
        """The colors of a surface under points ``[N, 2]`` of the unit frame, each patch's once."""
        patches = [self.plan.patches[number] for number in set(self._numbers_at(points).tolist())]
        return [self.ground_color(patch) for patch in patches if patch.surface == surface]

    def ground_color(self, patch: Patch) -> RGB:
        """Color of a patch, its texture apart."""
        red, green, blue = (round(value * patch.shade) for value in self.style.palette[patch.material])
        return red, green, blue

    def middles(self, surfaces: tuple[str, ...], side: float) -> NDArray[np.intp]:
        """Cells (row, column) around which a square of ``side`` is about free and of some surfaces, ``[N, 2]``."""
        key = (surfaces, max(1, int(side * GRID / (2 * _STEP))))
        if key not in self._middles:
            self._middles[key] = self._find_middles(*key)
        return self._middles[key]

    def _find_middles(self, surfaces: tuple[str, ...], half: int) -> NDArray[np.intp]:
        wanted = np.zeros(len(SURFACES) + 1, dtype=bool)
        wanted[[SURFACES.index(surface) for surface in surfaces]] = True
        # Every other cell will do: whoever takes a place looks at it closely.
        fit = wanted[self.surfaces][self.numbers[::_STEP, ::_STEP]] & self._free[::_STEP, ::_STEP]
        width, cells = 2 * half, len(fit)
        if width >= cells:
            return np.empty((0, 2), dtype=np.intp)
        sums = np.zeros((cells + 1, cells + 1), dtype=np.int32)
        np.cumsum(fit, axis=0, out=sums[1:, 1:])
        np.cumsum(sums, axis=1, out=sums)
        full = sums[width:, width:] - sums[:-width, width:] - sums[width:, :-width] + sums[:-width, :-width]
        return (np.argwhere(full == width * width) + half) * _STEP

    def place_of(self, cell: NDArray[np.intp]) -> Points:
        """Some point of a cell (row, column), in the unit frame."""
        return (cell[::-1] + self.rng.uniform(0, 1, 2)) / GRID

    def is_free(self, point: Points, radius: float) -> bool:
        """Whether no object or building is within a square of ``2 * radius`` around a point."""
        x, y = (point * GRID).astype(int)
        reach = int(radius * GRID) + 1
        if not (0 <= x < GRID and 0 <= y < GRID):
            return False
        return bool(self._free[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].all())

    def takes(self, corners: Points, patch: int | None = None) -> bool:
        """Whether a rectangle of four corners lies on free ground of one patch; it is taken if so.

        Args:
            corners: ``[4, 2]`` in the unit frame; what is outside of it does not count.
            patch: The number that the patch has to have.
        """
        middle = corners.mean(axis=0)
        points = np.concatenate([corners, (corners + corners[[3, 0, 1, 2]]) / 2, middle[None]])
        points = points[(points.min(axis=1) >= 0) & (points.max(axis=1) < 1)]
        if not len(points):
            return False
        x, y = (points * GRID).astype(int).T
        numbers = self.numbers[y, x]
        if (numbers != numbers[0]).any() or not self._free[y, x].all():
            return False
        if patch is not None and numbers[0] != patch:
            return False
        low, high = np.clip(corners.min(axis=0), 0, 1), np.clip(corners.max(axis=0), 0, 1)
        if not self._apart_from_boxes(low, high):
            return False
        self._free[y[-1], x[-1]] = False
        return True

    def _apart_from_boxes(self, low: Points, high: Points) -> bool:
        return not any(
            low[0] < box[2] + GAP and box[0] < high[0] + GAP and low[1] < box[3] + GAP and box[1] < high[1] + GAP
            for box in self.boxes
        )

    def settle(self, found: Candidate, category: str, shape: str, colors: list[str]) -> OverheadObject | None:
        """Put an object down if the place does: free, on one surface that suits it, in a color that stands out.

        Args:
            found: The object at its place.
            category: Its category.
            shape: Its shape.
            colors: The colors it may have, the best first.

        Returns:
            The object, or None if the place does not do.
        """
        if not is_clear(found.box, self.boxes):
            return None
        footprint = found.footprint
        surface = self._surface_of(footprint, category)
        if surface is None:
            return None
        grounds = self.colors_at(footprint, surface)
        seen = [color for color in colors if all(stands_out(color, ground) for ground in grounds)]
        if not seen:
            return None
        item = make_object(found, category=category, color=seen[0], shape=shape, surface=surface, size=self.size,
                           rng=self.rng)  # fmt: skip
        self.boxes.append(found.box)
        self.objects.append(item)
        self._occupy(found.box)
        return item
