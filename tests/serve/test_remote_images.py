"""Images from the web come from public addresses only, however a URL is turned."""

import asyncio
import dataclasses
import functools
import io

import httpx
import pytest

from mgimm_plugin.serve.remote import is_public, load_remote
from mgimm_plugin.serve.settings import Limits, RequestRefused
from tests.serve.bad_requests import GOOD, URL, with_url
from tests.serve.conftest import client_of, data_url, user

LIMITS = Limits(remote_bytes=1000, remote_seconds=5, remote_redirects=2)
PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1",
        "fec0::1", "feff::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1",
        "localhost",
    ],
)  # fmt: skip
def test_an_address_of_ones_own_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


def load(url, answer, names=None, limits=LIMITS):
    """Load a URL; ``answer`` stands in for the network, and what was connected to comes back too."""
    asked = []

    def respond(request):
        asked.append(request)
        return answer(request)

    async def resolve(host, port):
        return (names or {}).get(host, [host])

    transport = httpx.MockTransport(respond)
    return asyncio.run(load_remote(url, "url", limits, resolve=resolve, transport=transport)), asked


def test_the_connection_is_made_to_the_address_that_was_checked():
    content, (request,) = load(
        "https://example.com/a.png",
        lambda _: httpx.Response(200, stream=httpx.ByteStream(b"png")),
        {"example.com": [PUBLIC]},
    )
    assert content == b"png"
    assert request.url.host == PUBLIC
    assert request.headers["host"] == "example.com"
    assert request.extensions["sni_hostname"] == "example.com"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1/a.png", "public address"),
        ("http://[::1]/a.png", "public address"),
        ("http://inside.example/a.png", "public address"),
        ("http://both.example/a.png", "public address"),
        ("http://nowhere.example/a.png", "public address"),
        ("http://user:pass@example.com/a.png", "user name"),
        ("http://example.com:6379/a.png", "port 6379"),
        ("https://example.com:80/a.png", "port 80"),
        ("http:///a.png", "plain http"),
        ("http://exa mple.com:x/", "InvalidURL"),
    ],
)
def test_what_is_not_public_is_never_connected_to(url, reason):
    names = {
        "inside.example": ["10.0.0.7"],
        "both.example": [PUBLIC, "10.0.0.7"],
        "nowhere.example": [],
        "example.com": [PUBLIC],
    }
    with pytest.raises(RequestRefused, match=reason):
        load(url, lambda _: pytest.fail("connected"), names)


@pytest.mark.parametrize(
    "place", ["http://127.0.0.1/", "http://inside.example/", "file:///etc/passwd", "gopher://x", "//10.0.0.7/"]
)
def test_a_redirect_is_checked_like_the_first_address(place):
    def answer(request):
        assert request.url.host == PUBLIC
        return httpx.Response(302, headers={"location": place})

    with pytest.raises(RequestRefused, match=r"public address|plain http"):
        load("http://example.com/", answer, {"example.com": [PUBLIC], "inside.example": ["192.168.0.1"]})


def test_a_redirect_to_a_public_address_is_followed():
    def answer(request):
        moved = request.url.path == "/a"
        return (
            httpx.Response(301, headers={"location": "/b"})
            if moved
            else httpx.Response(200, stream=httpx.ByteStream(b"png"))
        )

    content, asked = load("http://example.com/a", answer, {"example.com": [PUBLIC]})
    assert content == b"png"
    assert [request.url.path for request in asked] == ["/a", "/b"]


def test_redirects_without_end_are_left():
    with pytest.raises(RequestRefused, match="more than 2 times"):
        load(f"http://{PUBLIC}/", lambda _: httpx.Response(307, headers={"location": "/"}))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: httpx.Response(200, stream=httpx.ByteStream(b"a" * 1001)), "more than 1000 bytes"),
        (lambda _: httpx.Response(404), "answers 404"),
        (lambda request: (_ for _ in ()).throw(httpx.ConnectError("no", request=request)), "ConnectError"),
    ],
)
def test_what_the_other_side_does_not_deliver_is_told(answer, reason):
    with pytest.raises(RequestRefused, match=reason):
        load(f"http://{PUBLIC}/", answer)


