"""A batch has one shape whatever is in it."""

import pytest
import torch

from mgimm_plugin.constants import IGNORE_INDEX
from mgimm_plugin.data.collator import RegionCollator

KEYS = [
    "input_ids",
    "attention_mask",
    "labels",
    "images",
    "image_sizes",
    "image_row",
    "boxes",
    "image_index",
    "image_source",
]


def item(length, boxes=0, image=None, name=None):
    return {
        "input_ids": torch.arange(1, length + 1),
        "labels": torch.arange(1, length + 1),
        "image": image,
        "image_name": name,
        "image_size": None if image is None else (8, 6),
        "boxes": torch.full((boxes, 4), length),
        "id": str(length),
    }


@pytest.mark.parametrize(("side", "first"), [("right", [1, 2, 9, 9]), ("left", [9, 9, 1, 2])])
def test_rows_are_padded_on_the_side_asked_for(side, first):
    batch = RegionCollator(pad_token_id=9, frame_size=4, padding_side=side)([item(2), item(4)])
    assert batch["input_ids"].tolist() == [first, [1, 2, 3, 4]]
    mask = [[token != 9 for token in first], [True] * 4]
    assert batch["attention_mask"].dtype == torch.bool
    assert batch["attention_mask"].tolist() == mask
    assert batch["labels"][0].tolist() == [IGNORE_INDEX if token == 9 else token for token in first]


def test_ids_come_first_and_boxes_never():
    batch = RegionCollator(pad_token_id=0, frame_size=4)([item(2, 1, torch.zeros(3, 4, 4))])
    assert list(batch) == KEYS


def test_a_batch_without_images_and_boxes_keeps_every_key():
    batch = RegionCollator(pad_token_id=0, frame_size=4)([item(2), item(3)])
    assert list(batch) == KEYS
    assert batch["images"].shape == (0, 3, 4, 4)
    assert batch["image_sizes"] == []
    assert batch["image_row"].shape == (0,)
    assert (batch["boxes"].shape, batch["boxes"].dtype) == ((0, 4), torch.int64)
    assert (batch["image_index"].shape, batch["image_index"].dtype) == ((0,), torch.int64)


def test_each_box_knows_its_image_and_each_image_its_row():
    image = torch.ones(3, 4, 4)
    rows = [item(2), item(3, 2, image), item(4, 0, image), item(5), item(6, 1, image)]
    batch = RegionCollator(pad_token_id=0, frame_size=4)(rows)
    assert batch["image_row"].tolist() == [1, 2, 4]
    assert batch["image_index"].tolist() == [0, 0, 2]
    assert batch["boxes"][:, 0].tolist() == [3, 3, 6]


def test_an_image_of_several_rows_is_there_once():
    first, second = torch.zeros(3, 4, 4), torch.ones(3, 4, 4)
    rows = [item(2, 1, first, "a"), item(3, 2, second, "b"), item(4, 1, first, "a"), item(5, 1, second)]
    batch = RegionCollator(pad_token_id=0, frame_size=4)(rows)
    assert batch["images"].flatten(1)[:, 0].tolist() == [0, 1, 1]
    assert batch["image_source"].tolist() == [0, 1, 0, 2]
    assert batch["image_row"].tolist() == [0, 1, 2, 3]
    assert batch["image_index"].tolist() == [0, 1, 1, 2, 3]


def test_views_of_anyres_stay_apart():
    rows = [item(2, 1, torch.zeros(3, 3, 4, 4)), item(2, 0, torch.zeros(5, 3, 4, 4))]
    images = RegionCollator(pad_token_id=0, frame_size=4)(rows)["images"]
    assert [len(views) for views in images] == [3, 5]


@pytest.mark.parametrize("views", [None, (2, 3)])
def test_features_take_the_place_of_images(views):
    collate = RegionCollator(pad_token_id=0, frame_size=4, no_features=torch.empty((0, 5, 7), dtype=torch.bfloat16))
    first, second = (torch.ones(*shape, 5, 7) for shape in ([(), ()] if views is None else [(2,), (3,)]))
    batch = collate([item(2, 1, first, "a.png"), item(2, 1, second, "b.png"), item(2, 1, first, "a.png"), item(2)])
    assert list(batch) == ["image_features" if key == "images" else key for key in KEYS]
    assert [tuple(tensor.shape) for tensor in batch["image_features"]] == [tuple(first.shape), tuple(second.shape)]
    assert batch["image_source"].tolist() == [0, 1, 0]
    nothing = collate([item(2)])["image_features"]
    assert (nothing.shape, nothing.dtype) == ((0, 5, 7), torch.bfloat16)
