"""Images, boxes and lengths that ``mgimm describe`` and ``mgimm validate`` cannot take as they are."""

import json

import pytest
from PIL import Image

from tests.bad_input.cases import BAD_RECORDS, failure, mgimm, record, write


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("gone.png", "gone.png does not exist"),
        ("cut.png", "cut.png cannot be read"),
        ("text.png", "text.png is not an image"),
        ("bomb.png", "bomb.png has more pixels than the limit of 178956970"),
    ],
)
def test_describe_names_an_image_that_it_cannot_read(describe, folder, image, problem):
    result = describe(folder / image)
    assert failure(result).startswith("mgimm describe: image ")
    assert problem in result.stderr
    assert result.stdout == ""


def test_describe_takes_larger_images_when_the_limit_is_raised(describe, folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow's own limit must not be in the way
    assert "raise max_pixels (--max-pixels)" in failure(describe(folder / "good.png", "--max-pixels", "5399"))
    assert describe(folder / "good.png", "--max-pixels", "8100").exit_code == 0
    assert failure(describe(folder / "good.png", "--max-pixels", "0"), 2)


def test_an_image_whose_padding_would_be_a_bomb_is_refused(describe, folder):
    Image.new("L", (200_000, 2)).save(folder / "line.png")
    assert "an image of 200000x2 pixels is too elongated" in failure(describe(folder / "line.png"))


def test_describe_clips_a_box_and_says_so_on_standard_error(describe, folder):
    result = describe(folder / "good.png", "--box=-5,5,40,30", "--box=5,5,40,30", "--json")
    assert result.stderr == "WARNING: boxes that stuck out of the image and were clipped to it: 1 of 2\n"
    assert [region["bbox"] for region in json.loads(result.stdout)["regions"]] == [[-5, 5, 40, 30], [5, 5, 40, 30]]


def test_a_clipped_box_is_described_as_the_box_inside_the_image(describe, folder):
    def said(box):
        return json.loads(describe(folder / "good.png", "--json", f"--box={box}").stdout)["regions"][0]["text"]

    assert said("-50,-5,40,30") == said("0,0,40,30")


def test_describe_names_the_box_that_is_outside(describe, folder):
    line = failure(describe(folder / "good.png", "--box=5,5,40,30", "--box=95,1,99,9"))
    assert line == "mgimm describe: field regions[1].bbox: box [95, 1, 99, 9] lies outside the 90x60 image"


@pytest.mark.parametrize("box", ["40,5,5,30", "5,5,5,30", "nan,5,40,30", "0,0,inf,inf", "5,5,40"])
def test_a_box_that_can_be_no_box_is_bad_usage(describe, folder, box):
    assert describe(folder / "good.png", f"--box={box}").exit_code == 2


def test_describe_says_both_lengths_of_an_answer_that_has_no_room(checkpoints, folder):
    result = mgimm("describe", folder / "good.png", "--model", checkpoints / "full", "--max-new-tokens", "512")
    line = failure(result)
    assert "and its answer up to 512 more, but the model's context has 512" in line
    assert "lower max_new_tokens" in line


def test_the_predictor_warns_of_boxes_that_it_clips(tiny_loaded, folder, caplog):
    from mgimm_plugin.predictor import Predictor

    predictor = Predictor(tiny_loaded)
    predictor.set_image(folder / "good.png")
    predictor.describe_regions([(-5, 5, 40, 30), (5, 5, 400, 30), (5, 5, 40, 30)], max_new_tokens=1)
    list(predictor.stream("<region>\nWhat?", [(-5, 5, 40, 30)], max_new_tokens=1))
    assert [message.rpartition(": ")[2] for message in caplog.messages] == ["2", "1"]


def test_validate_lists_all_that_training_would_stop_at(folder):
    items = [item | {"id": name} for name, (item, _) in BAD_RECORDS.items() if name != "sequence too long"]
    result = mgimm("validate", write(folder / "data.jsonl", [record(), *items]), "--images", folder)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert len(lines) == len(items)
    for number, (line, item) in enumerate(zip(lines, items, strict=True), 1):
        assert line.startswith(f"file {folder}/data.jsonl, line {number + 1}, index {number}, record {item['id']}")
        assert BAD_RECORDS[item["id"]][1].format(folder=folder) in line


def test_validate_takes_larger_images_when_the_limit_is_raised(folder):
    data = write(folder / "data.jsonl", [record()])
    assert "limit of 5399" in mgimm("validate", data, "--images", folder, "--max-pixels", "5399").stdout
    assert mgimm("validate", data, "--images", folder, "--max-pixels", "5400").exit_code == 0
