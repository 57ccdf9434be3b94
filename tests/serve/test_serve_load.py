"""Fifty at once: none lost, none mixed up; and whatever is sent, the memory of the process comes back."""

import asyncio
import gc
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from openai import AsyncOpenAI

from mgimm_plugin.predictor import Question
from mgimm_plugin.questions import PreparedImage
from mgimm_plugin.serve.batching import Job
from tests.serve.bad_requests import BODIES, GOOD, LIMITS, PICTURE, REQUESTS
from tests.serve.conftest import data_url, running, user

CLIENTS = 50
ROUNDS = 4
LONG = 60
STREAMS = 3


def test_fifty_at_once_get_their_own_answers(tiny_predictor, noise):
    asked = list(fifty_questions(noise(CLIENTS // 2)))
    expected = [tiny_predictor.answer([question], max_new_tokens=length)[0] for question, length in asked]
    assert len(set(expected)) == len(asked) == CLIENTS  # no two alike, so that none can stand in for another

    async def ask(openai, question, length):
        answer = await openai.chat.completions.create(
            model="tiny",
            messages=[user(question.text, data_url(question.image))],
            max_tokens=length,
            extra_body={"regions": question.boxes},
        )
        return answer.choices[0].message.content

    async def ask_all(address):
        async with AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as openai:
            return await asyncio.gather(*(ask(openai, *each) for each in asked))

    with running(tiny_predictor) as address:
        assert asyncio.run(ask_all(address)) == expected


def fifty_questions(pictures):
    """Each picture twice, as a whole and at a box of its own, in other words and at other lengths of answer."""
    for number, image in enumerate(pictures):
        yield Question(image, f"<image>\nWhat is number {number}?"), 14 + number % 5
        text = f"Is <region> {number}, or {7 * number}, red?"
        yield Question(image, text, [(number, 5, number + 40, 50)]), 20 - number % 5


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_comes_back_after_bad_requests_and_broken_streams(tiny_predictor):
    with running(tiny_predictor, limits=LIMITS) as address:
        asyncio.run(misbehave(address, 0))  # what is loaded at first use is loaded now
        before = resident_pages()
        for number in range(1, ROUNDS + 1):
            asyncio.run(misbehave(address, number))
        gc.collect()
        assert resident_pages() < 1.05 * before
        until = time.monotonic() + 60
        while alive() > STREAMS and time.monotonic() < until:  # streams that were left end with their next token
            time.sleep(0.1)
        assert alive() <= STREAMS  # the last batch may still be at hand
        assert httpx.post(f"{address}/v1/chat/completions", json=GOOD, timeout=60).status_code == 200


def alive():
    """How many requests, or their pictures, are in memory."""
    gc.collect()
    kinds = Counter(type(thing) for thing in gc.get_objects())
    return max(kinds[Job], kinds[PreparedImage])


async def misbehave(address, number):
    """Every bad request once, long ones that are never the same, and streams that are left after a piece or two."""
    place = f"{address}/v1/chat/completions"
    async with httpx.AsyncClient(timeout=60) as client:
        bad = [client.post(place, json=request) for request, _, _ in REQUESTS.values()]
        bad += [
            client.post(place, content=body, headers={"content-type": kind}) for body, kind, _, _ in BODIES.values()
        ]
        long = [f"{number}-{each} " + "word " * (LIMITS.prompt_chars // 5 - 4) for each in range(LONG)]
        bad += [client.post(place, json={**GOOD, "messages": [user(text, PICTURE)]}) for text in long]
        answers = [await request for request in bad]
        assert all(400 <= answer.status_code < 500 for answer in answers)
        await asyncio.gather(*(leave(client, place, pieces) for pieces in range(STREAMS)))


async def leave(client, place, pieces):
    request = {**GOOD, "stream": True, "max_tokens": 64}
    async with client.stream("POST", place, json=request) as stream:
        lines = stream.aiter_lines()
        for _ in range(pieces):
            await anext(lines)


def resident_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])
