"""The batch contract: what a model makes of images, regions and rows, in a forward pass and in generation."""

import copy

import pytest
import torch

from mgimm_plugin.constants import IGNORE_INDEX, IMAGE_TOKEN_INDEX, REGION_TOKEN_INDEX
from mgimm_plugin.errors import RecordError
from tests.tiny import FAMILIES, SIDE, build_loaded

IMAGE, REGION = IMAGE_TOKEN_INDEX, REGION_TOKEN_INDEX
PATCHES = 16
BOXES = torch.tensor([[0, 0, 30000, 30000], [20000, 10000, 60000, 65536], [5, 5, 40000, 9000], [0, 0, 65536, 65536]])
ROWS = (
    [REGION, 40, 41, 42],  # a region record: its image is not shown
    [43, 44],  # words only
    [50, IMAGE, 51, REGION, REGION, 52],
    [60, 61, REGION],
)
ROW_REGIONS = (1, 0, 2, 1)
ROW_IMAGE = (0, None, 1, 2)


@pytest.fixture(scope="module")
def model(tiny_loaded):
    return tiny_loaded.model


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def batch_of(images, rows=(0, 1, 2, 3), side="right"):
    """The batch of some of ROWS, as the collator would build it."""
    texts = [ROWS[row] for row in rows]
    width = max(map(len, texts))
    ids, mask = torch.zeros(len(rows), width, dtype=torch.int64), torch.zeros(len(rows), width, dtype=torch.bool)
    owned, image_row, boxes, image_index = [], [], [], []
    for i, (row, text) in enumerate(zip(rows, texts, strict=True)):
        start = width - len(text) if side == "left" else 0
        ids[i, start : start + len(text)] = torch.tensor(text)
        mask[i, start : start + len(text)] = True
        if ROW_IMAGE[row] is not None:
            owned.append(images[ROW_IMAGE[row]])
            image_row.append(i)
        first = sum(ROW_REGIONS[:row])
        boxes.append(BOXES[first : first + ROW_REGIONS[row]])
        image_index += [len(owned) - 1] * ROW_REGIONS[row]
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "images": torch.stack(owned) if owned else torch.empty(0, 3, SIDE, SIDE),
        "image_row": torch.tensor(image_row, dtype=torch.int64),
        "boxes": torch.cat(boxes),
        "image_index": torch.tensor(image_index, dtype=torch.int64),
    }


def labels_of(batch):
    return batch["input_ids"].masked_fill((batch["input_ids"] < 0) | ~batch["attention_mask"], IGNORE_INDEX)


def length_of(row):
    return sum({IMAGE: PATCHES, REGION: 2}.get(token, 1) for token in ROWS[row])


@pytest.mark.parametrize("side", ["right", "left"])
def test_rows_of_a_batch_are_what_they_are_alone(model, images, side):
    together = model(**batch_of(images, side=side)).logits
    assert together.shape[1] == max(map(length_of, range(4)))
    for row in range(4):
        alone = model(**batch_of(images, rows=[row])).logits[0]
        assert alone.shape[0] == length_of(row)
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=2e-4, rtol=1e-3)


def test_the_order_of_the_images_is_free(model, images):
    batch = batch_of(images)
    order = torch.tensor([2, 0, 1])
    shuffled = {
        **batch,
        "images": batch["images"][order],
        "image_row": batch["image_row"][order],
        "image_index": order.argsort()[batch["image_index"]],
    }
    torch.testing.assert_close(model(**shuffled).logits, model(**batch).logits, atol=1e-5, rtol=1e-5)


def test_boxes_of_different_rows_may_come_mixed(model, images):
    batch = batch_of(images)
    order = torch.tensor([3, 1, 0, 2])  # the two boxes of one row keep their order
    mixed = {**batch, "boxes": batch["boxes"][order], "image_index": batch["image_index"][order]}
    torch.testing.assert_close(model(**mixed).logits, model(**batch).logits, atol=1e-5, rtol=1e-5)


def test_regions_of_one_row_keep_their_order(model, images):
    batch = batch_of(images, rows=[2])
    swapped = {**batch, "boxes": batch["boxes"].flip(0)}
    assert not torch.allclose(model(**batch).logits, model(**swapped).logits, atol=1e-2)


def test_a_region_record_sees_its_image_only_through_its_regions(model, images):
    first = model(**batch_of(images, rows=[0])).logits
    assert first.shape[1] == length_of(0)  # no patches of the image among the tokens
    assert not torch.allclose(first, model(**batch_of(images.flip(0), rows=[0])).logits, atol=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_words_are_those_of_the_plain_language_model(family, tiny_llm, tiny_tower, images):
    from transformers import AutoModelForCausalLM

    model = build_loaded(tiny_llm(family), tiny_tower).model
    batch = batch_of(images, rows=[1])
    plain = AutoModelForCausalLM.from_pretrained(tiny_llm(family), dtype=torch.float32).eval()
    wanted = plain(input_ids=batch["input_ids"]).logits
    torch.testing.assert_close(model(**batch).logits, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(input_ids=batch["input_ids"]).logits, wanted, atol=1e-5, rtol=1e-5)


def trained_parameters(model):
    decoder = model.get_model()
    return [*decoder.mm_projector.named_parameters(), *decoder.region_encoder.named_parameters()]


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [1], [0, 1]], ids=["mixed", "words", "regions"])
def test_every_batch_gives_every_trained_parameter_a_gradient(model, images, rows):
    model = copy.deepcopy(model)
    batch = batch_of(images, rows=rows)
    model(**batch, labels=labels_of(batch)).loss.backward()
    for name, parameter in trained_parameters(model):
        assert parameter.grad is not None, name
        if rows == [1]:
            assert not parameter.grad.any(), name
        elif "k_proj.bias" not in name:  # a shift of all keys changes no attention
            assert parameter.grad.any(), name
    assert all(parameter.grad is None for parameter in model.get_vision_tower().parameters())


