"""The data set gives the right tokens, pixels and boxes, the same in every run, and says what does not fit."""

import pytest
import torch
from torch.utils.data import DataLoader

from mgimm_plugin.constants import BOX_UNITS, IGNORE_INDEX, IMAGE_TOKEN_INDEX, REGION_TOKEN_INDEX
from mgimm_plugin.data.collator import RegionCollator
from mgimm_plugin.data.encoding import sequence_length
from mgimm_plugin.data.region_input import RegionInput
from mgimm_plugin.errors import MgimmError, RecordError, SequenceTooLongError
from tests.data.tiny_records import SIDE, TOKENS_PER_IMAGE, conversation, image_record, region_record, text_record


def shown(item):
    """What decides a training step, as something that can be compared."""
    return item["id"], item["input_ids"].tolist(), item["boxes"].tolist()


def test_a_region_record_becomes_tokens_pixels_and_boxes(make, tokenizer):
    item = make([region_record(2, [(0, 0, 20, 20), (20, 5, 40, 10)])])[0]
    assert item["input_ids"].tolist().count(REGION_TOKEN_INDEX) == 2
    assert IMAGE_TOKEN_INDEX not in item["input_ids"]
    learnt = item["labels"][item["labels"] != IGNORE_INDEX]
    assert tokenizer.decode(learnt) == "Ship number 2.</s>"
    assert item["image"].shape == (3, SIDE, SIDE)
    assert item["image_size"] == (40, 20)
    # 40x20 padded to 40x40: ten pixels above and below.
    expected = torch.tensor([[0, 0.25, 0.5, 0.75], [0.5, 0.375, 1, 0.5]]) * BOX_UNITS
    assert item["boxes"].dtype == torch.int64
    assert item["boxes"].tolist() == expected.tolist()


def test_images_and_text_alone_have_no_boxes(make):
    data = make([image_record(1, regions=0), text_record(0)])
    assert data[0]["boxes"].shape == (0, 4)
    assert data[0]["image"] is not None
    assert (data[1]["image"], data[1]["image_size"], data[1]["boxes"].shape) == (None, None, (0, 4))


def test_regions_that_no_question_names_take_no_tokens(make):
    record = {**image_record(1), "conversations": conversation("<image>\nDescribe it.")}
    assert make([record])[0]["boxes"].shape == (0, 4)
    shown = make([record], region_subsets=True)
    assert {len(shown[0]["boxes"]) for epoch in range(20) if shown.set_epoch(epoch) is None} == {0, 1, 2, 3}


def test_random_subsets_keep_every_token_with_its_box(make):
    data = make([image_record(1)], region_subsets=True)
    every_box = make([image_record(1)])[0]["boxes"].tolist()
    orders = set()
    for epoch in range(40):
        data.set_epoch(epoch)
        item = data[0]
        boxes = item["boxes"].tolist()
        assert item["input_ids"].tolist().count(REGION_TOKEN_INDEX) == len(boxes)
        orders.add(tuple(every_box.index(box) for box in boxes))
    assert () in orders
    assert len(orders) > 8


def test_a_resumed_run_sees_what_an_uninterrupted_one_sees(make):
    settings = {"weights": [0.5], "region_subsets": True, "replay": [region_record(i) for i in range(6)], "seed": 5}
    records = [image_record(i) for i in range(6)]
    whole = make(records, **settings)
    epochs = []
    for epoch in range(3):
        whole.set_epoch(epoch)
        epochs.append([shown(item) for item in whole])
    assert epochs[0] != epochs[1]
    resumed = make(records, **settings)
    resumed.set_epoch(2)
    assert [shown(resumed[index]) for index in (3, 1, 0, 2)] == [epochs[2][index] for index in (3, 1, 0, 2)]


def test_persistent_workers_follow_the_epoch(make):
    data = make([image_record(i) for i in range(4)], region_subsets=True)
    loader = DataLoader(data, batch_size=None, num_workers=2, persistent_workers=True)
    for epoch in (0, 1):
        data.set_epoch(epoch)
        assert [shown(item) for item in loader] == [shown(item) for item in data]


def test_replayed_region_records_make_their_share(make):
    data = make([image_record(i) for i in range(6)], replay=[region_record(0), region_record(1)])
    names = [item["id"] for item in data]
    assert names[:6] == [f"image{i}" for i in range(6)]
    assert sorted(names[6:]) == ["region0", "region1"]


