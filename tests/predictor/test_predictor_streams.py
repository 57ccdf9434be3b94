"""Answers that grow while they are read: token by token, left early, with their confidence."""

import math
import threading
import time
from itertools import pairwise

import pytest
import torch

from mgimm_plugin.errors import MgimmError, RecordError
from mgimm_plugin.predictor import Question
from tests.predictor.building import LENGTH


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
        generation_config=predictor._settings(max_new_tokens=12),
        return_dict_in_generate=True,
        output_logits=True,
    )
    chosen = [
        float(logits[0].log_softmax(-1)[token])
        for logits, token in zip(scores.logits, scores.sequences[0], strict=True)
    ]
    assert answer.confidence == pytest.approx(torch.tensor(chosen).mean().exp().item(), rel=1e-5)
