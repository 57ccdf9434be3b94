"""What every kind of region encoder promises, and what each kind does with a box."""

import copy
import math

import pytest
import torch

from mgimm_plugin.constants import BOX_UNITS
from mgimm_plugin.model.regions.encoders import (
    OUTSIDE_BIAS,
    REGION_ENCODERS,
    InteractiveRegionEncoder,
    RoiAlignRegionEncoder,
)
from mgimm_plugin.model.regions.roi import box_average, interactive_size, roi_cells
from mgimm_plugin.region_settings import RegionSettings

KINDS = [
    "interactive",
    "interactive_biased",
    "interactive_roi",
    "interactive_roi_biased",
    "interactive_roi_residual",
    "roi_align",
]
SMALL = {"mm_region_mlp_dim": 64, "mm_region_heads": 4}


STUDIED = [
    {"mm_region_tokens": 1},
    {"mm_region_tokens": 4},
    {"mm_region_depth": 1},
    {"mm_region_depth": 4, "mm_region_image_update": False},
    {"mm_region_fourier_scale": 4.0},
]
"""Settings of the interactive module beside the paper's."""


def encoder_of(kind, channels=32, **settings):
    return REGION_ENCODERS[kind](channels, RegionSettings(mm_region_encoder=kind, **SMALL, **settings))


def random_batch(images, image_index, channels=32, grid=(4, 4)):
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(images, grid[0] * grid[1], channels, generator=generator)
    corners = torch.rand(len(image_index), 2, 2, generator=generator).sort(dim=1).values
    return features, (corners.flatten(1) * BOX_UNITS).long(), torch.tensor(image_index, dtype=torch.int64), grid


@pytest.mark.parametrize("kind", KINDS)
def test_all_regions_of_a_batch_at_once_are_those_of_one_at_a_time(kind):
    encoder = encoder_of(kind)
    features, boxes, image_index, grid = random_batch(3, [2, 0, 0, 2, 0], grid=(3, 5))
    together = encoder(features, boxes, image_index, grid)
    for region, image in enumerate(image_index.tolist()):
        alone = encoder(features[image : image + 1], boxes[region : region + 1], torch.tensor([0]), grid)
        torch.testing.assert_close(together[region : region + 1], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("images", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_no_region_gives_every_parameter_a_zero_gradient(kind, images):
    encoder = encoder_of(kind)
    out = encoder(*random_batch(images, []))
    assert out.shape == (0, 2, 32)
    out.sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns_from_regions(kind):
    encoder = encoder_of(kind)
    out = encoder(*random_batch(2, [0, 1, 1]))
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in encoder.named_parameters():
        if not name.endswith("k_proj.bias"):  # adds the same to every key, which a softmax does not see
            assert parameter.grad.any(), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_alone_makes_the_weights(kind):
    states = []
    for global_seed, seed in ((1, 7), (2, 7), (1, 8)):
        torch.manual_seed(global_seed)
        states.append(encoder_of(kind, mm_region_seed=seed).state_dict())
    first, again, other = states
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["box_encoder.corner_embedding"], other["box_encoder.corner_embedding"])
    drawn = [
        name for name in first if name.endswith("weight") and "norm" not in name and not name.startswith("average")
    ]
    assert drawn
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_a_region_depends_on_its_box_and_on_its_image(kind):
    encoder = encoder_of(kind)
    features, boxes, _, grid = random_batch(2, [0, 0])
    both = encoder(features, boxes[[0, 0, 1]], torch.tensor([0, 1, 0]), grid)
    assert not torch.allclose(both[0], both[1], atol=1e-2)
    assert not torch.allclose(both[0], both[2], atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_changes_nothing_and_half_precision_little(kind):
    encoder, batch = encoder_of(kind), random_batch(2, [0, 1, 1])
    exact = encoder(*batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoder(*batch), exact)
    half = copy.deepcopy(encoder).to(torch.bfloat16)(batch[0].bfloat16(), *batch[1:])
    assert half.dtype == torch.bfloat16
    assert (half - exact).abs().mean() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_a_box_thinner_than_a_patch_sees_its_own_place(kind):
    """At either side of the image, where its patches are of two kinds."""
    encoder, (features, _, _, grid) = encoder_of(kind), random_batch(1, [])
    features[0].view(4, 4, 32)[:, 2:] += 3
    left, right, unit = BOX_UNITS // 10, BOX_UNITS - BOX_UNITS // 10, 1
    boxes = torch.tensor([[x, 30000, x + unit, 30000 + unit] for x in (left, right)])
    out = encoder(features, boxes, torch.tensor([0, 0]), grid)
    assert out.isfinite().all()
    assert not torch.allclose(out[0], out[1], atol=1e-2)


@pytest.mark.parametrize("settings", STUDIED, ids=str)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "roi_align"])
def test_settings_of_the_interactive_module_keep_the_promises(kind, settings):
    encoder = encoder_of(kind, **settings)
    tokens = settings.get("mm_region_tokens", 2)
    features, boxes, image_index, grid = random_batch(3, [2, 0, 0])
    together = encoder(features, boxes, image_index, grid)
    assert together.shape == (3, tokens, 32)
    alone = encoder(features[2:], boxes[:1], torch.tensor([0]), grid)
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(together)
    for out, learns in ((together * weights, True), (encoder(features, boxes[:0], image_index[:0], grid), False)):
        encoder.zero_grad()
        out.sum().backward()
        for name, parameter in encoder.named_parameters():
            if learns and name.endswith("k_proj.bias"):
                continue
            assert parameter.grad is not None, name
            assert parameter.grad.any() == learns, name


