"""The predictor's answers do not depend on how questions are batched, and a bad question is said before it is asked."""

import numpy as np
import pytest
import torch
from PIL import Image

from mgimm_plugin.errors import BoxError, ImageError, MgimmError, RecordError, SequenceTooLongError
from mgimm_plugin.model.loading import LoadedModel
from mgimm_plugin.predictor import Predictor, Question
from tests.predictor.building import LENGTH, build_predictor


def test_batched_answers_are_those_of_one_at_a_time(predictor, questions):
    alone = [predictor.answer([question], **LENGTH)[0] for question in questions]
    assert all(alone)
    for batch_size in (2, 7):
        assert predictor.answer(questions, batch_size=batch_size, **LENGTH) == alone


@pytest.mark.slow
@pytest.mark.parametrize("family", ["phi", "mistral", "qwen2", "qwen3"])
def test_every_family_answers_in_batches_as_alone(tmp_path, questions, family):
    predictor = build_predictor(tmp_path, family)
    alone = [predictor.answer([question], **LENGTH)[0] for question in questions]
    assert predictor.answer(questions, **LENGTH) == alone


def test_anyres_answers_in_batches_as_alone(tmp_path, questions):
    predictor = build_predictor(tmp_path, image_aspect_ratio="anyres", image_grid_pinpoints=((112, 56), (56, 112)))
    alone = [predictor.answer([question], **LENGTH)[0] for question in questions]
    assert predictor.answer(questions, **LENGTH) == alone


@pytest.mark.parametrize("layout", ["flat", "spatial_unpad"])
def test_all_views_of_an_image_count_against_the_context(tmp_path, images, layout):
    canvases = ((112, 56), (56, 112))
    predictor = build_predictor(
        tmp_path, image_aspect_ratio="anyres", image_grid_pinpoints=canvases, mm_patch_merge_type=layout
    )
    question = Question(images[0], "<image>\n<region>\nWhat?", [(0, 0, 30, 30)])
    told = predictor.check(question, max_new_tokens=6)
    batch = predictor._encoder.batch([question], [predictor._encoder.tokenize(question, 6)])
    features = batch.pop("image_features")
    ids, mask = batch.pop("inputs"), batch.pop("attention_mask")
    assert told == predictor.model.splice_batch(ids, mask, None, features, **batch).inputs_embeds.shape[1]
    with pytest.raises(SequenceTooLongError, match=f"takes {told} tokens"):
        predictor.check(question, max_new_tokens=512 - told + 1)


def test_boxes_may_be_arrays(predictor, images):
    boxes = [(0.0, 0.0, 30.0, 30.0)]
    predictor.set_image(images[0])
    assert predictor.describe_regions(np.array(boxes), **LENGTH) == predictor.describe_regions(boxes, **LENGTH)
    asked = [Question(images[0], "<region>\nWhat?", given) for given in (boxes, np.array(boxes), torch.tensor(boxes))]
    assert len(set(predictor.answer(asked, **LENGTH))) == 1


def test_an_image_set_once_answers_as_one_given_each_time(predictor, images):
    boxes = [(0, 0, 30, 30), (40, 10, 90, 60)]
    predictor.set_image(images[0])
    asked = [Question(images[0], "<region>\nWhat?", [box]) for box in boxes]
    assert predictor.describe_regions(boxes, "What?", **LENGTH) == predictor.answer(asked, **LENGTH)
    guided = Question(images[0], "<image>\n<region><region>\nWhat?", boxes)
    assert predictor.describe_image(boxes, "What?", **LENGTH) == predictor.answer([guided], **LENGTH)[0]
    plain = Question(images[0], "<image>\nWhat?")
    assert predictor.describe_image(question="What?", **LENGTH) == predictor.answer([plain], **LENGTH)[0]


def test_the_box_and_the_image_decide_the_answer(predictor, images):
    asked = [
        Question(images[0], "<region>\nWhat?", [(0, 0, 30, 30)]),
        Question(images[0], "<region>\nWhat?", [(40, 10, 90, 60)]),
        Question(images[2], "<image>\nWhat?"),
        Question(Image.new("RGB", (90, 60)), "<image>\nWhat?"),
    ]
    assert len(set(predictor.answer(asked, **LENGTH))) == 4


def test_images_that_questions_share_are_seen_once(predictor, questions, monkeypatch):
    seen = []
    encode_vision = predictor.model.encode_vision
    monkeypatch.setattr(
        predictor.model, "encode_vision", lambda images: seen.append(len(images)) or encode_vision(images)
    )
    predictor.answer(questions, **LENGTH)
    assert sum(seen) == 3
    seen.clear()
    predictor.set_image(questions[0].image)
    predictor.describe_regions([(0, 0, 9, 9)] * 5, batch_size=2, **LENGTH)
    assert seen == [1]


def test_an_image_that_batches_share_is_seen_once(predictor, images, monkeypatch):
    seen = []
    encode_vision = predictor.model.encode_vision
    monkeypatch.setattr(
        predictor.model, "encode_vision", lambda images: seen.append(len(images)) or encode_vision(images)
    )
    asked = [Question(image, "<region>\nWhat is it?", [(0, 0, 30, 30 + i)]) for image in images[:2] for i in range(3)]
    predictor.answer(asked, batch_size=2, **LENGTH)
    assert seen == [1, 1]


