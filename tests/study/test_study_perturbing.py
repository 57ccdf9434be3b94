import copy
import json

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from mgimm_plugin.data.formats import format_of
from mgimm_plugin.data.records import parse_record
from scripts.study import perturbing


def make_record(boxes):
    head = f"<image>\n{'<region>' * len(boxes)}\n"
    turns = [{"from": "human", "value": f"{head}Describe it."}, {"from": "gpt", "value": "A port."}]
    regions = [{"bbox": box, "category": "ship"} for box in boxes]
    common = {"id": "0", "image": "a.jpg", "width": 200, "height": 100, "counts": {"ship": len(boxes)}}
    return {**common, "regions": regions, "conversations": turns, "references": ["A quay."]}


BOXES = [[0, 0, 3, 3], [50, 20, 90, 60], [100.5, 10, 199.9, 99.9], [10, 50, 30, 70], [195, 95, 200, 100]]


@pytest.fixture
def record():
    return make_record(BOXES)


def draws(change, record, count=50):
    return [change(record, np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("change", perturbing.PERTURBATIONS.values(), ids=perturbing.PERTURBATIONS)
def test_perturbed_records_are_valid_for_the_package_and_say_the_same_of_the_image(change, record):
    before = copy.deepcopy(record)
    for changed in [*draws(change, record), perturbing.plain(record)]:
        parsed = parse_record(changed, file="f", index=0)
        format_of(parsed).check(parsed)
        first = changed["conversations"][0]["value"]
        assert first.startswith("<image>\n")
        assert first.endswith("\nDescribe it.")
        assert first.count("<region>") == len(changed["regions"])
        assert changed["conversations"][1:] == record["conversations"][1:]
        assert {key: changed[key] for key in ("references", "counts")} == {
            key: record[key] for key in ("references", "counts")
        }
    assert record == before


@pytest.mark.parametrize("change", perturbing.PERTURBATIONS.values(), ids=perturbing.PERTURBATIONS)
def test_the_same_source_of_randomness_gives_the_same_record(change, record):
    assert draws(change, record, 5) == draws(change, record, 5)


def test_jittered_boxes_stay_inside_the_image_keep_their_order_and_move_by_the_documented_amount():
    record = make_record([[60, 30, 100, 70]] * 1000)
    moved = perturbing.jittered(record, np.random.default_rng(0))
    shift = np.array([region["bbox"] for region in moved["regions"]]) - [60, 30, 100, 70]
    assert shift.std(axis=0) == pytest.approx(np.full(4, 0.15 * 40), rel=0.1)
    assert np.abs(shift.mean(axis=0)).max() < 1
    for changed in draws(perturbing.jittered, make_record(BOXES)):
        boxes = np.array([region["bbox"] for region in changed["regions"]])
        assert boxes.min() >= 0
        assert (boxes[:, 2:] <= [200, 100]).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 1.9).all()  # boxes are written to a tenth of a pixel


def test_dropped_boxes_go_with_their_chance_and_the_others_stay_in_order():
    record = make_record([[index, 0, index + 5, 5] for index in range(180)])
    kept = [[region["bbox"][0] for region in changed["regions"]] for changed in draws(perturbing.dropped, record)]
    assert np.mean([len(each) for each in kept]) == pytest.approx(0.6 * 180, rel=0.05)
    assert all(each == sorted(each) for each in kept)


def test_dropping_every_box_leaves_a_question_about_the_image_alone(monkeypatch, record):
    monkeypatch.setattr(perturbing, "DROP", 1.0)
    changed = perturbing.dropped(record, np.random.default_rng(0))
    assert changed == perturbing.plain(record)
    assert changed["conversations"][0]["value"] == "<image>\nDescribe it."


def test_spurious_boxes_join_the_true_ones_hardly_overlap_them_and_have_no_category(record):
    places = set()
    for changed in draws(perturbing.spurious, record):
        assert [region for region in changed["regions"] if "category" in region] == record["regions"]
        extra = [region["bbox"] for region in changed["regions"] if "category" not in region]
        assert len(extra) == 2  # 0.4 of five
        assert box_iou(torch.tensor(extra), torch.tensor(BOXES)).max() <= 0.11
        places |= {at for at, region in enumerate(changed["regions"]) if "category" not in region}
    assert places == set(range(7))


def test_files_are_rewritten_record_by_record_the_same_whatever_stands_around_a_record(tmp_path, record):
    source, target, again = (tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl"))
    source.write_text((json.dumps(record) + "\n") * 3)
    perturbing.write_perturbed(source, target, "jittered", 7)
    perturbing.write_perturbed(source, again, "jittered", 7)
    assert target.read_text() == again.read_text()
    first, second, _ = [json.loads(line)["regions"] for line in target.read_text().splitlines()]
    assert first != second
