"""Images from the web, without becoming a way into the server's own network.

A name is resolved once, every address it has is checked, and the connection is made to a checked address itself: a name
that points elsewhere a moment later changes nothing. Each redirect starts over.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from mgimm_plugin.serve.settings import Limits, RequestRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


async def resolve_name(host: str, port: int) -> list[str]:
    """All addresses of a host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet, looking into IPv6 addresses that wrap an IPv4 one."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:  # such as fe80::1%eth0
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if wrapped is not None:
            return is_public(str(wrapped))
        if address.is_site_local:  # fec0::/10, once what fc00::/7 is now; is_global has forgotten it
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


@dataclass(frozen=True, slots=True)
class _Target:
    """A URL, and the address that it is loaded from."""

    url: httpx.URL
    address: str


async def load_remote(
    url: str,
    field: str,
    limits: Limits,
    *,
    resolve: Resolve = resolve_name,
    transport: httpx.AsyncBaseTransport | None = None,
) -> bytes:
    """Load a file from a public address.

    Args:
        url: http or https, on the usual port.
        field: Where the request has it.
        limits: Bytes, seconds and redirects.
        resolve: Gives the addresses of a host and port.
        transport: What connects; the network by default.

    Raises:
        RequestRefused: An address is not public, the limits do not suffice, or the other side does not deliver.
    """
    try:
        async with (
            asyncio.timeout(limits.remote_seconds),
            httpx.AsyncClient(transport=transport, trust_env=False, timeout=limits.remote_seconds) as client,
        ):
            for _ in range(limits.remote_redirects + 1):
                target = await _checked(url, field, resolve)
                content, url = await _answer(client, target, field, limits)
                if content is not None:
                    return content
    except TimeoutError as error:
        raise _refused(field, f"was not loaded within {limits.remote_seconds:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        raise _refused(field, f"could not be loaded ({type(error).__name__})") from error
    raise _refused(field, f"redirects more than {limits.remote_redirects} times")


async def _checked(url: str, field: str, resolve: Resolve) -> _Target:
    parsed = httpx.URL(url)
    if parsed.scheme not in _PORTS or not parsed.host or parsed.userinfo:
        raise _refused(field, "must be a plain http(s) URL without a user name")
    if parsed.port not in (None, _PORTS[parsed.scheme]):
        raise _refused(field, f"names port {parsed.port}; only the usual ports are loaded from")
    addresses = await resolve(parsed.host, _PORTS[parsed.scheme])
    if not addresses or not all(map(is_public, addresses)):
        raise _refused(field, "is not at a public address")
    return _Target(parsed, addresses[0])


async def _answer(client: httpx.AsyncClient, target: _Target, field: str, limits: Limits) -> tuple[bytes | None, str]:
    """The content, or None and where it is said to be."""
    request = client.build_request(
        "GET",
        target.url.copy_with(host=target.address),
        headers={"host": target.url.netloc.decode(), "accept": "image/*", "accept-encoding": "identity"},
        extensions={"sni_hostname": target.url.host},  # the certificate is checked for the name
    )
    response = await client.send(request, stream=True)
    try:
        if response.status_code in _REDIRECTS and "location" in response.headers:
            return None, str(target.url.join(response.headers["location"]))
        if response.status_code != 200:
            raise _refused(field, f"could not be loaded: the other side answers {response.status_code}")
        content = bytearray()
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > limits.remote_bytes:
                raise _refused(field, f"has more than {limits.remote_bytes} bytes; send a smaller image")
        return bytes(content), ""
    finally:
        await response.aclose()


def _refused(field: str, problem: str) -> RequestRefused:
    return RequestRefused(f"{field} {problem}; or send the image as a data URL", param=field, code="invalid_image_url")
