"""The address that a server listens at, and who may come in by it."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

from mgimm_plugin.errors import MgimmError, SettingError
from mgimm_plugin.serve.settings import RequestRefused

_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens at ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_address(host: str, port: int) -> None:
    """Say that a server cannot listen at an address, before anything is loaded for it.

    Args:
        host: Address or name to listen at.
        port: 0 stands for any free one.

    Raises:
        MgimmError: Another program has the port, or ``host`` is not of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            # As the servers do: what a server that has ended leaves behind for a minute is not in the way.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # a program that has the port of an IPv4 address is not in the way, either
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
    except UnicodeError as error:
        raise MgimmError(f"{host} is no address and no host name; choose another --host") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise MgimmError(f"port {port} is in use; choose another --port") from error
        raise MgimmError(
            f"cannot listen at {host}, port {port}: {error.strerror}; choose another --host or --port"
        ) from error


def host_guards(host: str, allowed: Sequence[str] = ()) -> list[Any]:
    """Starlette middleware that refuses other names than those of this machine and those that are allowed.

    A page of another site may make its own name lead here; a browser then sends that name. Nothing is refused where
    others reach ``host`` and no name is allowed.

    Args:
        host: Address that the server listens at.
        allowed: Further names, as a proxy passes them on.

    Raises:
        SettingError: What is allowed is no host name.
    """
    from starlette.middleware import Middleware

    for name in allowed:
        if not _HOST_NAME.fullmatch(name) or not _host_of(name):
            raise SettingError(
                f"--allowed-host {name!r} is no host name; give the name alone, such as mgimm.example.org, without "
                "scheme, port, path or *"
            )
    names = frozenset(_host_of(name) for name in allowed)
    return [Middleware(KnownNamesOnly, allowed=names)] if names or is_loopback(host) else []


class KnownNamesOnly:
    """ASGI middleware that answers 400 to requests whose ``Host`` is no name of this machine, nor an allowed one."""

    def __init__(self, app: Any, allowed: Collection[str]) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] in ("http", "websocket") and not self._knows(given := _given(scope)):
            from starlette.responses import JSONResponse

            refusal = RequestRefused(
                f"the host {given[:100]!r} is no name of this machine; ask for 127.0.0.1 or localhost; where a proxy "
                "passes its own name on, start mgimm serve with --allowed-host NAME",
                code="unknown_host",
            )
            await JSONResponse(refusal.as_dict(), status_code=refusal.status)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _knows(self, given: str) -> bool:
        name = _host_of(given)
        return name in self._allowed or is_loopback(name)


def _given(scope: Any) -> str:
    return str(dict(scope["headers"]).get(b"host", b"").decode("latin-1"))


def _host_of(given: str) -> str:
    """A host without its port, in lower case and without brackets."""
    try:
        return urlsplit(f"//{given}").hostname or ""
    except ValueError:
        return ""
