"""The whole way at the smallest size: what is done is not done again, and caption scores may come later."""

import json
import shutil

import pytest

from mgimm_plugin.evaluate.captions import unavailable_reason
from mgimm_plugin.resources import bundled_model
from scripts.study.jobs import Study
from scripts.study.outcomes import read_rows
from scripts.study.recipes import Bases
from scripts.study.run import run_study
from scripts.study.systems import NONE, SYSTEMS, TRUE, Scale
from scripts.study.tables import write_results

PLAYGROUND = bundled_model().parent


@pytest.fixture
def run(tmp_path):
    """Run a tiny study of one row and seed; returns the folder of result files."""
    bases = Bases(str(PLAYGROUND / "mini-llama"), str(PLAYGROUND / "mini-clip"))

    def call(*modes):
        scale = Scale(scenes=(4, 1, 2), batch=2, region_steps=2, image_steps=2, modes=modes)
        study = Study(scale, bases, tmp_path / "study")
        return run_study(study, [SYSTEMS["multi_grained"]], [0], jobs=2, fresh=0)

    return call


def test_a_study_goes_on_where_it_was_and_writes_its_page(run, tmp_path):
    file = run(TRUE) / "multi_grained-seed0.json"
    first = json.loads(file.read_text())
    assert {stage: done["steps"] for stage, done in first["stages"].items()} == {"region": 2, "image": 2}
    assert {(asked["task"], asked["mode"]) for asked in first["evaluations"]} == {("region", TRUE), ("image", TRUE)}
    weights = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    answers = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("predictions.jsonl")}
    assert weights
    assert len(answers) == 2
    file.unlink()
    run(TRUE)
    assert json.loads(file.read_text()) == first
    run(NONE)
    both = json.loads(file.read_text())
    *as_before, added = both["evaluations"]
    assert both["commits"] == first["commits"]
    assert as_before == first["evaluations"]
    assert (added["task"], added["mode"]) == ("image", NONE)
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    assert {path: path.stat().st_mtime_ns for path in answers} == answers
    shutil.rmtree(tmp_path / "study" / "checkpoints")
    run(TRUE, NONE)  # result files are enough for tables: they may come without anything else
    assert json.loads(file.read_text()) == both
    assert not (tmp_path / "study" / "checkpoints").exists()
    write_results(file.parent, tmp_path / "page.md", scale="small")
    assert "| MGIMM, multi-grained | true | 1 |" in (tmp_path / "page.md").read_text()


def test_a_result_file_never_mixes_two_trainings(run, tmp_path):
    asked = {"set": "test", "style": "standard", "task": "image", "mode": NONE, "outcomes": {}, "groups": {}}
    head = {"system": "multi_grained", "seed": 0, "rate_factor": 1.0, "llm": "l", "tower": "t", "commits": ["earlier"]}
    stages = {"region": {"seconds": 5.0}, "image": {"seconds": 7.0}}
    file = tmp_path / "study" / "results" / "multi_grained-seed0.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({**head, "stages": stages, "evaluations": [asked]}))
    stale = tmp_path / "study" / "answers" / "multi_grained-rate1-seed0" / "test-image-true"
    stale.mkdir(parents=True)
    for name in ("metrics.json", "predictions.jsonl"):
        (stale / name).write_text("{}\n")
    run(TRUE)
    anew = json.loads(file.read_text())
    found = {(asked["task"], asked["mode"]): asked["outcomes"] for asked in anew["evaluations"]}
    assert found.keys() == {("image", NONE), ("image", TRUE), ("region", TRUE)}
    assert all(found.values())
    assert "earlier" not in anew["commits"]
    trained = tmp_path / "study" / "checkpoints" / "multi_grained-rate1-seed0" / "trained.json"
    assert json.loads(trained.read_text()).items() >= anew["stages"]["image"].items()


@pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))
def test_caption_scores_that_were_not_possible_are_filled_in_where_they_are(tmp_path):
    texts = ("a ship lies in the harbor", "two red bridges cross a river")
    rows = [{"index": at, "prediction": text, "references": [text]} for at, text in enumerate(texts)]
    (tmp_path / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "metrics.json").write_text(json.dumps({"records": 2}))
    filled = read_rows(tmp_path)
    assert [row["scores"]["BLEU-4"] for row in filled] == pytest.approx([1.0, 1.0])
    assert [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()] == filled
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["records"] == 2
    assert metrics["ROUGE-L"] == pytest.approx(1.0)
