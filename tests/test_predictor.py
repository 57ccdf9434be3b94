"""The predictor's answers do not depend on how questions are batched, and a bad question is said before it is asked."""

import math
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from mgimm_plugin.errors import BoxError, ImageError, MgimmError, RecordError, SequenceTooLongError
from mgimm_plugin.model.config import VisionSettings, multimodal_config
from mgimm_plugin.model.loading import LoadedModel, finish, load_tokenizer, load_weights
from mgimm_plugin.predictor import Predictor, Question
from tests.tiny import build_llm, build_tower

LENGTH = {"max_new_tokens": 12}


def build_predictor(folder, family="llama", **vision):
    tower, llm = build_tower(folder / "tower"), build_llm(folder / "llm", family, bos=family == "llama")
    config = multimodal_config(str(llm), VisionSettings(str(tower), **vision))
    model = load_weights(str(llm), config, dtype=torch.float32)
    tokenizer = load_tokenizer(llm, str(llm))
    finish(model, tokenizer, device=torch.device("cpu"), dtype=torch.float32).eval()
    loaded = LoadedModel(tokenizer, model, model.get_vision_tower().image_processor, 512)
    return Predictor(loaded)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return build_predictor(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(3)
    noise = torch.randint(0, 256, (3, 60, 90, 3), generator=generator, dtype=torch.uint8)
    return [Image.fromarray(pixels.numpy()) for pixels in noise]


@pytest.fixture(scope="module")
def questions(images, tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "a.png"
    images[1].save(path)
    return [
        Question(images[0], "<region>\nWhat is it?", [(0, 0, 30, 30)]),
        Question(path, "<image>\nDescribe this remote sensing image in detail.", []),
        Question(images[0], "<image>\n<region><region>\nDescribe.", [(0, 0, 30, 30), (40, 10, 90, 60)]),
        Question(None, "Hello?"),
        Question(str(path), "<region>\nWhat is it?", [(5, 5, 80, 50)]),
        Question(images[2], "Is <region> larger than <region>?", [(5, 5, 80, 50), (0, 0, 9, 9)]),
        Question(images[0], "<region>\nWhat is it?", [(40, 10, 90, 60)]),
    ]


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


def test_pieces_of_a_stream_are_the_answer(predictor, images):
    predictor.set_image(images[0])
    text, boxes = "<image>\n<region>\nWhat?", [(0, 0, 30, 30)]
    expected = predictor.answer([Question(images[0], text, boxes)], **LENGTH)[0]
    assert "".join(predictor.stream(text, boxes, **LENGTH)).strip() == expected


def test_an_error_while_streaming_reaches_the_reader(predictor, images, monkeypatch):
    def fail(**kwargs):
        raise ArithmeticError("out of numbers")

    predictor.set_image(images[0])
    monkeypatch.setattr(predictor.model, "generate", fail)
    with pytest.raises(ArithmeticError, match="out of numbers"):
        list(predictor.stream("<image>\nWhat?", **LENGTH))


def test_closing_a_stream_stops_the_model(predictor, images):
    predictor.set_image(images[0])
    before = threading.active_count()
    stream = predictor.stream("<image>\nWhat?", max_new_tokens=400)
    next(stream)
    stream.close()
    until = time.monotonic() + 60  # 400 tokens would take longer; the step that it was at may still end
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == before


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_each_token_is_told_and_each_answer_has_a_limit_of_its_own(predictor, questions, temperature):
    told = {i: [] for i in range(len(questions))}
    limits = [3, 12, 5, 12, 1, 12, 7]
    answers = predictor.answer(
        questions,
        batch_size=4,
        max_new_tokens=limits,
        temperature=temperature,
        on_token=lambda i, token, _: told[i].append(token) or (i == 5 and len(told[i]) == 2),
    )
    words = {i: [token for token in ids if token not in predictor.end_ids] for i, ids in told.items()}
    assert [predictor.decode(words[i]) for i in words] == answers
    assert all(len(words[i]) <= limit for i, limit in enumerate(limits))
    assert len(told[5]) <= 2
    if not temperature:
        alone = [predictor.answer([q], max_new_tokens=n)[0] for q, n in zip(questions, limits, strict=True)]
        assert answers[:5] == alone[:5]
        assert predictor.answer(questions, max_new_tokens=limits) == alone


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


@pytest.mark.parametrize("setting", [{"max_new_tokens": 0}, {"batch_size": 0}, {"num_beams": 0}, {"temperature": -1}])
def test_settings_that_make_no_sense_are_refused(predictor, setting):
    with pytest.raises(MgimmError, match=next(iter(setting))):
        predictor.answer([], **setting)


def test_streamed_answers_of_a_batch_end_as_the_answers_and_tell_their_confidence(predictor, questions):
    steps = list(predictor.stream_answers(questions, batch_size=4, **LENGTH))
    assert [answer.text for answer in steps[-1]] == predictor.answer(questions, **LENGTH)
    assert all(answer.done and 0 < answer.confidence <= 1 for answer in steps[-1])
    for before, after in pairwise(steps):
        assert all(len(early.text) <= len(late.text) for early, late in zip(before, after, strict=True))
    assert list(predictor.stream_answers([])) == [[]]


def test_a_search_with_beams_can_be_left_and_gives_its_answers_at_the_end(predictor, questions):
    steps = list(predictor.stream_answers(questions, num_beams=3, **LENGTH))
    assert [answer.text for answer in steps[-1]] == predictor.answer(questions, num_beams=3, **LENGTH)
    assert all(answer.done and math.isnan(answer.confidence) for answer in steps[-1])
    asked = iter([False, False, False])  # before the batch, and at two steps
    assert predictor.answer(questions[:1], num_beams=3, is_unwanted=lambda: next(asked, True), max_new_tokens=12) != (
        predictor.answer(questions[:1], num_beams=3, max_new_tokens=12)
    )


def test_batches_that_nobody_wants_are_not_begun(predictor, questions):
    wanted = iter([False])
    answers = predictor.answer(questions[:3], batch_size=1, is_unwanted=lambda: next(wanted, True), **LENGTH)
    assert sorted(map(bool, answers)) == [False, False, True]


def test_a_question_that_cannot_be_asked_is_refused_before_the_stream_begins(predictor, images):
    with pytest.raises(RecordError, match="0 <region> tokens and 1 boxes"):
        predictor.stream_answers([Question(images[0], "What?", [(0, 0, 5, 5)])])
    with pytest.raises(MgimmError, match="max_new_tokens"):
        predictor.stream_answers([], max_new_tokens=0)


def test_a_sampled_answer_has_a_confidence_too(predictor, questions):
    (answer,) = list(predictor.stream_answers(questions[:1], temperature=1.0, **LENGTH))[-1]
    assert 0 < answer.confidence < 1


def test_the_confidence_is_the_mean_log_probability_of_the_tokens(predictor, questions):
    question = questions[1]
    (answer,) = list(predictor.stream_answers([question], **LENGTH))[-1]
    prompt = predictor._encoder.tokenize(question, 12)
    scores = predictor.model.generate(
        **predictor._encoder.batch([question], [prompt]),
        generation_config=predictor._settings(12, 1, 0.0),
        return_dict_in_generate=True,
        output_logits=True,
    )
    chosen = [
        float(logits[0].log_softmax(-1)[token])
        for logits, token in zip(scores.logits, scores.sequences[0], strict=True)
    ]
    assert answer.confidence == pytest.approx(torch.tensor(chosen).mean().exp().item(), rel=1e-5)
