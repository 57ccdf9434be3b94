"""What the endpoint answers is what the predictor answers, to OpenAI's own client too."""

import asyncio
import json

import pytest

from mgimm_plugin.predictor import Question
from tests.serve.conftest import client_of, data_url, user

LENGTH = 12


def post(client, messages, **more):
    request = {"model": "tiny", "messages": messages, "max_tokens": LENGTH, **more}
    return client.post("/v1/chat/completions", json=request)


def said(response):
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]["content"]


def alone(predictor, image, text, boxes=(), earlier=()):
    return predictor.answer([Question(image, text, boxes, earlier=earlier)], max_new_tokens=LENGTH)[0]


def test_the_served_model_is_listed(client):
    assert [card["id"] for card in client.get("/v1/models").json()["data"]] == ["tiny"]
    assert client.get("/v1/models/tiny").json()["object"] == "model"


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_an_image_is_described_as_by_the_predictor(client, tiny_predictor, pictures, kind):
    response = post(client, [user("What is it?", data_url(pictures[0], kind))])
    assert said(response) == alone(tiny_predictor, pictures[0], "<image>\nWhat is it?")
    usage = response.json()["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["completion_tokens"] <= LENGTH


BOXES = [[0, 0, 30, 30], [40.5, 10, 90, 60]]


@pytest.mark.parametrize(
    ("text", "regions", "asked"),
    [
        ("What?", BOXES, "<image>\n<region><region>\nWhat?"),
        ("<region>\nWhat?", BOXES[:1], "<region>\nWhat?"),
        ("<image>\nIs <region> next to <region>?", BOXES, "<image>\nIs <region> next to <region>?"),
        ("What?", [{"bbox": BOXES[1], "label": "tank"}], "<image>\n<region>\nWhat?"),
    ],
)
def test_regions_take_their_places(client, tiny_predictor, pictures, text, regions, asked):
    boxes = [region["bbox"] if isinstance(region, dict) else region for region in regions]
    answer = said(post(client, [user(text, data_url(pictures[1]))], regions=regions))
    assert answer == alone(tiny_predictor, pictures[1], asked, boxes)


def test_boxes_may_be_fractions_of_the_image(client, pictures):
    message = user("<region>\nWhat?", data_url(pictures[0]))
    fractions = post(client, [message], regions=[[0.1, 0.25, 0.5, 0.75]], box_units="fractions")
    assert said(fractions) == said(post(client, [message], regions=[[9, 15, 45, 45]]))


def test_a_conversation_goes_on(client, tiny_predictor, pictures):
    messages = [
        {"role": "system", "content": "Be short."},
        user("What is <region>?", data_url(pictures[2])),
        {"role": "assistant", "content": "A tank."},
        user("And <region>?"),
    ]
    earlier = ("Be short.\nWhat is <region>?", "A tank.")
    expected = alone(tiny_predictor, pictures[2], "And <region>?", BOXES, earlier)
    assert said(post(client, messages, regions=BOXES)) == expected


def test_an_answer_may_be_sent_back_as_it_came(client, tiny_predictor, pictures):
    asked = user("What is it?", data_url(pictures[2]))
    answer = post(client, [asked]).json()["choices"][0]["message"]
    expected = alone(tiny_predictor, pictures[2], "And where?", earlier=("<image>\nWhat is it?", answer["content"]))
    assert said(post(client, [asked, answer, user("And where?")])) == expected


def test_an_answer_that_its_stop_text_left_empty_may_be_sent_back(client, tiny_predictor):
    answer = post(client, [user("Hello?")], stop=alone(tiny_predictor, None, "Hello?")[0]).json()["choices"][0]
    assert answer["message"]["content"] == ""
    expected = alone(tiny_predictor, None, "More?", earlier=("Hello?", ""))
    assert said(post(client, [user("Hello?"), answer["message"], user("More?")])) == expected


def test_null_is_as_good_as_nothing(client, tiny_predictor):
    response = post(client, [user("Hello?")], stream=None, n=None, temperature=None, stop=None)
    assert said(response) == alone(tiny_predictor, None, "Hello?")


def test_words_alone_are_answered(client, tiny_predictor):
    assert said(post(client, [user("Hello?")])) == alone(tiny_predictor, None, "Hello?")


def test_an_answer_ends_before_a_stop_text(client, tiny_predictor, pictures):
    whole = alone(tiny_predictor, pictures[0], "<image>\nWhat is it?")
    stop = whole[4:6]
    response = post(client, [user("What is it?", data_url(pictures[0]))], stop=stop)
    assert said(response) == whole[: whole.index(stop)].rstrip()
    assert response.json()["choices"][0]["finish_reason"] == "stop"


def events(response):
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("temperature", [0, 0.01, 1.5])
def test_a_stream_has_the_same_answer_in_pieces(client, tiny_predictor, pictures, temperature):
    response = post(
        client,
        [user("What is it?", data_url(pictures[0]))],
        stream=True,
        temperature=temperature,
        stream_options={"include_usage": True},
    )
    assert response.headers["content-type"].startswith("text/event-stream")
    *chunks, usage = events(response)
    pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert len([piece for piece in pieces if piece]) > 1
    assert usage["usage"]["completion_tokens"] <= LENGTH
    assert chunks[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    if not temperature:
        assert "".join(pieces) == alone(tiny_predictor, pictures[0], "<image>\nWhat is it?")


def test_the_official_client_asks_many_at_once_and_each_gets_its_own_answer(address, tiny_predictor, pictures):
    from openai import AsyncOpenAI

    expected = [alone(tiny_predictor, image, "<image>\nWhat is it?") for image in pictures]
    assert len(set(expected)) == len(pictures)

    async def ask(openai, image, stream):
        options = {"model": "tiny", "messages": [user("What is it?", data_url(image))], "max_tokens": LENGTH}
        if not stream:
            return (await openai.chat.completions.create(**options)).choices[0].message.content
        chunks = await openai.chat.completions.create(**options, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    async def ask_all():
        async with AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as openai:
            asked = [ask(openai, image, stream=at % 3 == 0) for at, image in enumerate(pictures * 3)]
            return await asyncio.gather(*asked)

    assert asyncio.run(ask_all()) == expected * 3


def test_the_official_client_sends_regions(address, tiny_predictor, pictures):
    from openai import OpenAI

    with OpenAI(base_url=f"{address}/v1", api_key="none") as openai:
        assert [model.id for model in openai.models.list()] == ["tiny"]
        answer = openai.chat.completions.create(
            model="tiny",
            messages=[user("<region>\nWhat?", data_url(pictures[0]))],
            max_tokens=LENGTH,
            extra_body={"regions": BOXES[:1]},
        )
    assert answer.choices[0].message.content == alone(tiny_predictor, pictures[0], "<region>\nWhat?", BOXES[:1])


@pytest.mark.parametrize("sent_back", [lambda message: message, lambda message: message.model_dump()])
def test_the_official_client_sends_an_answer_back(address, tiny_predictor, sent_back):
    from openai import OpenAI

    with OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as openai:
        options = {"model": "tiny", "max_tokens": LENGTH}
        first = openai.chat.completions.create(messages=[user("Hello?")], **options).choices[0].message
        messages = [user("Hello?"), sent_back(first), user("More?")]
        second = openai.chat.completions.create(messages=messages, **options).choices[0].message
    assert second.content == alone(tiny_predictor, None, "More?", earlier=("Hello?", first.content))


def test_health_and_metrics_say_how_it_goes(tiny_predictor, pictures):
    with client_of(tiny_predictor) as client:
        assert client.get("/health").json() == {"status": "ok"}
        said(post(client, [user("What?", data_url(pictures[0]))]))
        assert post(client, []).status_code == 400
        numbers = client.get("/metrics").text
    assert 'mgimm_requests_total{status="answered"} 1.0' in numbers
    assert 'mgimm_rejections_total{code="invalid_value"} 1.0' in numbers
    assert "mgimm_batch_size_count 1.0" in numbers
    assert "mgimm_queue_length 0.0" in numbers
