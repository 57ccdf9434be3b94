"""A bad request is refused with a reason that names what is wrong, and the next good one is answered."""

import httpx
import pytest

from tests.serve.bad_requests import BODIES, GOOD, LIMITS, REQUESTS
from tests.serve.conftest import client_of, running


@pytest.fixture(scope="module")
def limited(tiny_predictor):
    with client_of(tiny_predictor, limits=LIMITS) as client:
        yield client


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_is_refused_with_a_reason(limited, name):
    request, status, reason = REQUESTS[name]
    refused(limited.post("/v1/chat/completions", json=request), status, reason)


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_refused_with_a_reason(limited, name):
    body, kind, status, reason = BODIES[name]
    refused(limited.post("/v1/chat/completions", content=body, headers={"content-type": kind}), status, reason)


def refused(response, status, reason):
    error = response.json()["error"]
    assert (response.status_code, reason in error["message"]) == (status, True), error
    assert error["type"] == "invalid_request_error"
    assert set(error) == {"message", "type", "param", "code"}
    assert len(error["message"]) < 500


@pytest.fixture(scope="module", autouse=True)
def goes_on_answering(limited):
    yield
    response = limited.post("/v1/chat/completions", json=GOOD)
    assert response.status_code == 200, response.text
    assert limited.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/files", 404), ("GET", "/v1/chat/completions", 405)]
)
def test_another_place_or_method_is_told(limited, method, path, status):
    refused(limited.request(method, path), status, "/v1/chat/completions")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "secret", "Basic secret", "Bearer secret2"])
@pytest.mark.parametrize("path", ["/v1/models", "/metrics"])
def test_a_wrong_key_is_refused(tiny_predictor, header, path):
    with client_of(tiny_predictor, api_key="secret") as client:
        response = client.get(path, headers={} if header is None else {"authorization": header})
        assert (response.status_code, response.json()["error"]["type"]) == (401, "authentication_error")
        assert client.post("/v1/chat/completions", json=GOOD).status_code == 401
        assert client.get("/health").status_code == 200
        assert client.get(path, headers={"authorization": "Bearer secret"}).status_code == 200


@pytest.mark.parametrize(
    ("key", "header"),
    [
        ("secret", b"bearer secret"),
        ("secret", b"BEARER  secret"),
        ("Schl\u00fcssel", "Bearer Schl\u00fcssel".encode()),
        (" secret\r\n", b"Bearer secret"),
        ("Schl\udcfcssel", b"Bearer Schl\xfcssel"),  # as os.environ has what is not UTF-8
    ],
)
def test_a_right_key_is_taken_however_its_scheme_and_letters_are_written(tiny_predictor, key, header):
    with running(tiny_predictor, api_key=key) as address:  # over HTTP: the test client has its own idea of bytes
        assert httpx.get(f"{address}/v1/models", headers={"authorization": header}).status_code == 200
        assert httpx.get(f"{address}/v1/models", headers={"authorization": header + b"x"}).status_code == 401
