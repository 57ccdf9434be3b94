"""Boxes reach the region encoder exactly, in every precision."""

import copy
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from mgimm_plugin.constants import BOX_UNITS
from mgimm_plugin.model.regions.box_encoder import BoxEncoder
from mgimm_plugin.model.regions.encoders import InteractiveRegionEncoder
from mgimm_plugin.region_settings import RegionSettings

BOX = torch.tensor([[20000, 20000, 40000, 40000]])


def features_of(encoder, x, y):
    """The Fourier features of one point of the unit square, channel by channel."""
    matrix = encoder.fourier_matrix.double()
    phases = [
        2 * math.pi * (matrix[0, c] * (2 * x - 1) + matrix[1, c] * (2 * y - 1)).item() for c in range(matrix.shape[1])
    ]
    return torch.tensor([*map(math.sin, phases), *map(math.cos, phases)])


def neighbours():
    """A box, and the boxes one unit away from it at each edge."""
    return torch.cat((BOX, BOX + torch.eye(4, dtype=torch.int64)))


def test_a_box_is_its_top_left_corner_then_its_bottom_right_one():
    encoder = BoxEncoder(16, seed=3)
    box = torch.tensor([[BOX_UNITS // 4, BOX_UNITS // 8, BOX_UNITS, BOX_UNITS // 2]])
    top_left, bottom_right = (encoder(box) - encoder.corner_embedding)[0]
    torch.testing.assert_close(top_left, features_of(encoder, 0.25, 0.125), atol=1e-5, rtol=0)
    torch.testing.assert_close(bottom_right, features_of(encoder, 1.0, 0.5), atol=1e-5, rtol=0)
    assert not torch.allclose(*encoder.corner_embedding, atol=0.1)


def test_patch_centres_are_row_major_with_x_fastest():
    encoder = BoxEncoder(16, seed=3)
    grid = encoder.grid(2, 3)
    centres = [(x, y) for y in (0.25, 0.75) for x in (1 / 6, 0.5, 5 / 6)]
    wanted = torch.stack([features_of(encoder, x, y) for x, y in centres])
    torch.testing.assert_close(grid, wanted, atol=1e-5, rtol=0)


def test_a_patch_centre_and_a_corner_at_the_same_point_are_encoded_alike():
    encoder = BoxEncoder(16, seed=3)
    centre = BOX_UNITS // 4
    corner = encoder(torch.tensor([[centre, centre, BOX_UNITS, BOX_UNITS]]))[0, 0] - encoder.corner_embedding[0]
    torch.testing.assert_close(corner, encoder.grid(2, 2)[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_boxes_one_unit_apart_stay_apart_in_every_precision(dtype):
    exact = BoxEncoder(64, seed=0)
    encoder = copy.deepcopy(exact).to(dtype)
    encoded = encoder(neighbours())
    assert encoded.dtype == torch.float32
    assert len(encoded.unique(dim=0)) == 5
    # What the corner embedding lost is the same for all of them: their distances are float32's own.
    torch.testing.assert_close(encoded - encoded[:1], exact(neighbours()) - exact(BOX), atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_boxes_one_unit_apart_stay_apart_under_autocast(dtype):
    encoder = BoxEncoder(64, seed=0)
    with torch.autocast("cpu", dtype=dtype):
        encoded, grid = encoder(neighbours()), encoder.grid(4, 4)
    assert encoded.dtype == grid.dtype == torch.float32
    torch.testing.assert_close(encoded, encoder(neighbours()), atol=0, rtol=0)
    torch.testing.assert_close(grid, encoder.grid(4, 4), atol=0, rtol=0)


def test_boxes_do_not_depend_on_the_precision_of_matrix_products():
    encoder = BoxEncoder(64, seed=0)
    exact = encoder(neighbours())
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        torch.testing.assert_close(encoder(neighbours()), exact, atol=0, rtol=0)
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("cast", ["bfloat16", "half"])
def test_whole_model_in_half_precision_keeps_the_fourier_matrix(tiny_loaded, cast):
    model = copy.deepcopy(tiny_loaded.model)
    exact = model.get_model().region_encoder.box_encoder.fourier_matrix.clone()
    getattr(model, cast)()
    encoder = model.get_model().region_encoder
    assert encoder.box_encoder.fourier_matrix.dtype == torch.float32
    assert torch.equal(encoder.box_encoder.fourier_matrix, exact)
    assert encoder.interaction.final_norm.weight.dtype != torch.float32
    encoded = encoder.box_encoder(neighbours())
    assert len(encoded.unique(dim=0)) == 5


def test_fourier_matrix_survives_a_cast_and_a_file(tmp_path):
    encoder = InteractiveRegionEncoder(32, RegionSettings(mm_region_seed=4))
    exact = encoder.box_encoder.fourier_matrix.clone()
    half = copy.deepcopy(encoder).to(torch.bfloat16)
    save_file(half.state_dict(), tmp_path / "encoder.safetensors")
    other = InteractiveRegionEncoder(32, RegionSettings(mm_region_seed=5)).to(torch.bfloat16)
    assert not torch.equal(other.box_encoder.fourier_matrix, exact)
    other.load_state_dict(load_file(tmp_path / "encoder.safetensors"))
    assert torch.equal(other.box_encoder.fourier_matrix, exact)
    assert torch.equal(other.float().box_encoder.fourier_matrix, exact)


def test_the_seed_alone_makes_the_fourier_matrix():
    torch.manual_seed(1)
    first = BoxEncoder(32, seed=7).fourier_matrix
    torch.manual_seed(2)
    with torch.device("cpu"):
        torch.set_default_dtype(torch.bfloat16)
        try:
            second = BoxEncoder(32, seed=7).fourier_matrix
        finally:
            torch.set_default_dtype(torch.float32)
    assert torch.equal(first, second)
    assert second.dtype == torch.float32
    assert not torch.equal(first, BoxEncoder(32, seed=8).fourier_matrix)
    assert 0.7 < first.std() < 1.3


def test_an_odd_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="must be even, got 33"):
        BoxEncoder(33, seed=0)