def test_a_slow_server_is_not_waited_for():
    async def slow(host, port):
        await asyncio.sleep(60)

    limits = dataclasses.replace(LIMITS, remote_seconds=0.01)
    with pytest.raises(RequestRefused, match=r"within 0\.01 s"):
        asyncio.run(load_remote(f"http://{PUBLIC}/", "url", limits, resolve=slow))


@pytest.mark.parametrize("place", ["http://[", "http://:x", "http://"])
def test_a_redirect_to_nowhere_is_told(place):
    with pytest.raises(RequestRefused, match="send the image as a data URL"):
        load(f"http://{PUBLIC}/", lambda _: httpx.Response(302, headers={"location": place}))


def test_a_name_that_cannot_be_one_is_told():
    with pytest.raises(RequestRefused, match="could not be loaded"):
        asyncio.run(load_remote(f"http://{'a' * 70}.example/", "url", LIMITS))


@pytest.fixture(scope="module")
def allowing(tiny_predictor):
    with client_of(tiny_predictor, allow_remote_images=True) as client:
        yield client


def message_of_refusal(response):
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"], error["param"]) == (
        400, "invalid_request_error", "invalid_image_url", URL,
    )  # fmt: skip
    return error["message"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png", "https://127.0.0.1/a.png", "http://127.1/a.png", "http://2130706433/a.png",
        "http://0.0.0.0/a.png", "http://10.0.0.1/a.png", "http://169.254.169.254/latest/meta-data", "http://[::1]/a.png",
        "http://[::ffff:127.0.0.1]/a.png", "http://localhost/a.png", "HTTP://LOCALHOST/a.png",
    ],
)  # fmt: skip
def test_an_endpoint_that_loads_images_refuses_those_of_its_own_network(allowing, url):
    assert f"{URL} is not at a public address" in message_of_refusal(
        allowing.post("/v1/chat/completions", json=with_url(url))
    )


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.com/a.png", "http://127.0.0.1:8000/a.png"])
def test_an_endpoint_that_loads_images_opens_nothing_else(allowing, url):
    response = allowing.post("/v1/chat/completions", json=with_url(url))
    assert (response.status_code, response.json()["error"]["param"]) == (400, URL)


@pytest.fixture
def internet(monkeypatch):
    """Stands in for the network of an endpoint: what it answers, by path, at the public address of example.com."""
    answers, asked = {}, []

    def respond(request):
        asked.append(request.url.host)
        return answers[request.url.path]

    async def resolve(host, port):
        return [PUBLIC if host == "example.com" else host]

    connected = functools.partial(load_remote, resolve=resolve, transport=httpx.MockTransport(respond))
    monkeypatch.setattr("mgimm_plugin.serve.images.load_remote", connected)
    return answers, asked


def test_an_endpoint_answers_about_an_image_that_it_loads(allowing, internet, pictures):
    answers, asked = internet
    content = io.BytesIO()
    pictures[0].save(content, "PNG")
    answers["/a.png"] = httpx.Response(200, stream=httpx.ByteStream(content.getvalue()))
    loaded, sent = (
        allowing.post("/v1/chat/completions", json={**GOOD, "messages": [user("What?", url)]}).json()["choices"]
        for url in ("https://example.com/a.png", data_url(pictures[0]))
    )
    assert asked == [PUBLIC]
    assert loaded == sent


@pytest.mark.parametrize("place", ["http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest/meta-data"])
def test_an_endpoint_is_not_led_into_its_own_network_by_a_redirect(allowing, internet, place):
    answers, asked = internet
    answers["/a.png"] = httpx.Response(302, headers={"location": place})
    response = allowing.post("/v1/chat/completions", json=with_url("http://example.com/a.png"))
    assert "is not at a public address" in message_of_refusal(response)
    assert asked == [PUBLIC]
