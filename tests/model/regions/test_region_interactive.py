"""The region interactive module against SAM's two-way transformer, and its behaviour in a batch."""

import re

import pytest
import torch
from transformers import SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import SamTwoWayTransformer

from mgimm_plugin.bench.usual import loop_over_boxes as plain_rim
from mgimm_plugin.model.regions.encoders import InteractiveRegionEncoder
from mgimm_plugin.model.regions.image_side import ImageSide
from mgimm_plugin.model.regions.interactive import RegionInteractiveModule
from mgimm_plugin.region_settings import RegionSettings

SAM_NAMES = (
    (r"^blocks\.", "layers."),
    (r"\.self_attention\.", ".self_attn."),
    (r"\.token_to_image\.", ".cross_attn_token_to_image."),
    (r"\.image_to_token\.", ".cross_attn_image_to_token."),
    (r"\.self_norm\.", ".layer_norm1."),
    (r"\.token_norm\.", ".layer_norm2."),
    (r"\.mlp_norm\.", ".layer_norm3."),
    (r"\.image_norm\.", ".layer_norm4."),
    (r"\.mlp\.0\.", ".mlp.lin1."),
    (r"\.mlp\.2\.", ".mlp.lin2."),
    (r"^final_attention\.", "final_attn_token_to_image."),
    (r"^final_norm\.", "layer_norm_final_attn."),
)


def sam_name(name: str) -> str:
    for ours, theirs in SAM_NAMES:
        name = re.sub(ours, theirs, name)
    return name


def pair(channels, depth, heads, mlp_dim):
    """Our module and SAM's with the same random weights."""
    torch.manual_seed(0)
    ours = RegionInteractiveModule(channels, depth, heads, mlp_dim)
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    config = SamMaskDecoderConfig(
        hidden_size=channels,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        mlp_dim=mlp_dim,
        hidden_act="relu",
        attention_downsample_rate=2,
        layer_norm_eps=1e-5,
        attn_implementation="eager",
    )
    theirs = SamTwoWayTransformer(config)
    theirs.load_state_dict({sam_name(name): tensor for name, tensor in ours.state_dict().items()})
    return ours, theirs


def run_sam(theirs, corners, image, positions, grid):
    """SAM takes pictures of channels first, and one set of points for each."""
    height, width = grid
    picture = image.transpose(1, 2).unflatten(2, (height, width))
    places = positions.T.unflatten(1, (height, width)).expand_as(picture)
    return theirs(corners[:, None], picture, places, attention_similarity=None)[0][:, 0]


@pytest.mark.parametrize(
    ("channels", "depth", "heads", "mlp_dim", "image_index", "grid"),
    [
        (32, 2, 8, 64, [2, 0, 2], (4, 4)),
        (64, 1, 4, 32, [0], (3, 5)),
        (96, 3, 2, 128, [1, 1, 0, 3, 1, 0, 1], (6, 2)),
        (256, 2, 8, 2048, [0, 0], (24, 24)),
    ],
)
def test_output_and_gradients_are_those_of_sams_two_way_transformer(channels, depth, heads, mlp_dim, image_index, grid):
    ours, theirs = pair(channels, depth, heads, mlp_dim)
    patches, index = grid[0] * grid[1], torch.tensor(image_index)
    corners = torch.randn(len(index), 2, channels)
    # A few channels of CLIP are far larger than the others.
    image = torch.randn(4, patches, channels) * (1 + 20 * (torch.arange(channels) == 3))
    image = image.requires_grad_()
    positions = torch.randn(patches, channels)
    got, wanted = ours(corners, image, index, positions), run_sam(theirs, corners, image[index], positions, grid)
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)
    weights = torch.randn_like(got)
    ours_image, theirs_image = (
        torch.autograd.grad((x * weights).sum(), image, retain_graph=True)[0] for x in (got, wanted)
    )
    torch.testing.assert_close(ours_image, theirs_image, atol=1e-4, rtol=1e-3)
    (got * weights).sum().backward()
    (wanted * weights).sum().backward()
    oracle = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        wanted_gradient = oracle[sam_name(name)].grad
        scale = wanted_gradient.abs().max().clamp(min=1)
        torch.testing.assert_close(parameter.grad / scale, wanted_gradient / scale, atol=1e-4, rtol=1e-3, msg=name)


def test_paper_size_has_the_papers_number_of_parameters():
    with torch.device("meta"):
        module = RegionInteractiveModule(1024, depth=2, heads=8, mlp_dim=2048)
        theirs = SamTwoWayTransformer(
            SamMaskDecoderConfig(hidden_size=1024, num_hidden_layers=2, num_attention_heads=8, mlp_dim=2048)
        )
    assert sum(parameter.numel() for parameter in module.parameters()) == 27_308_544
    assert sum(parameter.numel() for parameter in theirs.parameters()) == 27_308_544


def random_batch(images, boxes_of_image, channels=32, patches=16):
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(images, patches, channels, generator=generator)
    corners = torch.rand(len(boxes_of_image), 2, 2, generator=generator).sort(dim=1).values
    return features, (corners.flatten(1) * 65536).long(), torch.tensor(boxes_of_image, dtype=torch.int64)


