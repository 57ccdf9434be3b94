"""Listening on an address until the server is stopped."""

from __future__ import annotations

import socket
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

_GRACE_SECONDS = 5


class Server(uvicorn.Server):
    """A server over ``create_app``'s endpoint that, once it is stopped, tells all who wait for an answer.

    By itself uvicorn lets them wait for the whole grace period, then cuts them off, and only then tells the endpoint.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; what was begun ends with an error in OpenAI's form."""
        self.config.app.state.stop()  # type: ignore[union-attr]
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