def test_features_carry_no_loss(model, images):
    batch = batch_of(images, rows=[2])
    labels = labels_of(batch)
    loss, logits = model(**batch, labels=labels).to_tuple()[:2]
    # 50, 16 patches, 51, four region tokens, 52: the words are predicted from the token before them.
    targets = {PATCHES: 51, PATCHES + 1 + 4: 52}
    wanted = sum(torch.nn.functional.cross_entropy(logits[0, at], torch.tensor(word)) for at, word in targets.items())
    torch.testing.assert_close(loss, wanted / 2)


@pytest.mark.parametrize("frame", ["pad", "anyres"])
@pytest.mark.parametrize("rows", [[0], [1], [0, 3]])
def test_the_separator_of_views_has_a_gradient_where_no_view_is_shown(tiny_llm, tiny_tower, images, frame, rows):
    model = build_loaded(
        tiny_llm("llama"), tiny_tower, image_aspect_ratio=frame, mm_patch_merge_type="spatial_unpad"
    ).model
    batch = batch_of(images, rows)
    if frame == "anyres" and len(batch["images"]):
        batch["images"] = [image.expand(3, -1, -1, -1) for image in batch["images"]]
    newline = model.model.image_newline.requires_grad_(True)
    model.train()(**batch, labels=labels_of(batch)).loss.backward()
    assert newline.grad is not None
    assert not newline.grad.any()


def test_accumulation_does_not_change_gradients(model, images):
    whole = batch_of(images)
    labels = labels_of(whole)
    model = copy.deepcopy(model)
    model(**whole, labels=labels).loss.backward()
    wanted = {name: parameter.grad.clone() for name, parameter in trained_parameters(model)}
    model.zero_grad()
    # A row's first token has nothing before it that could predict it.
    items = int((labels[:, 1:] != IGNORE_INDEX).sum())
    for row in range(4):
        part = batch_of(images, rows=[row])
        model(**part, labels=labels_of(part), num_items_in_batch=items).loss.backward()
    for name, parameter in trained_parameters(model):
        torch.testing.assert_close(parameter.grad, wanted[name], atol=1e-5, rtol=1e-3, msg=name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda b: {**b, "boxes": b["boxes"][:3], "image_index": b["image_index"][:3]},
            "row 3 .* 1 <region> .* 0 boxes",
        ),
        (lambda b: {**b, "image_index": torch.tensor([0, 1, 1, 1])}, "row 2 .* 2 <region> tokens and 3 boxes"),
        (lambda b: {**b, "image_row": torch.tensor([0, 2, 2])}, "row 2 .* 1 <image> tokens and 2 images"),
        (lambda b: {**b, "boxes": None, "image_index": None}, "row 0 .* 1 <region> tokens and 0 boxes"),
        (lambda b: {**b, "image_row": None}, "1 <image> tokens and 3 images; pass image_row"),
    ],
)
def test_wrong_counts_are_said_with_both(model, images, change, message):
    with pytest.raises(RecordError, match=message):
        model(**change(batch_of(images)))


def generate(model, batch, **options):
    return model.generate(**batch, do_sample=False, max_new_tokens=6, eos_token_id=-1, **options)


@pytest.mark.parametrize("side", ["right", "left"])
def test_generation_in_a_batch_is_that_of_one_at_a_time(model, images, side):
    together = generate(model, batch_of(images, side=side))
    assert together.shape == (4, 6)  # new tokens only
    assert len(together.unique(dim=0)) > 1
    for row in range(4):
        assert generate(model, batch_of(images, rows=[row]))[0].tolist() == together[row].tolist()


@pytest.mark.parametrize("family", FAMILIES[1:])
def test_generation_in_a_batch_for_every_family(family, tiny_llm, tiny_tower, images):
    model = build_loaded(tiny_llm(family), tiny_tower).model
    together = generate(model, batch_of(images, side="left"))
    alone = [generate(model, batch_of(images, rows=[row]))[0].tolist() for row in range(4)]
    assert together.tolist() == alone


def test_an_image_seen_once_answers_many_questions(model, images):
    batch = batch_of(images, side="left")
    features = model.encode_vision(batch.pop("images"))
    assert generate(model, {**batch, "image_features": features}).equal(generate(model, batch_of(images, side="left")))


def test_generation_from_words_alone(model, images):
    ids = torch.tensor([[43, 44]])
    assert generate(model, {"inputs": ids}).equal(generate(model, batch_of(images, rows=[1])))


@pytest.mark.parametrize("side", ["right", "left"])
def test_words_alone_are_answered_in_a_batch_as_one_at_a_time(model, side):
    rows = ([43, 44, 45, 46], [60, 61])
    ids, mask = torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 4, dtype=torch.int64)
    for row, words in enumerate(rows):
        place = slice(4 - len(words), 4) if side == "left" else slice(len(words))
        ids[row, place], mask[row, place] = torch.tensor(words), 1
    together = generate(model, {"inputs": ids, "attention_mask": mask})
    alone = [generate(model, {"inputs": torch.tensor([words])})[0].tolist() for words in rows]
    assert together.tolist() == alone


def test_a_prompt_about_an_image_needs_one(model):
    ids = torch.tensor([[50, IMAGE, 51]])
    for ask in (lambda: generate(model, {"inputs": ids}), lambda: model(input_ids=ids)):
        with pytest.raises(RecordError, match="speaks of an image or a region, but no images were given"):
            ask()
