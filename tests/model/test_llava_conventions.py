"""What LLaVA's programs and users rely on: its calls, its convention of whose image is whose, its layouts of views."""

import pytest
import torch
from llava.model.language_model.llava_llama import LlavaConfig, LlavaLlamaForCausalLM

from mgimm_plugin.constants import IGNORE_INDEX, IMAGE_TOKEN_INDEX
from mgimm_plugin.errors import MgimmError, RecordError
from tests.tiny import SIDE, build_loaded

IMAGE = IMAGE_TOKEN_INDEX
PINPOINTS = ((SIDE, 2 * SIDE), (2 * SIDE, SIDE), (2 * SIDE, 2 * SIDE))
LAYOUTS = {
    "pad": {},
    "anyres-flat": {"image_aspect_ratio": "anyres", "image_grid_pinpoints": PINPOINTS},
    "anyres-spatial": {
        "image_aspect_ratio": "anyres",
        "image_grid_pinpoints": PINPOINTS,
        "mm_patch_merge_type": "spatial",
    },
    "anyres-unpad": {
        "image_aspect_ratio": "anyres",
        "image_grid_pinpoints": PINPOINTS,
        "mm_patch_merge_type": "spatial_unpad",
    },
}
GREEDY = {"do_sample": False, "max_new_tokens": 6, "eos_token_id": -1}


def llava_twin(model, tower):
    """LLaVA's own class with the same weights."""
    skip = ("model_type", "architectures", "transformers_version")
    values = {key: value for key, value in model.config.to_dict().items() if key not in skip}
    twin = LlavaLlamaForCausalLM(LlavaConfig(**values))
    own = {name: tensor for name, tensor in model.state_dict().items() if "region_encoder" not in name}
    twin.get_vision_tower().load_model()
    twin.load_state_dict(own)
    return twin.eval()


@pytest.fixture(scope="module")
def twins(tiny_llm, tiny_tower):
    """A model of ours and LLaVA's with the same weights, for every layout of views."""
    made = {}

    def twins_of(layout):
        if layout not in made:
            model = build_loaded(tiny_llm("llama"), tiny_tower, **LAYOUTS[layout]).model
            made[layout] = model, llava_twin(model, tiny_tower)
        return made[layout]

    return twins_of


def pictures(layout, sizes):
    """Random pixels as LLaVA's ``process_images`` lays them out."""
    generator = torch.Generator().manual_seed(2)
    if layout == "pad":
        return torch.randn(len(sizes), 3, SIDE, SIDE, generator=generator)
    views = [1 + (4 if abs(w - h) < 10 else 2) for w, h in sizes]
    return [torch.randn(count, 3, SIDE, SIDE, generator=generator) for count in views]


