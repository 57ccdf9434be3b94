"""Clients that go away, and clients that come when the queue is full."""

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from mgimm_plugin.serve.settings import Limits
from tests.serve.conftest import running, user

ASKED = {"model": "tiny", "messages": [user("Hello?")], "max_tokens": 400}


def wait_for(address, line):
    for _ in range(600):
        if line in httpx.get(f"{address}/metrics").text:
            return
        time.sleep(0.05)
    pytest.fail(f"no {line} in /metrics")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_ends_its_answer(held, stream):
    with running(held) as address:
        connection = http.client.HTTPConnection(address.removeprefix("http://"))
        body = json.dumps({**ASKED, "stream": stream})
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        assert held.asked.wait(60)
        connection.close()
        held.let_go.set()
        wait_for(address, 'mgimm_requests_total{status="gone"} 1.0')
        after = httpx.post(f"{address}/v1/chat/completions", json={**ASKED, "max_tokens": 2}, timeout=60)
        assert after.status_code == 200
    assert held.tokens < 400


def test_a_client_that_goes_away_while_it_sends_is_no_failure_of_the_server(tiny_predictor):
    with running(tiny_predictor) as address:
        connection = http.client.HTTPConnection(address.removeprefix("http://"))
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", "1000")
        connection.endheaders(b'{"model": ')
        connection.close()
        wait_for(address, 'mgimm_requests_total{status="gone"} 1.0')
        assert 'status="failed"' not in httpx.get(f"{address}/metrics").text


def test_a_body_that_does_not_arrive_in_time_is_refused(tiny_predictor):
    with running(tiny_predictor, limits=Limits(body_seconds=0.1)) as address:
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", "1000")
        connection.endheaders(b'{"model": ')  # the rest never comes
        response = connection.getresponse()
        error = json.loads(response.read())["error"]
        assert (response.status, error["code"]) == (408, "body_too_slow")
        assert "within 0.1 s" in error["message"]
        connection.close()
        after = httpx.post(f"{address}/v1/chat/completions", json={**ASKED, "max_tokens": 2}, timeout=60)
        assert after.status_code == 200


def holding_back(address, sent):
    """A client that has sent so much of its body, and sends no more."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("content-type", "application/json")
    connection.putheader("content-length", "100000")
    connection.endheaders(sent)
    return connection


def ask_until(address, status):
    """Ask again and again until the answer has this status."""
    for _ in range(600):
        answer = httpx.post(f"{address}/v1/chat/completions", json={**ASKED, "max_tokens": 2}, timeout=60)
        if answer.status_code == status:
            return answer
        time.sleep(0.05)
    pytest.fail(f"never {status}: {answer.text}")


def test_clients_that_hold_back_their_bodies_take_no_places_in_the_queue(tiny_predictor):
    with running(tiny_predictor, limits=Limits(queue_length=1, bodies=2)) as address:
        slow = [holding_back(address, b'{"model": ') for _ in range(2)]
        refused = ask_until(address, 429)
        assert refused.json()["error"]["code"] == "too_many_bodies"
        assert "2 requests are on their way to this server" in refused.json()["error"]["message"]
        assert refused.headers["retry-after"] == "1"
        slow[0].close()
        ask_until(address, 200)  # the other one is still on its way
        slow[1].close()


def test_bodies_on_their_way_are_bounded_together(tiny_predictor):
    with running(tiny_predictor, limits=Limits(bodies_bytes=5000)) as address:
        slow = holding_back(address, b" " * 4990)
        assert "more than 5000 bytes together" in ask_until(address, 429).json()["error"]["message"]
        slow.close()
        ask_until(address, 200)


def test_clients_that_have_gone_make_room_at_once(held):
    body = json.dumps(ASKED)
    with running(held, limits=Limits(queue_length=2, batch_size=1)) as address, ThreadPoolExecutor() as threads:
        place = f"{address}/v1/chat/completions"
        first = threads.submit(httpx.post, place, json={**ASKED, "max_tokens": 2}, timeout=60)
        assert held.asked.wait(60)
        queued = [http.client.HTTPConnection(address.removeprefix("http://")) for _ in range(2)]
        for connection in queued:
            connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        wait_for(address, "mgimm_queue_length 2.0")
        for connection in queued:
            connection.close()
        wait_for(address, 'mgimm_requests_total{status="gone"} 2.0')
        after = threads.submit(httpx.post, place, json={**ASKED, "max_tokens": 2}, timeout=60)
        wait_for(address, "mgimm_queue_length 1.0")
        held.let_go.set()
        assert (first.result().status_code, after.result().status_code) == (200, 200)


def test_a_full_queue_is_told_with_a_time_to_come_again(held):
    limits = Limits(queue_length=1, batch_size=1, batch_seconds=0)
    with running(held, limits=limits) as address:
        answers = []

        def ask():
            answers.append(httpx.post(f"{address}/v1/chat/completions", json={**ASKED, "max_tokens": 2}, timeout=60))

        first, second = threading.Thread(target=ask), threading.Thread(target=ask)
        first.start()
        assert held.asked.wait(60)
        second.start()
        wait_for(address, "mgimm_queue_length 1.0")
        refused = httpx.post(f"{address}/v1/chat/completions", json=ASKED)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["error"]["type"] == "rate_limit_error"
        held.let_go.set()
        first.join()
        second.join()
    assert [answer.status_code for answer in answers] == [200, 200]


def test_who_waits_when_the_server_stops_is_told(held):
    with ThreadPoolExecutor() as threads:
        with running(held, limits=Limits(batch_size=1)) as address:
            place = f"{address}/v1/chat/completions"
            asked = [threads.submit(httpx.post, place, json=ASKED, timeout=60)]
            assert held.asked.wait(60)
            for stream in (False, True):
                asked.append(threads.submit(httpx.post, place, json={**ASKED, "stream": stream}, timeout=60))
            wait_for(address, "mgimm_queue_length 2.0")
            # The model goes on only when they have been told: they are not kept waiting for its next step.
            for one in asked[1:]:
                one.add_done_callback(lambda _: held.let_go.set() if all(one.done() for one in asked[1:]) else None)
        ran, waiting, stream = (one.result() for one in asked)
    assert ran.status_code == 200, "what runs has time to end"
    assert (waiting.status_code, waiting.json()["error"]["code"]) == (503, "server_stopping")
    assert waiting.headers["retry-after"]
    assert json.loads(stream.text.split("\n\n")[-2].removeprefix("data: "))["error"]["code"] == "server_stopping"
