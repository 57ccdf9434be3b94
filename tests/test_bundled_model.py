"""The bundled model, straight from the checkout, on scenes that it was not trained on."""

import pytest

from mgimm_plugin.data.records import read_records
from mgimm_plugin.data.scenes import write_scenes
from mgimm_plugin.evaluate.runner import evaluate
from mgimm_plugin.predictor import Predictor
from mgimm_plugin.resources import bundled_model, playground_folder


@pytest.fixture(scope="module")
def predictor():
    return Predictor.from_pretrained()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, world="mini", count=20, seed=777, workers=1, progress=False)
    return folder


def test_region_answers_need_the_pixels(predictor, scenes, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")  # without Java: only the attribute scores matter here
    seen = evaluate(predictor, scenes / "region.jsonl", scenes, tmp_path / "seen", progress=False)
    blank = evaluate(predictor, scenes / "region.jsonl", scenes, tmp_path / "blank", blank_image=True, progress=False)
    assert seen["appearance_accuracy"] > 0.8
    assert seen["appearance_accuracy"] > 2 * blank["appearance_accuracy"]


def test_one_checkpoint_describes_images_with_boxes_and_without(predictor, scenes):
    record = next(iter(read_records(scenes / "image.jsonl")))
    predictor.set_image(scenes / record.image)
    guided = predictor.describe_image([region.bbox for region in record.regions])
    alone = predictor.describe_image()
    assert guided.count(".") >= 3
    assert alone.count(".") >= 3


def test_the_bundle_is_small_and_names_its_bases_relative_to_itself():
    total = sum(file.stat().st_size for file in playground_folder().rglob("*") if file.is_file())
    assert total < 15e6
    assert '"../mini-llama"' in (bundled_model() / "config.json").read_text()
