"""An address that hangs up after a request, as a server with TLS does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress


@contextmanager
def answering_address() -> Iterator[str]:
    """Yield its `host:port`."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as thread:
        answered = thread.submit(_hang_up, server)
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        answered.result()


def _hang_up(server: socket.socket) -> None:
    with suppress(OSError):  # the listener is shut down
        while True:
            server.accept()[0].close()
