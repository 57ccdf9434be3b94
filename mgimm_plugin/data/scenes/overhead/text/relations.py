"""Which object is where against the others: only what nobody could argue about.

Each relation has two readings. What :func:`relations_of` gives is *clear*: it may be said. What is not even *arguable*
cannot be meant: an expression fits one object alone only where no other fits it arguably.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from mgimm_plugin.data.record_types import Box, Polygon
from mgimm_plugin.data.scenes.scene import SceneObject

SIDES: Final = ("left of", "right of", "above", "below")
NEXT_TO: Final = "next to"
EXTREMES: Final = ("largest", "smallest", "leftmost", "rightmost", "topmost", "bottommost")
INVERSE: Final = {"left of": "right of", "right of": "left of", "above": "below", "below": "above", NEXT_TO: NEXT_TO}

_APART: Final = 0.06
"""Middles are at least this part of the frame's side apart where one is on a side of another."""
_SLANT: Final = 0.5
"""How far the way between them may lead off the axis, against its length along it."""
_NEAR: Final = (0.6, 0.08)
"""The gap between neighbors: at most this part of the smaller one's side, and of the frame's."""
_LARGER: Final = 1.15
"""How many times the next side the side of the largest is."""
_FARTHER: Final = 0.05
"""How far the outermost is from the next, as a part of the frame's side."""


class Relation(NamedTuple):
    """Something true of an object.

    Attributes:
        predicate: One of ``SIDES`` or ``NEXT_TO``, which lead to another object, or of ``EXTREMES``: it is that one of
            all objects of its category.
        object: Index of the other object; None for extremes.
    """

    predicate: str
    object: int | None = None

    def to_json(self) -> dict[str, Any]:
        """``{"predicate", "object"}``; no object for extremes."""
        return {"predicate": self.predicate} | ({} if self.object is None else {"object": self.object})


def relations_of(objects: Sequence[SceneObject], size: float) -> tuple[tuple[Relation, ...], ...]:
    """All relations that are clear.

    Args:
        objects: The objects of a scene.
        size: Side of the frame in pixels.

    Returns:
        For each object what is true of it, by the other's index, extremes last.
    """
    found: list[list[Relation]] = [[] for _ in objects]
    for first, one in enumerate(objects):
        for second in range(first + 1, len(objects)):
            for predicate in clear(one, objects[second], size):
                found[first].append(Relation(predicate, second))
                found[second].append(Relation(INVERSE[predicate], first))
    for category in dict.fromkeys(item.category for item in objects):
        members = [index for index, item in enumerate(objects) if item.category == category]
        for predicate, index in extremes(objects, members, size).items():
            found[index].append(Relation(predicate))
    return tuple(
        tuple(sorted(relations, key=lambda relation: (relation.object is None, relation.object or 0)))
        for relations in found
    )


def clear(one: SceneObject, other: SceneObject, size: float) -> list[str]:
    """What ``one`` clearly is of ``other``: at most one of ``SIDES``, and ``NEXT_TO``."""
    found = []
    right, down = _way(one.box, other.box)
    for predicate, along, off, gap in (
        ("left of", right, down, other.box[0] - one.box[2]),
        ("right of", -right, down, one.box[0] - other.box[2]),
        ("above", down, right, other.box[1] - one.box[3]),
        ("below", -down, right, one.box[1] - other.box[3]),
    ):
        if gap >= 0 and along >= _APART * size and abs(off) <= _SLANT * along:
            found.append(predicate)
            break
    if found and _is_neighbor(one, other, size):
        found.append(NEXT_TO)
    return found


def arguable(predicate: str, one: Box, other: Box) -> bool:
    """Whether somebody might say that the object in box ``one`` is ``predicate`` that in ``other``."""
    if predicate == NEXT_TO:
        return _gap(one, other) <= 1.5 * max(_side(one), _side(other))
    right, down = _way(one, other)
    return {"left of": right, "right of": -right, "above": down, "below": -down}[predicate] > 0


