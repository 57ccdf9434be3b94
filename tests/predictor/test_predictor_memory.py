"""Questions that do not fit the GPU's memory together are asked in smaller batches; one that never fits is said.

There is no GPU here: the language model runs out of memory where a test says so.
"""

import gc
import weakref
from contextlib import contextmanager, suppress

import pytest
import torch

from mgimm_plugin import batch_answering
from mgimm_plugin.predictor import Question
from tests.predictor.building import LENGTH


@contextmanager
def short_of_memory(predictor, does_not_fit, made=None):
    """Let the language model run out of memory in passes whose ``(rows, positions)`` do not fit.

    Yields, in ``made`` if given, weak references to what the passes that failed had made before.
    """
    made = [] if made is None else made

    def fail(layer, given):
        if does_not_fit(*given[0].shape[:2]):
            activation = torch.zeros(1000)
            made.append(weakref.ref(activation))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of 4 GiB.")

    hook = predictor.model.model.layers[1].register_forward_pre_hook(fail)
    try:
        yield made
    finally:
        hook.remove()


@pytest.fixture
def no_garbage_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_batch_that_does_not_fit_is_answered_in_parts_with_the_same_answers(predictor, questions, caplog, most):
    expected, seen = predictor.answer(questions, **LENGTH), []
    batch_answering._tell_of_halves.cache_clear()
    with short_of_memory(predictor, lambda rows, _: rows > most) as made:
        assert predictor.answer(questions, on_progress=seen.append, **LENGTH) == expected
        assert made
        assert predictor.answer(questions, **LENGTH) == expected
    assert seen == sorted(set(seen))
    assert seen[-1] == len(questions)
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "7 questions together did not fit the GPU's memory and are answered in halves"
    assert len(told) == len(set(told))


def test_beams_that_do_not_fit_are_answered_in_parts(predictor, questions):
    expected = [predictor.answer([question], num_beams=3, **LENGTH)[0] for question in questions]
    with short_of_memory(predictor, lambda rows, _: rows > 3):
        assert predictor.answer(questions, num_beams=3, **LENGTH) == expected


def test_streamed_answers_and_their_confidence_do_not_depend_on_what_fits(predictor, questions):
    *_, expected = predictor.stream_answers(questions, **LENGTH)
    with short_of_memory(predictor, lambda rows, _: rows > 2):
        *_, grown = predictor.stream_answers(questions, **LENGTH)
    assert [answer.text for answer in grown] == [answer.text for answer in expected]
    assert [answer.confidence for answer in grown] == pytest.approx([answer.confidence for answer in expected])


def test_what_a_batch_took_that_does_not_fit_is_free_for_its_halves(predictor, questions, no_garbage_collection):
    made, held = [], []

    def does_not_fit(rows, _):
        held.extend(ref for ref in made if ref() is not None)
        return rows > 2

    with short_of_memory(predictor, does_not_fit, made):
        predictor.answer(questions, **LENGTH)
    assert made
    assert not held


def test_boxes_of_a_batch_that_does_not_fit_are_counted_once(predictor, images, caplog):
    asked = [Question(images[0], "<region>\nWhat is it?", [(60, 10, 200, 75 + i)]) for i in range(4)]
    with short_of_memory(predictor, lambda rows, _: rows > 1):
        predictor.answer(asked, **LENGTH)
    assert caplog.records[-1].getMessage().endswith("were clipped to it: 4")


def test_a_question_that_does_not_fit_by_itself_is_named(predictor, images):
    asked = [Question(images[0], "<region>\nWhat is it?", [(0, 0, 30, 30)], id=name) for name in ("q7", "q8")]
    length = predictor.check(asked[0], **LENGTH)
    with short_of_memory(predictor, lambda *_: True), pytest.raises(torch.OutOfMemoryError) as failure:
        predictor.answer(asked, **LENGTH)
    assert failure.value.__notes__ == [
        f"the GPU's memory is too small for the question of record q7 (up to {length} tokens, and 12 of an answer)"
    ]


def test_nobody_is_told_the_same_words_twice(predictor, questions):
    told = {i: [] for i in range(len(questions))}
    steps = iter(range(4))
    with (
        short_of_memory(predictor, lambda rows, width: width == 1 and next(steps, None) is None),
        pytest.raises(torch.OutOfMemoryError) as failure,
    ):
        predictor.answer(questions, on_token=lambda i, token, _: told[i].append(token), **LENGTH)
    assert max(map(len, told.values())) == 5
    assert "for 7 questions together" in failure.value.__notes__[0]
    steps = iter(range(4))  # where nobody listens, the batch begins anew
    expected = predictor.answer(questions, **LENGTH)
    with short_of_memory(predictor, lambda rows, width: rows > 4 and width == 1 and next(steps, None) is None):
        assert predictor.answer(questions, **LENGTH) == expected


def test_what_a_stream_took_that_does_not_fit_is_free_when_its_reader_hears_of_it(
    predictor, questions, no_garbage_collection
):
    with short_of_memory(predictor, lambda *_: True) as made:
        for ask in (predictor.stream_answers, predictor.answer):
            with suppress(torch.OutOfMemoryError):
                list(ask(questions, **LENGTH))
            assert made
            assert not [ref for ref in made if ref() is not None]
            made.clear()
