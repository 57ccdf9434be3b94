"""The nearest of many boxes is the one that a look at each of them finds."""

import numpy as np
import pytest

from mgimm_plugin.data.prepare.neighbors import BoxIndex


def by_looking_at_each(boxes, own, without):
    """Row and gaps of the first of the nearest boxes."""
    gaps = np.stack([boxes[:, 0] - own[2], own[0] - boxes[:, 2], boxes[:, 1] - own[3], own[1] - boxes[:, 3]], 1)
    distances = np.hypot(gaps[:, :2].max(axis=1).clip(0), gaps[:, 2:].max(axis=1).clip(0))
    if without is not None:
        distances[without] = np.inf
    row = int(distances.argmin())
    return row, gaps[row].tolist()


def scattered(rng, count):
    corners = rng.uniform(0, 2000, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(0.5, 40, (count, 2))], axis=1)


def on_a_grid(rng, count):
    """Boxes with many neighbors at the same distance."""
    corners = rng.integers(0, 30, (count, 2)) * 10.0
    return np.concatenate([corners, corners + rng.integers(1, 3, (count, 2)) * 5.0], axis=1)


def of_all_sizes(rng, count):
    corners = rng.uniform(-50, 2000, (count, 2))
    return np.concatenate([corners, corners + 10 ** rng.uniform(-1, 3.3, (count, 2))], axis=1)


def twice(rng, count):
    return np.repeat(scattered(rng, count // 2 + 1), 2, axis=0)[:count]


def in_a_row(rng, count):
    edges = np.arange(count) * 3.0
    return np.stack([edges, np.zeros(count), edges + 1, np.ones(count)], axis=1)


@pytest.mark.parametrize("layout", [scattered, on_a_grid, of_all_sizes, twice, in_a_row])
@pytest.mark.parametrize("count", [2, 3, 64, 65, 700])
def test_the_nearest_box_is_found_ties_included(layout, count):
    boxes = layout(np.random.default_rng(count), count)
    index = BoxIndex(boxes)
    for row in range(count):
        found = index.nearest(boxes[row], without=row)
        assert (found.row, found.gaps.tolist()) == by_looking_at_each(boxes, boxes[row], row)
    for own in layout(np.random.default_rng(count + 1), 20):
        found = index.nearest(own)
        assert (found.row, found.gaps.tolist()) == by_looking_at_each(boxes, own, None)


def test_of_no_other_box_there_is_no_nearest():
    none, one = np.zeros((0, 4)), np.array([[1.0, 1, 5, 5]])
    assert BoxIndex(none).nearest(one[0]) is None
    assert BoxIndex(one).nearest(one[0], without=0) is None
    assert BoxIndex(one).nearest(np.array([7.0, 1, 9, 5])).row == 0
