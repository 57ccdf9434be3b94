"""Predictions of one model are never taken for another's."""

import json
from pathlib import Path

import pytest
import torch

from mgimm_plugin.errors import MgimmError
from mgimm_plugin.evaluate import captions, evaluate
from mgimm_plugin.model.folders import CheckpointKind
from mgimm_plugin.predictor import Predictor
from tests.evaluate.evaluation_set import Answerer

OTHER_MODEL = r"made with other settings: model \(was \w{12}\.\.\., now \w{12}\.\.\.\);"


@pytest.fixture(autouse=True)
def _fast_captions(monkeypatch):
    monkeypatch.setattr(captions, "unavailable_reason", lambda: "no java here")


@pytest.fixture
def run(image_folder, region_data, tmp_path):
    def call(predictor, **options):
        return evaluate(predictor, region_data, image_folder, tmp_path / "out", progress=False, **options)

    return call


def models_in(folder):
    """What ``run.json`` says: the identity, and the name."""
    found = json.loads((folder / "run.json").read_text())
    return found["settings"]["model"], found["model"]


def test_a_model_tuned_anew_in_the_same_folder_is_another_model(run, answerer, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "mgimm_adapter.safetensors").write_bytes(b"first")
    run(Answerer(), model=model)
    (model / "trainer_log.json").write_text("{}")
    run(answerer, model=model)
    (model / "mgimm_adapter.safetensors").write_bytes(b"other")
    with pytest.raises(MgimmError, match=OTHER_MODEL):
        run(answerer, model=model)


@pytest.mark.parametrize("part", ["mm_base_model", "mm_vision_tower"])
def test_other_weights_under_the_name_of_a_base_are_another_model(run, answerer, tmp_path, part):
    for folder in ("model", "base"):
        (tmp_path / folder).mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({part: "../base"}))
    (tmp_path / "base" / "model.safetensors").write_bytes(b"first")
    run(Answerer(), model=tmp_path / "model")
    run(answerer, model=tmp_path / "model")
    assert answerer.asked == []
    (tmp_path / "base" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(MgimmError, match=OTHER_MODEL):
        run(answerer, model=tmp_path / "model")


def test_a_model_in_the_home_folder_is_known_by_its_files(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"first")
    run(Answerer(), model="~/model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(MgimmError, match=OTHER_MODEL):
        run(Answerer(), model="~/model")


def test_a_predictor_says_itself_what_it_was_loaded_from(run, copied_tree, tmp_path, monkeypatch):
    full, adapter = (copied_tree.checkpoint(kind) for kind in (CheckpointKind.FULL, CheckpointKind.ADAPTER))
    monkeypatch.chdir(full.parent)
    predictor = Predictor.from_pretrained(full.name, device="cpu", dtype=torch.float32)
    monkeypatch.chdir(tmp_path)
    run(predictor, max_new_tokens=2)
    identity, name = models_in(tmp_path / "out")
    assert Path(name) == full
    run(predictor.with_template(predictor.template), max_new_tokens=2, model=full)
    assert models_in(tmp_path / "out") == (identity, name)
    with pytest.raises(MgimmError, match=OTHER_MODEL):
        run(Predictor.from_pretrained(adapter, device="cpu", dtype=torch.float32), max_new_tokens=2)


def test_a_base_that_the_model_does_not_name_is_part_of_it(run, copied_tree):
    adapter = copied_tree.checkpoint(CheckpointKind.ADAPTER)
    base = adapter / json.loads((adapter / "config.json").read_text())["mm_base_model"]
    run(Predictor.from_pretrained(adapter, device="cpu", dtype=torch.float32), max_new_tokens=2)
    with pytest.raises(MgimmError, match=r"other settings: base \(was .*, now .*\);"):
        run(Predictor.from_pretrained(adapter, base, device="cpu", dtype=torch.float32), max_new_tokens=2)


def test_predictions_are_not_taken_over_by_a_model_that_nobody_knows(run, tmp_path):
    run(Answerer())
    with pytest.raises(MgimmError, match=r"pass model= .* or start over with resume=False"):
        run(Answerer())
    assert (tmp_path / "out" / "metrics.json").exists()
    answerer = Answerer()
    run(answerer, resume=False)
    assert len(answerer.asked) == 5