@pytest.mark.parametrize("image_update", [True, False])
@pytest.mark.parametrize(("depth", "tokens"), [(1, 2), (2, 2), (4, 2), (1, 4), (2, 3), (4, 4)])
def test_the_plain_way_to_compute_it_gives_the_same(depth, tokens, image_update):
    torch.manual_seed(0)
    ours = RegionInteractiveModule(64, depth, 8, 96, image_update=image_update)
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    features, corners = torch.randn(3, 30, 64, requires_grad=True), torch.randn(6, tokens, 64)
    inputs = corners, features, torch.tensor([2, 0, 0, 2, 2, 1]), torch.randn(30, 64)
    got, wanted = ours(*inputs), plain_rim(ours, *inputs)
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)
    weights, learned = torch.randn_like(got), [features, *ours.parameters()]
    gradients = zip(*(torch.autograd.grad((out * weights).sum(), learned) for out in (got, wanted)), strict=True)
    for ours_gradient, wanted_gradient in gradients:
        scale = wanted_gradient.abs().max().clamp(min=1)
        torch.testing.assert_close(ours_gradient / scale, wanted_gradient / scale, atol=1e-4, rtol=1e-3)
    assert image_update == any(".image_" in name for name, _ in ours.named_parameters())


def test_half_precision_is_as_exact_as_in_the_plain_way():
    ours, _ = pair(256, 2, 8, 96)
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    features, corners = torch.randn(2, 64, 256), torch.randn(4, 2, 256)
    index, positions = torch.tensor([0, 1, 1, 0]), torch.randn(64, 256)
    with torch.no_grad():
        exact = plain_rim(ours.double(), corners.double(), features.double(), index, positions.double())
        half = [x.bfloat16() for x in (corners, features, positions)]
        ours.bfloat16()
        errors = [
            (way(half[0], half[1], index, half[2]) - exact).abs().mean()
            for way in (ours, lambda *inputs: plain_rim(ours, *inputs))
        ]
    assert errors[0] < 1.2 * errors[1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_an_outlier_among_the_patches_is_no_harm_in_half_precision(dtype):
    ours, _ = pair(256, 2, 8, 96)
    features, corners = torch.randn(1, 64, 256), torch.randn(2, 2, 256)
    features[:, 0, 7] = 400  # CLIP has such channels
    index, positions = torch.tensor([0, 0]), torch.randn(64, 256)
    with torch.no_grad():
        exact = plain_rim(ours.double(), corners.double(), features.double(), index, positions.double())
        found = ours.to(dtype)(corners.to(dtype), features.to(dtype), index, positions.to(dtype))
    assert (found - exact).abs().max() < 0.1


def test_an_update_that_cancels_the_features_stays_finite_in_half_precision():
    torch.manual_seed(0)
    norm = torch.nn.LayerNorm(64).bfloat16()
    common = torch.randn(64)
    image = ImageSide.of((common + 0.02 * torch.randn(1, 64, 64)).bfloat16(), 1)
    nothing = torch.zeros(1, 1, 2, 64).bfloat16()
    normed = image.add_and_norm(nothing, nothing, -common[None, None, None].bfloat16(), norm)
    assert all(part.isfinite().all() for part in (normed.scale, normed.weights, normed.directions))


def test_all_regions_of_a_batch_at_once_are_those_of_one_at_a_time():
    encoder = InteractiveRegionEncoder(32, RegionSettings())
    features, boxes, image_index = random_batch(3, [2, 0, 0, 2, 1, 0])
    together = encoder(features, boxes, image_index, (4, 4))
    for region, image in enumerate(image_index.tolist()):
        alone = encoder(features[image : image + 1], boxes[region : region + 1], torch.tensor([0]), (4, 4))
        torch.testing.assert_close(together[region : region + 1], alone, atol=1e-5, rtol=1e-5)


def test_a_region_depends_on_its_box_and_on_its_image():
    encoder = InteractiveRegionEncoder(32, RegionSettings())
    features, boxes, _ = random_batch(2, [0, 0])
    both = encoder(features, boxes[[0, 0, 1]], torch.tensor([0, 1, 0]), (4, 4))
    assert not torch.allclose(both[0], both[1], atol=1e-2)
    assert not torch.allclose(both[0], both[2], atol=1e-2)


def test_no_region_gives_every_parameter_a_zero_gradient():
    encoder = InteractiveRegionEncoder(32, RegionSettings())
    features, boxes, image_index = random_batch(2, [])
    out = encoder(features, boxes, image_index, (4, 4))
    assert out.shape == (0, 2, 32)
    out.sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


def test_a_grid_that_does_not_fit_the_features_is_refused():
    encoder = InteractiveRegionEncoder(32, RegionSettings())
    features, boxes, image_index = random_batch(1, [0])
    with pytest.raises(ValueError, match="4 x 5 patches does not fit 16"):
        encoder(features, boxes, image_index, (4, 5))
