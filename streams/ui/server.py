"""The server of the pages: the socket it listens on, and how it runs."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from streams.core.errors import ServiceError


def listening(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ServiceError if the address is in use or does not exist."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        what = f"{host}:{port} cannot be listened on ({error.strerror})."
        raise ServiceError(what, "Name another one by --host and --port; --port 0 takes a free one.") from error
    # A response is written in two parts, and without this the second one waits for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def listening_near(host: str, preferred: int) -> socket.socket:
    """Return a listening socket at the preferred port, or at any free one if it is in use. Raises ServiceError."""
    try:
        return listening(host, preferred)
    except ServiceError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EADDRINUSE:
            raise
        return listening(host, 0)


def address_of(listener: socket.socket) -> str:
    """Return the address of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class PagesServer(uvicorn.Server):
    """A server that ends its open streams before it stops, because it waits for all connections then."""

    def __init__(self, application: ASGIApp, end_streams: Callable[[], None]) -> None:
        # Without access logs, as an address may hold a token.
        super().__init__(
            uvicorn.Config(application, log_config=None, access_log=False, server_header=False, proxy_headers=False)
        )
        self._end_streams = end_streams

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop."""
        self._end_streams()
        super().handle_exit(sig, frame)
