"""The address that a server listens at, and who may come in by it."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens at ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_guards(host: str) -> list[Any]:
    """Starlette middleware that refuses other names than those of this machine, where ``host`` is one of these.

    A page of another site may make its own name lead here; a browser then sends that name.
    """
    from starlette.middleware import Middleware

    return [Middleware(LoopbackNamesOnly)] if is_loopback(host) else []


class LoopbackNamesOnly:
    """ASGI middleware that answers 400 to requests whose ``Host`` is no name of this machine."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] in ("http", "websocket") and not is_loopback(_host_of(scope)):
            from starlette.responses import PlainTextResponse

            refusal = PlainTextResponse("this server answers under names of its own machine only", status_code=400)
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _host_of(scope: Any) -> str:
    given = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    try:
        return urlsplit(f"//{given}").hostname or ""
    except ValueError:
        return ""
