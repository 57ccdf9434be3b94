"""Who may come in by the address that a server listens at."""

import asyncio
import socket

import httpx
import pytest

from mgimm_plugin.errors import MgimmError, SettingError
from mgimm_plugin.serve.hosts import check_address, host_guards, is_loopback


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


def response(host, guarded_by, allowed=()):
    (guard,) = host_guards(guarded_by, allowed)
    transport = httpx.ASGITransport(guard.cls(app, *guard.args, **guard.kwargs))

    async def ask():
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get("/", headers={"host": host})

    return asyncio.run(ask())


def status(*args):
    return response(*args).status_code


@pytest.mark.parametrize("listens", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_whatever_the_loopback_address_only_names_of_this_machine_come_in(listens):
    assert [status(host, listens) for host in ("127.0.0.1:8000", "localhost", "[::1]:8000")] == [200] * 3
    assert [status(host, listens) for host in ("evil.example", "127.0.0.1.evil.example:8000", "[::1", "")] == [400] * 4


@pytest.mark.parametrize("listens", ["127.0.0.1", "0.0.0.0"])
def test_names_that_are_allowed_come_in_too_and_no_others(listens):
    allowed = ["Mgimm.example", "[fd00::1]"]
    hosts = ("mgimm.example", "MGIMM.example:443", "[FD00::1]:8000", "localhost:8000")
    assert [status(host, listens, allowed) for host in hosts] == [200] * 4
    assert [status(host, listens, allowed) for host in ("evil.example", "www.mgimm.example", "", "[")] == [400] * 4


def test_a_refusal_says_what_to_do_as_openai_does():
    error = response("mgimm.example", "127.0.0.1").json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", "unknown_host")
    assert "'mgimm.example' is no name of this machine" in error["message"]
    assert "--allowed-host" in error["message"]


@pytest.mark.parametrize("name", ["", "https://mgimm.example", "mgimm.example:443", "*", "a b", "[:::]", "a,b", "a/b"])
def test_what_is_no_host_name_cannot_be_allowed(name):
    with pytest.raises(SettingError, match="is no host name"):
        host_guards("127.0.0.1", [name])


def test_who_lets_others_in_takes_every_name():
    assert not is_loopback("0.0.0.0")
    assert host_guards("0.0.0.0") == []


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
def test_a_program_at_an_ipv4_address_is_not_in_the_way_of_ipv6():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert check_address("::", port) is None
        with pytest.raises(MgimmError, match=f"port {port} is in use"):
            check_address("127.0.0.1", port)


def test_what_is_no_host_name_is_said():
    with pytest.raises(MgimmError, match="is no address and no host name; choose another --host"):
        check_address("a" * 64 + ".example", 8000)
