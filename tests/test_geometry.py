"""Boxes land where their pixels land, whatever is done to the image."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPImageProcessor

from mgimm_plugin.constants import ASPECT_RATIO_MODES, BOX_UNITS
from mgimm_plugin.data.images import preprocess_image
from mgimm_plugin.errors import BoxError, MgimmError
from mgimm_plugin.geometry import (
    clip_boxes,
    fractions_to_pixels,
    frame_for,
    grid_boxes,
    map_to_pixels,
    points_to_xyxy,
    quantize_boxes,
    turned_box_to_points,
    voc_to_xyxy,
    xywh_to_xyxy,
    yolo_to_xyxy,
)


def box_in_frame(size: int, mode: str, image: Image.Image) -> np.ndarray | None:
    """The box around the pixels above half in what the tower is given, xyxy in its pixels."""
    processor = CLIPImageProcessor(
        size={"shortest_edge": size},
        crop_size={"height": size, "width": size},
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
    )
    pixels = preprocess_image(image, processor, mode, grid_pinpoints=[[2 * size, size], [size, 2 * size]])
    base_view = pixels[0] if mode == "anyres" else pixels
    assert base_view.shape == (3, size, size)
    rows, columns = np.nonzero(base_view.mean(dim=0).numpy() > 0.5)
    if len(rows) == 0:
        return None
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data(), mode=st.sampled_from(ASPECT_RATIO_MODES), size=st.integers(16, 80))
def test_painted_box_is_found_where_the_frame_says(data, mode, size):
    width, height = data.draw(st.integers(4, 300), "width"), data.draw(st.integers(4, 300), "height")
    x1, y1 = data.draw(st.integers(0, width - 2), "x1"), data.draw(st.integers(0, height - 2), "y1")
    x2, y2 = data.draw(st.integers(x1 + 2, width), "x2"), data.draw(st.integers(y1 + 2, height), "y2")
    try:
        expected = frame_for(width, height, mode=mode, frame_size=size).to_unit([[x1, y1, x2, y2]])[0] * size
    except BoxError:
        expected = None
    # A sliver of less than three pixels is blurred below one half by the resampling: there is nothing to find.
    assume(expected is None or (expected[2:] - expected[:2]).min() >= 3)
    image = Image.new("RGB", (width, height))
    image.paste((255, 255, 255), (x1, y1, x2, y2))
    found = box_in_frame(size, mode, image)
    if expected is None:
        # Blur carries at most a pixel of a box beside the frame into it.
        assert found is None or (found[2:] - found[:2]).min() <= 1
    else:
        assert found is not None
        np.testing.assert_allclose(found, expected, atol=1.0)


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    mode=st.sampled_from(("pad", "resize", "anyres")),
    corners=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_frames_that_keep_the_whole_image_can_be_undone(width, height, mode, corners):
    x, y = np.array(corners[:2]) * width, np.array(corners[2:]) * height
    assume(abs(x[0] - x[1]) > 1e-3)
    assume(abs(y[0] - y[1]) > 1e-3)
    box = np.array([[x.min(), y.min(), x.max(), y.max()]])
    frame = frame_for(width, height, mode=mode, frame_size=336)
    unit = frame.to_unit(box)
    assert unit.min() >= 0
    assert unit.max() <= 1
    np.testing.assert_allclose(frame.to_pixels(unit), box, atol=1e-8)


def test_width_and_height_are_not_exchanged():
    frame = frame_for(800, 400, mode="pad", frame_size=336)
    np.testing.assert_allclose(frame.to_unit([[0, 0, 800, 400]]), [[0, 0.25, 1, 0.75]])
    frame = frame_for(400, 800, mode="square", frame_size=336)
    np.testing.assert_allclose(frame.to_unit([[0, 200, 400, 600]]), [[0, 0, 1, 1]])


def test_a_box_that_the_crop_removes_is_an_error_that_names_the_way_out():
    with pytest.raises(BoxError, match=r"\[0, 0, 100, 300\].*800x400.*pad and resize keep"):
        frame_for(800, 400, mode="square", frame_size=336).to_unit([[300, 0, 500, 400], [0, 0, 100, 300]])


def test_boxes_that_the_crop_cuts_are_told_from_those_it_leaves_whole():
    frame = frame_for(300, 100, mode="square", frame_size=336)
    boxes = [[0, 0, 101, 50], [110, 0, 190, 100], [150, 0, 250, 50]]
    assert frame.cuts(boxes).tolist() == [True, False, True]
    assert not frame_for(300, 100, mode="pad", frame_size=336).cuts(boxes).any()
    assert not frame_for(805, 800, mode="square", frame_size=336).cuts([[0, 0, 805, 800]]).any()


def test_unknown_mode_is_refused():
    with pytest.raises(MgimmError, match=r"'stretch'.*pad, resize, square, anyres"):
        frame_for(8, 8, mode="stretch", frame_size=336)


def test_clipping_counts_the_boxes_that_stuck_out():
    boxes, clipped = clip_boxes([[0, 0, 10, 10], [-5, 2, 8, 8], [5, 5, 30, 40]], 20, 10)
    assert boxes.tolist() == [[0, 0, 10, 10], [0, 2, 8, 8], [5, 5, 20, 10]]
    assert clipped == 2


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ([0, 0, float("nan"), 5], "NaN"),
        ([0, 0, float("inf"), 5], "infinite"),
        ([5, 0, 5, 5], "x1 < x2"),
        ([0, 6, 5, 5], "y1 < y2"),
        ([20, 0, 25, 5], "outside the 20x10 image"),
        ([0, -8, 5, 0], "outside the 20x10 image"),
    ],
)
def test_a_box_without_area_is_an_error_naming_record_and_box(box, problem):
    with pytest.raises(BoxError, match=problem) as caught:
        clip_boxes([[0, 0, 1, 1], box], 20, 10, file="a.json", index=3, record="r7")
    assert "file a.json, index 3, record r7, field regions[1].bbox" in str(caught.value)


def test_no_boxes_pass_through_every_step():
    boxes, clipped = clip_boxes([], 20, 10)
    unit = frame_for(20, 10, mode="pad", frame_size=336).to_unit(boxes)
    assert quantize_boxes(unit).shape == (0, 4)
    assert clipped == 0


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_units_are_exact_to_half_a_step_and_never_empty(corners):
    box = np.array([[min(corners[:2]), min(corners[2:]), max(corners[:2]), max(corners[2:])]])
    units = quantize_boxes(box)
    assert units.dtype == np.int64
    assert units.min() >= 0
    assert units.max() <= BOX_UNITS
    assert (units[:, :2] < units[:, 2:]).all()
    np.testing.assert_allclose(units / BOX_UNITS, box, atol=1.5 / BOX_UNITS)


def test_other_conventions_become_continuous_edges():
    assert voc_to_xyxy([[1, 1, 800, 600]]).tolist() == [[0, 0, 800, 600]]
    assert voc_to_xyxy([[7, 7, 7, 7]]).tolist() == [[6, 6, 7, 7]]
    assert xywh_to_xyxy([[10, 20, 30, 40]]).tolist() == [[10, 20, 40, 60]]
    assert yolo_to_xyxy([[0.5, 0.5, 0.5, 0.25]], 100, 80).tolist() == [[25, 30, 75, 50]]
    assert points_to_xyxy([[3, 9], [1, 4], [8, 2]]).tolist() == [[1, 2, 8, 9]]


def test_fractions_become_pixels_of_either_side():
    assert fractions_to_pixels([0.5, 0.25, 1.25, -0.5], 200, 100).tolist() == [[100, 25], [250, -50]]


def test_a_box_is_turned_counterclockwise_about_its_center():
    np.testing.assert_allclose(turned_box_to_points([0, 0, 4, 2], 90), [[1, 3], [1, -1], [3, -1], [3, 3]], atol=1e-12)
    np.testing.assert_allclose(turned_box_to_points([0, 0, 4, 2], 0), [[0, 0], [4, 0], [4, 2], [0, 2]])


def test_places_of_a_map_become_pixels_through_the_transform():
    north_up = (0.5, 0, 1000, 0, -0.5, 2000)
    assert map_to_pixels([[1000, 2000], [1001, 1998.5]], north_up).tolist() == [[0, 0], [2, 3]]
    turned = (0, 2, 10, 3, 0, 20)
    assert map_to_pixels([[10 + 2 * 7, 20 + 3 * 5]], turned).tolist() == [[5, 7]]
    with pytest.raises(BoxError, match="no inverse"):
        map_to_pixels([[0, 0]], (0, 0, 10, 0, 0, 20))


def test_a_grid_covers_the_image_row_by_row():
    boxes = grid_boxes("2x3", 90, 40)
    assert boxes.shape == (6, 4)
    assert boxes[0].tolist() == [0, 0, 30, 20]
    assert boxes[2].tolist() == [60, 0, 90, 20]
    assert boxes[-1].tolist() == [60, 20, 90, 40]
    assert ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum() == 90 * 40


@pytest.mark.parametrize("grid", ["3", "0x2", "ax2", "3x", "", "-1x2", "50x2"])
def test_a_grid_that_is_none_is_refused(grid):
    with pytest.raises(MgimmError, match="grid"):
        grid_boxes(grid, 90, 40)