def test_replay_takes_region_records_only(make):
    data = make([image_record(i) for i in range(6)], replay=[image_record(0)])
    with pytest.raises(RecordError, match=r"replay\.json, index 0, record image0: its format is image-instruction"):
        data[6]


def test_the_length_counts_what_images_and_regions_take(make):
    item = make([image_record(1, regions=2)])[0]
    length = sequence_length(item["input_ids"].tolist(), TOKENS_PER_IMAGE, 2)
    assert length == len(item["input_ids"]) - 3 + TOKENS_PER_IMAGE + 2 * 2
    assert make([image_record(1, regions=2)], context_length=length)[0]["id"] == "image1"
    with pytest.raises(SequenceTooLongError, match=f"record image1.*{length} tokens.*context has {length - 1}"):
        make([image_record(1, regions=2)], context_length=length - 1)[0]


def test_the_length_counts_as_many_tokens_a_region_as_the_model_takes(make):
    two, four, words = (
        make([image_record(1, regions=2), region_record(1)], regions=RegionInput(*settings))
        for settings in (("interactive", 2), ("interactive", 4), ("box_text", 2))
    )
    ids = two[0]["input_ids"].tolist()
    needed = sequence_length(ids, TOKENS_PER_IMAGE, 4)
    assert needed == sequence_length(ids, TOKENS_PER_IMAGE, 2) + 2 * 2
    assert [b - a for a, b in zip(two.lengths, four.lengths, strict=True)] == [2 * 2, 2]
    assert words.lengths[1] > two.lengths[1] + TOKENS_PER_IMAGE - 2  # the image is shown
    with pytest.raises(SequenceTooLongError, match=f"{needed} tokens"):
        make([image_record(1, regions=2)], regions=RegionInput("interactive", 4), context_length=needed - 1)[0]


def test_regions_in_words_are_not_in_the_batch(make):
    item = make([region_record(1)], regions=RegionInput("box_text"))[0]
    assert item["boxes"].shape == (0, 4)
    assert item["image"] is not None
    assert (item["input_ids"] == IMAGE_TOKEN_INDEX).sum() == 1
    assert not (item["input_ids"] == REGION_TOKEN_INDEX).any()


def test_anyres_counts_every_view(make):
    settings = {"image_aspect_ratio": "anyres", "image_grid_pinpoints": [[2 * SIDE, SIDE]]}
    item = make([image_record(1)], **settings)[0]
    assert item["image"].shape == (3, 3, SIDE, SIDE)
    one_view = sequence_length(item["input_ids"].tolist(), TOKENS_PER_IMAGE, 2)
    with pytest.raises(SequenceTooLongError, match=f"{one_view + 2 * TOKENS_PER_IMAGE} tokens"):
        make([image_record(1)], context_length=one_view, **settings)[0]


def test_lengths_tell_what_shows_no_whole_image_without_opening_any(make):
    records = [region_record(99), image_record(99, regions=2), text_record(0), {"id": "bad"}]
    data = make(records, on_error="skip", skipped_path="unused.jsonl")
    assert data.modality_lengths == [-(2 + 3 + 3), TOKENS_PER_IMAGE + 4 + 2 + 2, -2, 1]
    assert data.lengths == [8, 12, 2, 1]


def test_a_batch_of_everything_fits_together(make):
    data = make([text_record(0), region_record(1, [(0, 0, 9, 9), (3, 0, 9, 9)]), image_record(2, 1), text_record(3)])
    batch = RegionCollator(pad_token_id=0, frame_size=SIDE)(list(data))
    assert batch["image_row"].tolist() == [1, 2]
    assert batch["image_index"].tolist() == [0, 0, 1]
    assert batch["image_sizes"] == [(40, 20), (40, 20)]
    assert batch["images"].shape == (2, 3, SIDE, SIDE)
    assert batch["boxes"].shape == (3, 4)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"on_error": "ignore"}, "raise or skip"),
        ({"on_error": "skip"}, "skipped_path"),
        ({"replay": [text_record(0)], "region_replay_fraction": 1.0}, "region_replay_fraction"),
        ({"replay": []}, r"replay\.json: holds no records"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, changes, problem):
    with pytest.raises(MgimmError, match=problem):
        make([text_record(0)], **changes)