def test_one_token_is_the_mean_of_two():
    batch = random_batch(2, [0, 1, 1])
    one, two = (encoder_of("interactive", mm_region_tokens=count)(*batch) for count in (1, 2))
    torch.testing.assert_close(one[:, 0], two.mean(dim=1))


def test_two_more_tokens_are_queries_that_leave_the_corners_as_they_are():
    _, boxes, _, _ = random_batch(1, [0, 0, 0])
    two, four = (encoder_of("interactive", mm_region_tokens=count).box_encoder for count in (2, 4))
    assert torch.equal(four(boxes)[:, :2], two(boxes))
    assert torch.equal(four(boxes)[:, 2:], four.query_embedding.expand(3, 2, 32))
    assert not torch.allclose(*four.query_embedding, atol=0.1)


def test_the_scale_of_the_fourier_matrix_survives_half_precision():
    plain, scaled = (encoder_of("interactive", mm_region_fourier_scale=scale).box_encoder for scale in (1.0, 4.0))
    torch.testing.assert_close(scaled.fourier_matrix, 4 * plain.fourier_matrix)
    assert torch.equal(copy.deepcopy(scaled).half().fourier_matrix, scaled.fourier_matrix)
    rounded = copy.deepcopy(scaled)
    rounded.fourier_matrix = rounded.fourier_matrix.half()
    rounded.restore_precision()
    assert torch.equal(rounded.fourier_matrix, scaled.fourier_matrix)


@pytest.mark.parametrize(
    ("channels", "settings"),
    [
        (1024, {}),
        (1024, {"mm_region_image_update": False}),
        (1024, {"mm_region_depth": 1}),
        (32, {}),
        (32, {"mm_region_mlp_dim": 64, "mm_region_depth": 1}),
        (96, {"mm_region_mlp_dim": 256, "mm_region_heads": 2, "mm_region_depth": 4}),
    ],
)
def test_roi_align_is_as_large_as_the_region_interactive_module(channels, settings):
    sizes = []
    with torch.device("meta"):
        for kind in (InteractiveRegionEncoder, RoiAlignRegionEncoder):
            encoder = kind(channels, RegionSettings(**settings))
            sizes.append(sum(parameter.numel() for parameter in encoder.parameters()))
        assert interactive_size(channels, RegionSettings(**settings)) == sizes[0] - 2 * channels
    assert abs(sizes[1] - sizes[0]) < 0.02 * sizes[0]