def test_an_image_prepared_before_gives_the_same_answer(predictor, images):
    asked = [
        Question(image, "<region>\nWhat?", [(5, 5, 50, 50)])
        for image in (images[0], predictor.prepare_image(images[0]))
    ]
    first, second = predictor.answer(asked, **LENGTH)
    assert first == second
    assert predictor.check(asked[1], max_new_tokens=12) == predictor.check(asked[0], max_new_tokens=12) > 10


def test_a_follow_up_question_knows_what_was_said(predictor, images):
    boxes = [(0, 0, 30, 30), (40, 10, 90, 60)]
    text, earlier = "And <region>?", ("<image>\n<region>\nWhat?", "A tank.")
    follow_up = Question(images[0], text, boxes, earlier=earlier)
    others = [
        Question(images[0], text, boxes, earlier=("<image>\n<region>\nWhat?", "A field.")),
        Question(images[0], f"<image>\n<region>\nWhat? {text}", boxes),
    ]
    assert len(set(predictor.answer([follow_up, *others], **LENGTH))) == 3
    assert predictor.answer([follow_up], **LENGTH) == predictor.answer([follow_up, *others], **LENGTH)[:1]


def test_progress_counts_answers_to_the_end(predictor, questions):
    seen = []
    predictor.answer(questions, batch_size=3, on_progress=seen.append, **LENGTH)
    assert seen == [3, 6, 7]


def test_a_bases_own_sampling_settings_do_not_change_greedy_answers(predictor, questions):
    expected = predictor.answer(questions[:2], **LENGTH)
    config = predictor.model.generation_config
    before = {name: getattr(config, name) for name in ("do_sample", "temperature", "repetition_penalty")}
    try:
        config.update(do_sample=True, temperature=5.0, repetition_penalty=3.0)
        assert predictor.answer(questions[:2], **LENGTH) == expected
    finally:
        config.update(**before)


def test_temperature_samples_and_beams_search(predictor, questions):
    torch.manual_seed(0)
    answers = {predictor.answer(questions[:1], temperature=3.0, **LENGTH)[0] for _ in range(4)}
    assert len(answers) > 1
    assert predictor.answer(questions[:2], num_beams=2, **LENGTH)


def test_no_questions_have_no_answers(predictor):
    assert predictor.answer([]) == []


@pytest.mark.parametrize(
    ("question", "kind", "problem"),
    [
        (("one", "<region>\nWhat?", ()), RecordError, "1 <region> tokens and 0 boxes"),
        (("one", "What?", ((0, 0, 5, 5),)), RecordError, "0 <region> tokens and 1 boxes"),
        (("one", "<image><image>", ()), RecordError, "2 <image> tokens"),
        ((None, "<image>\nWhat?", ()), RecordError, "has no image"),
        (("one", "<region>", ((5, 0, 5, 5),)), BoxError, "x1 < x2"),
        (("one", "<region>", ((500, 0, 505, 5),)), BoxError, "outside the 90x60 image"),
        (("gone.png", "<image>", ()), ImageError, "does not exist"),
        (("one", "<image>" + "long " * 300, ()), SequenceTooLongError, "answer up to 12 more.*context has 512"),
    ],
)
def test_a_question_that_cannot_be_asked_is_named(predictor, images, question, kind, problem):
    image, text, boxes = question
    with pytest.raises(kind, match=f"record q7.*{problem}"):
        predictor.answer([Question(images[0] if image == "one" else image, text, boxes, id="q7")], **LENGTH)


def test_nothing_is_described_before_an_image_is_set(predictor):
    fresh = Predictor(LoadedModel(predictor.tokenizer, predictor.model, predictor._encoder.images.image_processor, 512))
    for ask in (fresh.describe_image, lambda: fresh.describe_regions([]), lambda: fresh.stream("<image>")):
        with pytest.raises(MgimmError, match="set_image"):
            ask()


def test_the_pixel_limit_can_be_set(predictor, images, tmp_path):
    loaded = LoadedModel(predictor.tokenizer, predictor.model, predictor._encoder.images.image_processor, 512)
    images[0].save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="more than the limit of 100"):
        Predictor(loaded, max_pixels=100).set_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    "setting",
    [
        {"max_new_tokens": 0},
        {"batch_size": 0},
        {"num_beams": 0},
        *({"temperature": number} for number in (-1, 1e-300, 1e-38, 0.009, float("nan"))),
    ],
)
def test_settings_that_make_no_sense_are_refused(predictor, setting):
    with pytest.raises(MgimmError, match=next(iter(setting))):
        predictor.answer([], **setting)


@pytest.mark.parametrize("setting", [{"max_new_tokens": [3, 5]}, {"on_token": lambda place, token, score: False}])
def test_beams_are_not_told_of_tokens_nor_cut_one_by_one(predictor, questions, setting):
    with pytest.raises(MgimmError, match=f"{next(iter(setting))}.* need num_beams 1, not 2"):
        predictor.answer(questions[:2], num_beams=2, **setting)
    assert all(predictor.answer(questions[:2], num_beams=2, max_new_tokens=[3, 3]))


def test_boxes_that_stick_out_are_clipped_and_counted_once(predictor, images, caplog):
    inside, outside = [(60, 10, 90, 60)], [(60, 10, 200, 75)]
    asked = [Question(images[0], "<region>\nWhat is it?", boxes) for boxes in (inside, outside, outside)]
    answers = predictor.answer(asked, batch_size=1, **LENGTH)
    assert len(set(answers)) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "boxes that stuck out of what the model sees of their image, and were clipped to it: 2"
    ]
    caplog.clear()
    predictor.answer(asked[:1], **LENGTH)
    assert not caplog.records
