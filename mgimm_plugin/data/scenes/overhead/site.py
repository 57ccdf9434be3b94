"""The state of a place while objects settle in it: what is free, and who stands where."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mgimm_plugin.data.scenes.overhead.glyphs import glyph
from mgimm_plugin.data.scenes.overhead.objects import (
    GAP,
    RGB,
    Candidate,
    OverheadObject,
    Pose,
    candidate,
    is_clear,
    make_object,
    stands_out,
)
from mgimm_plugin.data.scenes.overhead.plan import GRID, NOTHING, Patch, Plan, Points
from mgimm_plugin.data.scenes.overhead.styles import Style
from mgimm_plugin.data.scenes.overhead.vocabulary import KINDS, SURFACES
from mgimm_plugin.data.scenes.scene import Box


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
        self._free = np.ones((GRID, GRID), dtype=bool)
        for box in self.boxes:
            self._occupy(box)

    def _occupy(self, box: Box) -> None:
        x1, y1, x2, y2 = (round(value * GRID) for value in box)
        edge = round(GAP * GRID)
        self._free[max(0, y1 - edge) : y2 + edge, max(0, x1 - edge) : x2 + edge] = False

    def patch_at(self, point: Points) -> Patch:
        """The highest patch at a point of the unit frame."""
        x, y = np.clip((point * GRID).astype(int), 0, GRID - 1)
        return self.plan.patches[self.numbers[y, x]]

    def surfaces_at(self, points: Points) -> list[str]:
        """The surfaces under points ``[N, 2]`` of the unit frame, each once."""
        cells = np.clip((points * GRID).astype(int), 0, GRID - 1)
        found = np.unique(self.surfaces[self.numbers[cells[:, 1], cells[:, 0]]])
        return [(*SURFACES, NOTHING)[number] for number in found]

    def colors_at(self, points: Points) -> list[RGB]:
        """The colors of the ground under points ``[N, 2]`` of the unit frame, each patch's once."""
        cells = np.clip((points * GRID).astype(int), 0, GRID - 1)
        patches = [self.plan.patches[number] for number in np.unique(self.numbers[cells[:, 1], cells[:, 0]])]
        return [self.ground_color(patch) for patch in patches]

    def ground_color(self, patch: Patch) -> RGB:
        """Color of a patch, its texture apart."""
        red, green, blue = (round(value * patch.shade) for value in self.style.palette[patch.material])
        return red, green, blue

    def middles(self, surfaces: tuple[str, ...], side: float) -> NDArray[np.intp]:
        """Cells (row, column) around which a square of ``side`` is free and of some surfaces, ``[N, 2]``."""
        wanted = np.zeros(len(SURFACES) + 1, dtype=bool)
        wanted[[SURFACES.index(surface) for surface in surfaces]] = True
        fit = wanted[self.surfaces][self.numbers] & self._free
        half = max(1, int(side * GRID / 2))
        sums = np.zeros((GRID + 1, GRID + 1), dtype=np.int32)
        sums[1:, 1:] = fit.cumsum(axis=0, dtype=np.int32).cumsum(axis=1)
        width = 2 * half
        if width >= GRID:
            return np.empty((0, 2), dtype=np.intp)
        full = sums[width:, width:] - sums[:-width, width:] - sums[width:, :-width] + sums[:-width, :-width]
        return np.argwhere(full == width * width) + half

    def look(self, category: str, shape: str, pose: Pose) -> Candidate:
        """The object as it would lie there."""
        side = pose.side or 2 * max(pose.scale)
        return candidate(glyph(category, shape, self.rng, detail=side * self.size), pose)

    def settle(
        self, found: Candidate, category: str, shape: str, colors: list[str], *, surface: str | None = None
    ) -> OverheadObject | None:
        """Put an object down if the place does: free, on one surface that suits it, in a color that stands out.

        Args:
            found: The object at its place.
            category: Its category.
            shape: Its shape.
            colors: The colors it may have, the best first.
            surface: What it stands on where that need not be under all of it, such as the water under a bridge.

        Returns:
            The object, or None if the place does not do.
        """
        if not is_clear(found.box, self.boxes):
            return None
        footprint = found.footprint
        if surface is None:
            under = self.surfaces_at(footprint)
            if len(under) > 1 or under[0] not in KINDS[category].surfaces:
                return None
            surface = under[0]
            grounds = self.colors_at(footprint)
        else:
            grounds = [self.ground_color(self.patch_at(footprint.mean(axis=0)))]
        seen = [color for color in colors if all(stands_out(color, ground) for ground in grounds)]
        if not seen:
            return None
        item = make_object(found, category=category, color=seen[0], shape=shape, surface=surface, size=self.size,
                           rng=self.rng)  # fmt: skip
        self.boxes.append(found.box)
        self.objects.append(item)
        self._occupy(found.box)
        return item