SIZES = [(90, 40), (37, 95), (100, 98)]
IDS = torch.tensor([[5, IMAGE, 6, 7, 0, 0], [8, 9, IMAGE, IMAGE, 11, 12]])
MASK = torch.tensor([[1, 1, 1, 1, 0, 0], [1] * 6], dtype=torch.bool)
LABELS = torch.where((IDS > 6) & MASK, IDS, IGNORE_INDEX)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_splicing_is_llavas(twins, layout):
    ours, theirs = twins(layout)
    arguments = (IDS, torch.arange(6).expand(2, 6), MASK, None, LABELS, pictures(layout, SIZES), SIZES)
    got = ours.prepare_inputs_labels_for_multimodal(*arguments)
    wanted = theirs.prepare_inputs_labels_for_multimodal(*arguments)
    assert got[0] is wanted[0] is None
    for name, mine, yours in zip(("positions", "mask", "past", "embeds", "labels"), got[1:], wanted[1:], strict=True):
        if yours is not None:
            torch.testing.assert_close(mine, yours, atol=1e-5, rtol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_loss_and_answers_are_llavas(twins, layout):
    ours, theirs = twins(layout)
    images = pictures(layout, SIZES)
    loss = ours(input_ids=IDS, attention_mask=MASK, labels=LABELS, images=images, image_sizes=SIZES).loss
    wanted = theirs(input_ids=IDS, attention_mask=MASK, labels=LABELS, images=images, image_sizes=SIZES).loss
    torch.testing.assert_close(loss, wanted, atol=1e-5, rtol=1e-5)
    answer = ours.generate(IDS[1:], images=images[1:], image_sizes=SIZES[1:], **GREEDY)
    assert answer.equal(theirs.generate(IDS[1:], images=images[1:], image_sizes=SIZES[1:], **GREEDY))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_alone_are_the_same_as_saying_whose_they_are(twins, layout):
    model, _ = twins(layout)
    images, rows = pictures(layout, SIZES), torch.tensor([0, 1, 1])
    call = {"attention_mask": MASK, "images": images, "image_sizes": SIZES}
    assert model(IDS, **call).logits.equal(model(input_ids=IDS, image_row=rows, **call).logits)
    assert model.generate(IDS, **call, **GREEDY).equal(model.generate(IDS, image_row=rows, **call, **GREEDY))
    assert model.generate(IDS[:1, :4], images[:1], SIZES[:1], **GREEDY).equal(
        model.generate(input_ids=IDS[:1, :4], images=images[:1], image_sizes=SIZES[:1], **GREEDY)
    )


def test_a_row_of_words_may_bring_an_image_it_does_not_show(twins):
    ours, theirs = twins("pad")
    ids = torch.tensor([[5, 6, 7], [8, IMAGE, 9], [IMAGE, IMAGE, 9]])
    images = torch.randn(4, 3, SIDE, SIDE)
    got, wanted = ours(ids, images=images).logits, theirs(ids, images=images).logits
    for row, length in enumerate((3, 2 + 16, 1 + 2 * 16)):  # beyond is padding
        torch.testing.assert_close(got[row, :length], wanted[row, :length], atol=1e-4, rtol=1e-4)
    with_own_rows = ours(ids, images=images, image_row=torch.tensor([0, 1, 2, 2]))
    assert ours(ids, images=images).logits.equal(with_own_rows.logits)


def test_a_list_of_single_images_needs_no_sizes(twins):
    model, _ = twins("pad")
    images = pictures("pad", SIZES)
    torch.testing.assert_close(
        model(IDS, attention_mask=MASK, images=list(images)).logits,
        model(IDS, attention_mask=MASK, images=images).logits,
        atol=1e-5,
        rtol=1e-5,
    )


def test_views_laid_out_as_a_picture_need_the_images_size(twins):
    model, _ = twins("anyres-unpad")
    with pytest.raises(MgimmError, match="need image_sizes"):
        model(IDS, attention_mask=MASK, images=pictures("anyres-unpad", SIZES))


def test_a_wrong_number_of_images_is_said_with_both_counts(twins):
    model, _ = twins("pad")
    with pytest.raises(RecordError, match="3 <image> tokens and 1 images"):
        model(IDS, attention_mask=MASK, images=pictures("pad", SIZES[:1]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_batch_without_images_runs_in_every_layout(twins, layout):
    model, _ = twins(layout)
    ids = torch.tensor([[5, 6, 7]])
    nothing = torch.empty(0, 3, SIDE, SIDE)
    logits = model(ids, images=nothing, image_sizes=[], image_row=torch.empty(0, dtype=torch.int64)).logits
    torch.testing.assert_close(logits, model(ids).logits, atol=1e-5, rtol=1e-5)


def test_boxes_of_anyres_are_in_the_frame_of_the_whole_image(twins):
    """Only the base view's features reach the region encoder."""
    model, _ = twins("anyres-unpad")
    images = pictures("anyres-unpad", SIZES[:1])
    changed = [torch.cat((images[0][:1], torch.randn_like(images[0][1:])))]
    call = {
        "image_sizes": SIZES[:1],
        "image_row": torch.tensor([0]),
        "boxes": torch.tensor([[0, 0, 30000, 20000]]),
        "image_index": torch.tensor([0]),
    }
    ids = torch.tensor([[5, -300, 7]])
    assert model(ids, images=images, **call).logits.equal(model(ids, images=changed, **call).logits)
    other = [images[0].flip(0)]
    assert not torch.allclose(model(ids, images=images, **call).logits, model(ids, images=other, **call).logits)


def test_pinpoints_are_a_list_as_in_llavas_configs(twins):
    assert twins("anyres-flat")[0].config.image_grid_pinpoints == [list(canvas) for canvas in PINPOINTS]
