"""A bad record is never hidden: it is named, or skipped and listed once."""

import json
import logging
import os

import pytest
from torch.utils.data import DataLoader

from mgimm_plugin.constants import BOX_UNITS
from mgimm_plugin.data.skips import SkipList
from mgimm_plugin.errors import BoxError, ImageError, RecordError, SequenceTooLongError
from tests.data.tiny_records import conversation, image_record, region_record


def broken_image(folder):
    (folder / "broken.png").write_bytes((folder / "1.png").read_bytes()[:50])
    return {**region_record(1), "id": "bad", "image": "broken.png"}


BAD = {
    "missing image": (ImageError, lambda folder: {**region_record(1), "id": "bad", "image": "gone.png"}),
    "truncated image": (ImageError, broken_image),
    "box outside": (BoxError, lambda folder: {**region_record(1, [(50, 0, 60, 10)]), "id": "bad"}),
    "another size": (RecordError, lambda folder: {**region_record(1), "id": "bad", "width": 80}),
    "too long": (
        SequenceTooLongError,
        lambda folder: {"id": "bad", "conversations": conversation("Hello", "Hi " * 500)},
    ),
    "no answer": (
        RecordError,
        lambda folder: {"id": "bad", "conversations": conversation("Hello")[:1]},
    ),
    "no record": (RecordError, lambda folder: {"id": "bad"}),
    "no json": (RecordError, lambda folder: '{"id": "bad"'),
}


@pytest.mark.parametrize("problem", BAD)
def test_a_bad_record_is_named(make, folder, problem):
    kind, build = BAD[problem]
    data = make([region_record(0), build(folder), region_record(2)])
    with pytest.raises(kind) as caught:
        data[1]
    assert caught.value.index == 1
    assert caught.value.file == folder / "file0.jsonl"
    assert caught.value.record == (None if problem == "no json" else "bad")
    assert data[2]["id"] == "region2"


@pytest.mark.parametrize("problem", BAD)
def test_a_skipped_record_is_replaced_by_the_next_and_listed_once(make, folder, problem):
    _, build = BAD[problem]
    skipped_path = folder / "run" / "skipped.jsonl"
    records = [region_record(0), build(folder), build(folder), region_record(3)]
    data = make(records, on_error="skip", skipped_path=skipped_path)
    assert data.skipped == 0
    for _ in range(2):
        assert [item["id"] for item in data] == ["region0", "region3", "region3", "region3"]
    entries = [json.loads(line) for line in skipped_path.read_text().splitlines()]
    assert [entry["index"] for entry in entries] == [1, 2]
    assert entries[0]["file"] == str(folder / "file0.jsonl")
    assert entries[0]["id"] == (None if problem == "no json" else "bad")
    assert entries[0]["error"]
    assert data.skipped == 2


def test_workers_together_list_a_record_once(make, folder):
    bad = [{**region_record(i), "image": "gone.png"} for i in range(20)]
    data = make([region_record(0), *bad], on_error="skip", skipped_path=folder / "skipped.jsonl")
    loader = DataLoader(data, batch_size=None, num_workers=2)
    assert {item["id"] for _ in range(2) for item in loader} == {"region0"}
    indices = [json.loads(line)["index"] for line in (folder / "skipped.jsonl").read_text().splitlines()]
    assert sorted(indices) == list(range(1, 21))
    assert data.skipped == 20


def test_a_file_whose_name_is_no_utf8_is_listed_as_any_other(tmp_path):
    file = tmp_path / os.fsdecode(b"caf\xe9.jsonl")
    for _ in range(2):  # as two runs do
        skipped = SkipList(tmp_path / "skipped.jsonl")
        skipped.add(RecordError("is bad", file=file, index=3))
    assert len(skipped) == 1
    (line,) = (tmp_path / "skipped.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["file"] == str(file)


def test_a_file_without_a_good_record_is_an_error_all_the_same(make, folder):
    data = make([{"id": "a"}, {"id": "b"}], on_error="skip", skipped_path=folder / "skipped.jsonl")
    with pytest.raises(RecordError, match="not one of its records"):
        data[0]


def test_an_error_in_a_worker_arrives_whole(make):
    data = make([{**region_record(0), "image": "gone.png"}])
    with pytest.raises(ImageError, match=r"record region0, field image: image .*gone\.png does not exist"):
        list(DataLoader(data, batch_size=None, num_workers=1))


def test_boxes_that_stick_out_are_clipped_counted_and_said_once(make, caplog):
    data = make([region_record(0, [(-5, 0, 10, 10), (30, 0, 50, 30)]), region_record(1, [(-5, 0, 10, 10)])])
    with caplog.at_level(logging.WARNING):
        items = list(data)
    assert items[0]["boxes"].min() == 0
    assert items[0]["boxes"].max() == BOX_UNITS
    assert data.clipped_boxes == 3
    assert len([message for message in caplog.messages if "outside its image" in message]) == 1
    loader = DataLoader(data, batch_size=None, num_workers=2)
    assert len(list(loader)) == 2
    assert data.clipped_boxes == 6


def test_a_bad_box_is_named_by_its_place_in_the_record_whatever_the_subset(make):
    record = image_record(1)
    record["regions"][2]["bbox"] = [100, 0, 110, 10]
    data = make([record], region_subsets=True)
    for epoch in range(5):
        data.set_epoch(epoch)
        with pytest.raises(BoxError, match=r"record image1, field regions\[2\]\.bbox.*outside the 40x20 image"):
            data[0]


def test_a_box_that_is_cropped_away_names_its_record(make):
    with pytest.raises(BoxError, match=r"record region0, field regions\[0\]\.bbox.*pad and resize keep"):
        make([region_record(0, [(0, 0, 5, 5)])], image_aspect_ratio="square")[0]