def test_roi_averages_weigh_patches_by_the_area_they_share_with_the_box():
    features = torch.arange(12.0).view(1, 12, 1)  # a grid of 3 x 4
    x, y = BOX_UNITS // 4, BOX_UNITS / 3
    boxes = torch.tensor(
        [
            [0, 0, BOX_UNITS, BOX_UNITS],
            [x, round(y), 2 * x, round(2 * y)],  # one patch
            [x // 2, 0, x * 5 // 4, round(y)],  # half of one, a quarter of the next
            [x + 9, 9, x + 10, 10],  # the smallest there is
            [BOX_UNITS - 1, BOX_UNITS - 1, BOX_UNITS, BOX_UNITS],
        ]
    )
    averages = box_average(features, boxes, torch.zeros(5, dtype=torch.long), (3, 4))[:, 0]
    torch.testing.assert_close(averages, torch.tensor([5.5, 5, 1 / 3, 1, 11]), atol=1e-3, rtol=0)


def test_roi_cells_lie_in_the_box_row_by_row():
    """Features that are the coordinates of their patch centres."""
    height, width = 6, 8
    y, x = torch.meshgrid((torch.arange(6) + 0.5) / 6, (torch.arange(8) + 0.5) / 8, indexing="ij")
    features = torch.stack((x, y), dim=-1).view(1, 48, 2)
    boxes = torch.tensor([[16384, 16384, 49152, 32768]])
    cells = roi_cells(features, boxes, torch.tensor([0]), (height, width))[0].view(7, 7, 2)
    torch.testing.assert_close(cells[0, :, 0], 0.25 + 0.5 * (torch.arange(7) + 0.5) / 7)
    torch.testing.assert_close(cells[:, 0, 1], 0.25 + 0.25 * (torch.arange(7) + 0.5) / 7)


def test_seeded_tokens_start_as_corners_plus_what_the_box_shows():
    encoder = encoder_of("interactive_roi")
    features, boxes, image_index, grid = random_batch(2, [1, 0, 1])
    average = box_average(features, boxes, image_index, grid)
    added = encoder.tokens(features, boxes, image_index, grid) - encoder.box_encoder(boxes)
    torch.testing.assert_close(added[:, 0], torch.nn.functional.layer_norm(average, (32,)))
    torch.testing.assert_close(added[:, 0], added[:, 1])


def test_the_biased_module_looks_at_its_box():
    """What changes elsewhere reaches a region less than it does in the plain module, and what changes inside more."""
    changes = {}
    for kind in ("interactive", "interactive_biased"):
        encoder, (features, _, _, grid) = encoder_of(kind, mm_region_image_update=False), random_batch(1, [])
        box = torch.tensor([[0, 0, BOX_UNITS // 2, BOX_UNITS // 2]])  # the first four patches of 16
        with torch.no_grad():
            before = encoder(features, box, torch.tensor([0]), grid)
            for part, patches in (("inside", slice(0, 2)), ("outside", slice(2, 4))):
                changed = features.clone()
                changed.view(4, 4, 32)[:2, patches] += 1 + torch.arange(32) % 3
                changes[kind, part] = (encoder(changed, box, torch.tensor([0]), grid) - before).abs().mean()
    assert changes["interactive_biased", "inside"] > changes["interactive", "inside"]
    assert 0 < changes["interactive_biased", "outside"] < 0.1 * changes["interactive", "outside"]


def test_the_attention_bias_is_the_share_of_the_box_that_patches_have():
    boxes = torch.tensor([[0, 0, BOX_UNITS * 3 // 8, BOX_UNITS // 4]])  # a patch and half of the next
    bias = encoder_of("interactive_biased").attention_bias(boxes, (4, 4)).view(4, 4)
    torch.testing.assert_close(bias[0], torch.tensor([0, math.log(0.5), OUTSIDE_BIAS, OUTSIDE_BIAS]))
    assert (bias[1:] == OUTSIDE_BIAS).all()


def test_the_residual_module_keeps_what_the_box_shows():
    """With attention and MLP silent, what comes out is what the tokens started as."""
    encoder = encoder_of("interactive_roi_residual")
    with torch.no_grad():
        for name, parameter in encoder.interaction.named_parameters():
            if ".out_proj." in name or ".mlp.2." in name:
                parameter.zero_()
    batch = random_batch(2, [1, 0, 1])
    start = torch.nn.functional.layer_norm(encoder.tokens(*batch), (32,))
    torch.testing.assert_close(encoder(*batch), start, atol=1e-3, rtol=1e-3)
