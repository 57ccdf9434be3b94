"""What is wrong with the inputs is said before the model is loaded; runs beside each other have their own names."""

import re

import pytest

from mgimm_plugin.commands.evaluate import run
from mgimm_plugin.errors import MgimmError, RecordError
from mgimm_plugin.evaluate import captions, evaluate
from mgimm_plugin.model.folders import CheckpointKind
from tests.evaluate.evaluation_set import Answerer, region_record


@pytest.fixture(autouse=True)
def _fast_captions(monkeypatch):
    monkeypatch.setattr(captions, "unavailable_reason", lambda: "no java here")


@pytest.fixture
def refused(tmp_path):
    """Inputs with a model that cannot be loaded: what is raised is about the inputs."""

    def call(data, images, match, kind=MgimmError, **options):
        with pytest.raises(kind, match=match):
            run("no/such-model", None, data, images, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()

    return call


@pytest.mark.parametrize("broken", ["metrics.json", "run.json", "predictions.jsonl"])
def test_a_run_to_compare_with_is_checked_first(refused, region_data, image_folder, tmp_path, broken):
    evaluate(Answerer(), region_data, image_folder, tmp_path / "tuned", progress=False)
    (tmp_path / "tuned" / broken).unlink()
    refused(region_data, None, broken, compare=[tmp_path / "tuned"])


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_records_and_images_are_checked_first(refused, write_data, region_data, image_folder, tmp_path, on_error):
    refused(region_data, tmp_path / "nowhere", "the image folder .*nowhere does not exist", on_error=on_error)
    refused(tmp_path / "none.jsonl", image_folder, r"none\.jsonl", on_error=on_error)
    refused(region_data, image_folder, "record r0: a question about a region", regions="none", on_error=on_error)
    broken = write_data([region_record(0, "red"), {"id": "r1"}], "broken.jsonl")
    refused(broken, image_folder, r"broken\.jsonl, index 1, record r1", RecordError, on_error=on_error)


def test_runs_are_named_by_as_much_of_their_path_as_tells_them_apart(
    checkpoint_tree, region_data, image_folder, tmp_path, monkeypatch
):
    folders = [tmp_path / name for name in ("image/test", "image/blank", "other/region/test")]
    for folder in folders:
        blank = folder.name == "blank"
        evaluate(Answerer(), region_data, image_folder, folder, blank_image=blank, progress=False)
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "region" / "test"
    model = str(checkpoint_tree.checkpoint(CheckpointKind.FULL))
    options = {"compare": folders, "device": "cpu", "max_new_tokens": 2, "progress": False}
    run(model, None, region_data, image_folder, output, **options)
    named = re.findall(r"<th[^>]*>([^<]*(?:test|blank)[^<]*)</th>", (output / "report.html").read_text())
    assert list(dict.fromkeys(named)) == [
        f"{tmp_path.name}/region/test", "image/test", "blank (blank image)", "other/region/test"
    ]  # fmt: skip
