"""The bodies of requests while they arrive: within the limits of one, and of all together."""

from __future__ import annotations

import asyncio

from fastapi import Request

from mgimm_plugin.serve.settings import Limits, RequestRefused


class Bodies:
    """Reads bodies. A client that holds its own back takes a place among those that arrive, and none in the queue.

    Args:
        limits: The server's limits.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._arriving = self._bytes = 0

    async def read(self, request: Request) -> bytes:
        """Wait for a request's body.

        Raises:
            RequestRefused: It is no JSON, too large or too slow, or too much arrives at once.
            ClientDisconnect: The client has gone.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            # A page in a browser may send other types anywhere without asking; this one it may not.
            raise RequestRefused(
                f"the content type is {kind[:100]!r}; send application/json", status=415, code="unsupported_media_type"
            )
        if self._arriving >= self._limits.bodies:
            raise _too_much(f"{self._arriving} requests are")
        body = bytearray()
        self._arriving += 1
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for piece in request.stream():
                    body += piece
                    self._bytes += len(piece)
                    self._check_bytes(len(body))
        except TimeoutError as error:
            raise RequestRefused(
                f"the body did not arrive within {self._limits.body_seconds:g} s; send it faster",
                status=408, code="body_too_slow",
            ) from error  # fmt: skip
        finally:
            self._arriving -= 1
            self._bytes -= len(body)
        return bytes(body)

    def _check_bytes(self, length: int) -> None:
        if length > self._limits.body_bytes:
            raise RequestRefused(
                f"the body has more than {self._limits.body_bytes} bytes; send a smaller image",
                status=413, code="body_too_large",
            )  # fmt: skip
        if self._bytes > self._limits.bodies_bytes:
            raise _too_much(f"{self._arriving} requests of more than {self._limits.bodies_bytes} bytes together are")


def _too_much(what: str) -> RequestRefused:
    return RequestRefused(
        f"{what} on their way to this server; try again in a second", status=429, code="too_many_bodies", retry_after=1
    )
