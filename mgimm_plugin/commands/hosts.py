"""The address that a server listens at, and who may come in by it."""

from __future__ import annotations

import ipaddress
from typing import Any

_LOCAL_NAMES = ("127.0.0.1", "localhost")


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
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    return [Middleware(TrustedHostMiddleware, allowed_hosts=list(_LOCAL_NAMES))] if host in _LOCAL_NAMES else []
