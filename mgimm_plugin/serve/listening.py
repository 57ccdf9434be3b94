"""Listening on an address until the server is stopped."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

_ANSWER_SECONDS = 8
"""What runs may still take when the server is stopped."""
_GRACE_SECONDS = _ANSWER_SECONDS + 1
"""Then its clients are told; Docker kills a container after 10."""


class Server(uvicorn.Server):
    """A server over ``create_app``'s endpoint that, once it is stopped, ends what runs and tells all others.

    By itself uvicorn lets them wait for the whole grace period, then cuts them off, and only then tells the endpoint.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: who waits is told at once; what runs has some seconds, and then ends with an error in OpenAI's form."""
        batcher = self.config.app.state.batcher  # type: ignore[union-attr]
        batcher.drain()
        asyncio.get_running_loop().call_later(_ANSWER_SECONDS, batcher.stop)
        await super().shutdown(sockets)


def listen(app: FastAPI, *, host: str, port: int) -> None:
    """Serve the endpoint of ``create_app`` until SIGINT or SIGTERM.

    Args:
        app: The endpoint.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
    """
    config = uvicorn.Config(
        app, host=host, port=port, proxy_headers=False, server_header=False, timeout_graceful_shutdown=_GRACE_SECONDS
    )
    with suppress(KeyboardInterrupt):  # uvicorn raises SIGINT anew when all is done
        Server(config).run()
