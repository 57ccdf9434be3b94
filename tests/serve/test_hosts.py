"""Who may come in by the address that a server listens at."""

import asyncio

import httpx
import pytest

from mgimm_plugin.serve.hosts import host_guards, is_loopback


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


def status(host, guarded_by):
    (guard,) = host_guards(guarded_by)
    transport = httpx.ASGITransport(guard.cls(app, *guard.args, **guard.kwargs))

    async def ask():
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.get("/", headers={"host": host})).status_code

    return asyncio.run(ask())


@pytest.mark.parametrize("listens", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_whatever_the_loopback_address_only_names_of_this_machine_come_in(listens):
    assert [status(host, listens) for host in ("127.0.0.1:8000", "localhost", "[::1]:8000")] == [200] * 3
    assert [status(host, listens) for host in ("evil.example", "127.0.0.1.evil.example:8000", "[::1", "")] == [400] * 4


def test_who_lets_others_in_takes_every_name():
    assert not is_loopback("0.0.0.0")
    assert host_guards("0.0.0.0") == []
