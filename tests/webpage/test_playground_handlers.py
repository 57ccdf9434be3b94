"""What the page's buttons do, without a page: corrections while the model still answers."""

import json

import pytest
import torch
from PIL import Image

pytest.importorskip("gradio")

from mgimm_plugin.growing_answers import GrowingAnswer
from mgimm_plugin.predictor import Predictor
from mgimm_plugin.webpage.handlers import Handlers
from mgimm_plugin.webpage.session import Limits, Session

SETTINGS = ("model", "auto", "auto", 0, 1, 12)


class Stepwise:
    """A shelf with a model that answers every question word by word, one after another, all told at every step."""

    def loading(self, options):
        yield 0.0

    def get(self, options):
        return self

    def encode_image(self, image):
        return image

    def stream_answers(self, questions, **settings):
        texts = [""] * len(questions)
        for place in range(len(questions)):
            for text in ("A", "A ship."):
                texts[place] = text
                yield [GrowingAnswer(said, 0.5, said == "A ship.") for said in texts]


@pytest.fixture
def handlers(tmp_path):
    return Handlers(Stepwise(), Limits(), tmp_path / "corrections.jsonl")


@pytest.fixture
def value():
    boxes = [{"xmin": x, "ymin": 10, "xmax": x + 30, "ymax": 40} for x in (50, 10)]
    return {"image": Image.new("RGB", (100, 80)), "boxes": boxes, "orientation": 0}


def phrases(session):
    return [row.phrase for row in session.rows]


@pytest.mark.parametrize("steps", [1, 3], ids=["while the model is loaded", "while other regions are described"])
def test_a_corrected_region_stays_so_while_the_others_are_described(handlers, value, steps):
    session = Session()
    answers = handlers.describe_regions(value, session, *SETTINGS)
    for _ in range(steps):
        next(answers)
    handlers.correct(value, session, 1, "A plane.")
    *_, (_, table) = answers
    assert phrases(session) == ["A plane.", "A ship."]
    assert "A plane." in table
    *_, _ = handlers.describe_regions(value, session, *SETTINGS)
    assert phrases(session) == ["A ship.", "A ship."], "who asks again wants the model's words"


@pytest.mark.parametrize("steps", [1, 2], ids=["while the model is loaded", "while the image is described"])
def test_a_corrected_description_stays_so_while_the_model_goes_on(handlers, value, steps):
    session = Session()
    answers = handlers.describe_image(value, session, False, *SETTINGS)
    for _ in range(steps):
        next(answers)
    handlers.correct(value, session, 0, "A harbor.")
    *_, (_, told) = answers
    assert session.description.text == "A harbor."
    assert "A harbor." in told
    *_, _ = handlers.describe_image(value, session, False, *SETTINGS)
    assert session.description.text == "A ship."


def test_a_correction_of_a_region_that_is_not_named_is_refused(handlers, value):
    session = Session()
    with pytest.raises(Exception, match="name a region, or 0 for the image"):
        handlers.correct(value, session, None, "A plane.")
    assert not handlers.corrections.exists()
    handlers.correct(value, session, 0, "A harbor.")
    (record,) = map(json.loads, handlers.corrections.read_text().splitlines())
    assert record["conversations"][1]["value"] == "A harbor."


class Shelf:
    """A shelf with one model, which is there."""

    def __init__(self, predictor):
        self.predictor = predictor

    def loading(self, options):
        return ()

    def get(self, options):
        return self.predictor


@pytest.fixture
def passes(tiny_loaded):
    """Called with the rows of each pass through the language model."""
    heard = []

    def tell(layer, given):
        for hear in heard:
            hear(given[0].shape[0])

    hook = tiny_loaded.model.model.layers[0].register_forward_pre_hook(tell)
    yield heard
    hook.remove()


@pytest.fixture
def asking(tiny_loaded, tmp_path):
    return Handlers(Shelf(Predictor(tiny_loaded)), Limits(), tmp_path / "corrections.jsonl")


@pytest.mark.parametrize("beams", [1, 8])
def test_many_boxes_with_beams_share_the_memory(asking, value, passes, beams):
    session, rows = Session(), []
    passes.append(rows.append)
    value["boxes"] = [{"xmin": x, "ymin": 10, "xmax": x + 5, "ymax": 40} for x in range(20)]
    *_, _ = asking.describe_regions(value, session, "model", "auto", "auto", 0, beams, 2)
    assert max(rows) == 16
    assert all(phrases(session))


def test_too_little_memory_is_told_in_the_words_of_the_page(asking, value, passes):
    def fail(rows):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    passes.append(fail)
    with pytest.raises(Exception, match="the GPU's memory is too small for this: lower Longest answer or Beams"):
        list(asking.describe_regions(value, Session(), *SETTINGS))
