"""Images take the memory that they need, and answers do not depend on it."""

import json
import os
import weakref
from types import SimpleNamespace

import pytest

from mgimm_plugin.evaluate import captions, evaluate
from mgimm_plugin.predictor import Predictor
from tests.evaluate.evaluation_set import COLORS, Answerer, image_record, region_record


@pytest.fixture(autouse=True)
def _fast_captions(monkeypatch):
    monkeypatch.setattr(captions, "unavailable_reason", lambda: "no java here")


@pytest.fixture
def data(write_data):
    return write_data(
        [kind(number, color) for number, color in enumerate(COLORS) for kind in (region_record, image_record)]
    )


def test_no_original_is_kept_where_the_predictor_makes_something_smaller_of_it(data, image_folder, tmp_path):
    originals, alive = [], []

    class Preparing(Answerer):
        def prepare_image(self, image):
            originals.append(weakref.ref(image))
            return image.copy()

        def answer(self, questions, **options):
            alive.extend(original for original in originals if original() is not None)
            return super().answer(questions, **options)

    answerer = Preparing()
    evaluate(answerer, data, image_folder, tmp_path / "out", progress=False)
    assert len(answerer.asked) == 2 * len(COLORS)
    assert len(originals) == len(COLORS)
    assert alive == []


@pytest.mark.parametrize("blank", [False, True])
def test_answers_about_prepared_images_are_those_about_the_originals(tiny_loaded, data, image_folder, tmp_path, blank):
    predictor = Predictor(tiny_loaded)
    only_answers = SimpleNamespace(answer=predictor.answer)
    options = {"max_new_tokens": 6, "blank_image": blank, "progress": False}
    files = []
    for name, asked in (("prepared", predictor), ("originals", only_answers)):
        evaluate(asked, data, image_folder, tmp_path / name, **options)
        files.append((tmp_path / name / "predictions.jsonl").read_text())
    assert files[0] == files[1]


def test_names_of_folders_and_of_the_data_may_be_no_utf8(data, image_folder, answerer, tmp_path):
    strange = os.fsdecode(b"caf\xe9")
    images, records, output = tmp_path / strange, tmp_path / f"{strange}.jsonl", tmp_path / "out"
    image_folder.rename(images)
    data.rename(records)
    for _ in range(2):  # the second goes on with what the first wrote
        evaluate(answerer, records, images, output, model=images, progress=False)
    assert len(answerer.asked) == 2 * len(COLORS)
    assert json.loads((output / "run.json").read_text(encoding="utf-8"))["images"] == str(images)
    assert "caf\\udce9.jsonl" in (output / "report.html").read_text(encoding="utf-8")
