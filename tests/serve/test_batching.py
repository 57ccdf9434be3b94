"""Jobs that wait are answered together; those that nobody waits for are dropped, and a failure ends its batch alone."""

import asyncio

import pytest

from mgimm_plugin.growing_text import GrowingText
from mgimm_plugin.predictor import Predictor, Question
from mgimm_plugin.serve.batching import Batcher, Failed, Finished, Job, Piece, Stopped
from mgimm_plugin.serve.settings import Limits, RequestRefused

LIMITS = Limits(queue_length=4, batch_size=3, batch_seconds=0)


class Sizes(list):
    """Hears the sizes of the batches."""

    def batch_started(self, size):
        self.append(size)


def with_batcher(predictor, use):
    """Run ``use(batcher)`` in an event loop; what it returns, and the sizes of the batches."""
    sizes = Sizes()
    batcher = Batcher(predictor, LIMITS, sizes)
    try:
        return asyncio.run(use(batcher)), sizes
    finally:
        batcher.close()


def job(text="Hello?", tokens=4, **more):
    return Job(Question(None, text), tokens, **more)


async def end_of(waiting):
    while isinstance(event := await waiting.next_event(), Piece):
        pass
    return event


async def occupied(held, batcher):
    """Let a first job reach the model, so that the next ones wait."""
    first = job()
    batcher.submit(first)
    await asyncio.to_thread(held.asked.wait, 60)
    return first


def test_jobs_that_wait_go_together_by_temperature(held):
    async def use(batcher):
        jobs = [await occupied(held, batcher)]
        jobs += [job(temperature=t) for t in (0.0, 1.0, 0.0, 1.0)]
        for one in jobs[1:]:
            batcher.submit(one)
        held.let_go.set()
        return [await end_of(one) for one in jobs]

    ends, sizes = with_batcher(held, use)
    assert all(isinstance(end, Finished) for end in ends)
    assert sizes == [1, 2, 2]


def test_a_full_queue_is_told_and_emptied_again(held):
    async def use(batcher):
        jobs = [await occupied(held, batcher)]
        for _ in range(LIMITS.queue_length):
            jobs.append(job())
            batcher.submit(jobs[-1])
        with pytest.raises(RequestRefused, match="queue is full") as refused:
            batcher.submit(job())
        jobs[2].cancelled.set()  # makes room
        jobs.append(job())
        batcher.submit(jobs[-1])
        held.let_go.set()
        del jobs[2]
        return refused.value, [await end_of(one) for one in jobs]

    (refused, ends), sizes = with_batcher(held, use)
    assert (refused.status, refused.retry_after) == (429, 1)
    assert all(isinstance(end, Finished) for end in ends)
    assert sum(sizes) == len(ends)


def test_a_job_that_nobody_waits_for_ends_while_others_of_its_batch_go_on(held):
    async def use(batcher):
        first = await occupied(held, batcher)
        left, stays = job(tokens=400, stream=True), job(tokens=30)
        batcher.submit(left)
        batcher.submit(stays)
        held.let_go.set()
        await end_of(first)
        assert isinstance(await left.next_event(), Piece)
        left.cancelled.set()
        end = await end_of(stays)
        last = job(tokens=1)
        batcher.submit(last)
        await end_of(last)  # the batch before has ended
        told = [left._events.get_nowait() for _ in range(left._events.qsize())]
        return end, told

    (end, told), _ = with_batcher(held, use)
    assert isinstance(end, Finished)
    assert not any(isinstance(event, Finished) for event in told)


def test_a_defect_ends_its_batch_and_not_the_server(tiny_loaded, monkeypatch):
    predictor = Predictor(tiny_loaded)

    async def use(batcher):
        with monkeypatch.context() as patch:
            patch.setattr(predictor, "decode", lambda ids: 1 / 0)
            broken = job()
            batcher.submit(broken)
            first = await end_of(broken)
        after = job()
        batcher.submit(after)
        return first, await end_of(after), batcher.healthy

    (first, second, healthy), _ = with_batcher(predictor, use)
    assert isinstance(first, Failed)
    assert isinstance(second, Finished)
    assert healthy


def test_closing_tells_those_that_wait(held):
    async def use(batcher):
        jobs = [await occupied(held, batcher), job()]
        batcher.submit(jobs[1])
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        while not batcher._closed:
            await asyncio.sleep(0)
        ends = [await end_of(one) for one in jobs]  # the model has not gone on yet
        with pytest.raises(RequestRefused, match="being stopped") as refused:
            batcher.submit(job())
        assert refused.value.status == 503
        held.let_go.set()
        await closing
        return ends

    ends, _ = with_batcher(held, use)
    assert all(isinstance(end, Stopped) for end in ends)


def test_draining_tells_those_that_wait_and_lets_the_batch_end(held):
    async def use(batcher):
        jobs = [await occupied(held, batcher), job()]
        batcher.submit(jobs[1])
        batcher.drain()
        waiting = await end_of(jobs[1])  # the model has not gone on yet
        with pytest.raises(RequestRefused, match="being stopped"):
            batcher.submit(job())
        held.let_go.set()
        return await end_of(jobs[0]), waiting

    (ran, waiting), _ = with_batcher(held, use)
    assert isinstance(ran, Finished)
    assert isinstance(waiting, Stopped)


@pytest.mark.parametrize(
    ("texts", "stop", "pieces"),
    [
        (["A", "A red", "A red tank"], (), ["A", " red", " tank"]),
        (["A ", "A red"], (), ["A", " red"]),
        (["h\N{REPLACEMENT CHARACTER}", "hé"], (), ["h", "é"]),
        (["one", "one.", "one. two"], (". t",), ["one", "", ""]),
        (["one", "one.", "one.5"], (". t",), ["one", "", ".5"]),
        (["ab", "abSTOPcd"], ("STOP", "cd"), ["ab", ""]),
    ],
)
def test_what_is_shown_of_an_answer_is_never_taken_back(texts, stop, pieces):
    growing = GrowingText(stop)
    assert [growing.grow(text)[0] for text in texts] == pieces