def extremes(objects: Sequence[SceneObject], members: Sequence[int], size: float) -> dict[str, int]:
    """Which of some objects is clearly the largest, the leftmost and so on.

    Args:
        objects: The objects of a scene.
        members: Indices of those that are compared; fewer than two have no extremes.
        size: Side of the frame in pixels.

    Returns:
        Names of ``EXTREMES`` with the index of the object, where there is one.
    """
    if len(members) < 2:
        return {}
    found = {}
    boxes = [objects[index].box for index in members]
    areas = [_area(objects[index]) for index in members]
    sides = [_side(box) for box in boxes]
    order = sorted(range(len(members)), key=sides.__getitem__)
    if all(_is_larger(order[-1], other, sides, areas) for other in order[:-1]):
        found["largest"] = members[order[-1]]
    if all(_is_larger(other, order[0], sides, areas) for other in order[1:]):
        found["smallest"] = members[order[0]]
    for low, high, axis in (("leftmost", "rightmost", 0), ("topmost", "bottommost", 1)):
        middles = [(box[axis] + box[axis + 2]) / 2 for box in boxes]
        order = sorted(range(len(members)), key=middles.__getitem__)
        if middles[order[1]] - middles[order[0]] >= _FARTHER * size and _outermost(boxes, order[0], axis, -1):
            found[low] = members[order[0]]
        if middles[order[-1]] - middles[order[-2]] >= _FARTHER * size and _outermost(boxes, order[-1], axis, 1):
            found[high] = members[order[-1]]
    return found


def _is_larger(one: int, other: int, sides: Sequence[float], areas: Sequence[float]) -> bool:
    """By the boxes and by the outlines: a thin diagonal thing has a large box."""
    return sides[one] >= _LARGER * sides[other] and areas[one] >= _LARGER**2 * areas[other]


def _outermost(boxes: Sequence[Box], which: int, axis: int, direction: int) -> bool:
    edge = axis if direction < 0 else axis + 2
    return all(direction * boxes[which][edge] >= direction * box[edge] for box in boxes)


def _way(one: Box, other: Box) -> tuple[float, float]:
    """From the middle of one box to that of the other: to the right, down."""
    # Differences of the same two numbers either way, so that a relation and its inverse hold together.
    return (other[0] + other[2]) / 2 - (one[0] + one[2]) / 2, (other[1] + other[3]) / 2 - (one[1] + one[3]) / 2


def _side(box: Box) -> float:
    return math.sqrt(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))


def _gap(one: Box, other: Box) -> float:
    across = max(one[0] - other[2], other[0] - one[2], 0)
    down = max(one[1] - other[3], other[1] - one[3], 0)
    return math.hypot(across, down)


def _area(item: SceneObject) -> float:
    if item.polygon is None:
        return _side(item.box) ** 2
    following = (*item.polygon[1:], item.polygon[0])
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(item.polygon, following, strict=True))) / 2


def _is_neighbor(one: SceneObject, other: SceneObject, size: float) -> bool:
    limit = min(_NEAR[0] * min(_side(one.box), _side(other.box)), _NEAR[1] * size)
    if _gap(one.box, other.box) > limit:
        return False
    return one.polygon is None or other.polygon is None or _distance(one.polygon, other.polygon) <= limit


def _distance(one: Polygon, other: Polygon) -> float:
    """Smallest distance between two outlines that do not cross."""
    first, second = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    return min(_to_outline(first, second), _to_outline(second, first))


def _to_outline(points: np.ndarray, outline: np.ndarray) -> float:
    start = outline[None]
    along = np.roll(outline, -1, axis=0)[None] - start
    to_point = points[:, None] - start
    length = np.maximum((along**2).sum(-1), 1e-12)
    part = np.clip((to_point * along).sum(-1) / length, 0, 1)
    return float(np.sqrt(((to_point - part[..., None] * along) ** 2).sum(-1).min()))


def relations_json(objects: Sequence[SceneObject], size: float) -> list[list[dict[str, Any]]]:
    """``relations_of`` as JSON, for the facts of each object."""
    return [[relation.to_json() for relation in relations] for relations in relations_of(objects, size)]
