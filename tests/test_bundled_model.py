"""The bundled model, straight from the checkout, on scenes that it was not trained on."""

import json
import re

import pytest
import torch

from mgimm_plugin.data.scenes import write_scenes
from mgimm_plugin.predictor import Predictor
from mgimm_plugin.resources import bundled_model, playground_folder
from scripts.mini_bases.bundle import CARD_FILE, SCORES_FILE, draw_held_out, hardware
from scripts.mini_bases.scores import LOWER_IS_BETTER, RUNS, held_out_scores

PUBLISHED = json.loads((bundled_model() / SCORES_FILE).read_text())["scores"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return draw_held_out(tmp_path_factory.mktemp("scenes") / "held_out")


@pytest.mark.parametrize("run", ["regions", "image, true boxes"])
def test_it_reaches_the_scores_of_its_model_card(run, scenes, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")  # without Java: the caption scores would take longer than the answers
    reached = held_out_scores(bundled_model(), scenes, tmp_path, runs=[run])[run]
    for name, (_, low, high) in PUBLISHED[run].items():
        if name != "CIDEr":
            value = reached[name].value
            assert value <= high if name in LOWER_IS_BETTER else value >= low, (name, value, low, high)


def test_it_is_scored_in_float32_whatever_a_device_takes_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("mgimm_plugin.model.loading.default_dtype", lambda device: torch.bfloat16)  # as on a GPU
    write_scenes(tmp_path / "scenes", count=1, seed=5, workers=1)
    held_out_scores(bundled_model(), tmp_path / "scenes", tmp_path, runs=["regions"])
    assert json.loads((tmp_path / "regions" / "run.json").read_text())["settings"]["dtype"] == "float32"


def test_the_card_names_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert re.fullmatch(r"\d+ CPU cores \(\w+\), torch [\w.+]+", hardware())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    assert re.fullmatch(r"NVIDIA H200, \d+ CPU cores \(\w+\), torch [\w.+]+", hardware())


def test_its_answers_need_the_pixels():
    seen, blank = PUBLISHED["regions"], PUBLISHED["regions, blank image"]
    assert seen["appearance_accuracy"][1] > 2 * blank["appearance_accuracy"][2]


def test_one_checkpoint_describes_images_with_boxes_and_without(scenes):
    record = json.loads((scenes / "image.jsonl").read_text().splitlines()[0])
    predictor = Predictor.from_pretrained()
    predictor.set_image(scenes / record["image"])
    for boxes in ([region["bbox"] for region in record["regions"]], []):
        assert predictor.describe_image(boxes).count(".") >= 3


def test_the_card_has_the_scores_of_every_run():
    card = (bundled_model() / CARD_FILE).read_text()
    for run in RUNS:
        for value, low, high in PUBLISHED[run].values():
            assert f"| {value:.3f} | [{low:.3f}, {high:.3f}] |" in card


def test_the_bundle_is_small_and_names_its_bases_relative_to_itself():
    total = sum(file.stat().st_size for file in playground_folder().rglob("*") if file.is_file())
    assert total < 25e6
    assert '"../mini-llama"' in (bundled_model() / "config.json").read_text()
