"""Serve the health and the metrics of a process over HTTP.

Faust's own web server stays off, because it waits for slow clients without a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from streams.core.errors import ConfigError
from streams.telemetry.health import HEALTH
from streams.telemetry.metrics import REGISTRY

MAX_CONNECTIONS: Final = 32
LOOP_SECONDS = 10.0
"""The time an event loop has for an answer."""


@dataclass(frozen=True, slots=True)
class WebAddress:
    """The local address and the port on which a process serves its health and metrics."""

    host: str
    port: int


class WebServer(ThreadingWSGIServer):
    """A thread for each connection, at most MAX_CONNECTIONS at once; further connections are closed.

    With a `loop`, requests are answered in it: a blocked loop shows, and what the metrics read does not change
    meanwhile. Without one they are answered in the connection's thread.
    """

    def __init__(self, web: WebAddress, loop: asyncio.AbstractEventLoop | None) -> None:
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.loop = loop
        super().__init__((web.host, web.port), _RequestHandler)
        self.set_app(self._answer)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread if a slot is free."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, then free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, *_: Any) -> None:
        """Log nothing: a client that disconnects early is not a fault of this process."""

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        page = _PAGES.get(environ["PATH_INFO"], _not_found)
        if self.loop is None:
            return page(environ, start_response)
        answered = Future[Iterable[bytes]]()
        self.loop.call_soon_threadsafe(_settle, answered, lambda: page(environ, start_response))
        try:
            return answered.result(LOOP_SECONDS)
        except TimeoutError:
            if not answered.cancel():  # the loop has just begun to answer
                return answered.result()
        return _plain(start_response, "503 Service Unavailable", b"The event loop is blocked")


def _settle(answered: Future[Iterable[bytes]], answer: Callable[[], Iterable[bytes]]) -> None:
    if answered.set_running_or_notify_cancel():
        try:
            answered.set_result(answer())
        except Exception as error:  # raised again in the connection's thread
            answered.set_exception(error)


def _health(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if HEALTH.trouble is None:
        return _plain(start_response, "200 OK", b'{"status": "OK"}', "application/json")
    # The reason is in the log, which hides secrets.
    return _plain(start_response, "503 Service Unavailable", b'{"status": "unhealthy"}', "application/json")


def _not_found(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return _plain(start_response, "404 Not Found", b"Not found")


def _plain(start_response: StartResponse, status: str, body: bytes, content_type: str = "text/plain") -> list[bytes]:
    start_response(status, [("Content-Type", content_type)])
    return [body]


_PAGES: Final[dict[str, WSGIApplication]] = {
    "/": _health,
    "/metrics": make_wsgi_app(REGISTRY, disable_compression=True),
}


class _RequestHandler(WSGIRequestHandler):
    """One request a connection, which is closed after `patience` seconds, even if the client sends byte by byte."""

    patience = 30.0

    def setup(self) -> None:
        super().setup()
        self._limit = threading.Timer(self.patience, self._disconnect)
        self._limit.daemon = True
        self._limit.start()

    def finish(self) -> None:
        self._limit.cancel()
        super().finish()

    def _disconnect(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Log nothing: a line for each scrape would hide what matters."""


def serve_web(web: WebAddress | None, loop: asyncio.AbstractEventLoop | None = None) -> WebServer | None:
    """Start a server in a thread of its own and return it; None without an address. Raises ConfigError."""
    if web is None:
        return None
    try:
        server = WebServer(web, loop)
    except OSError as error:
        what = f"port {web.port} of {web.host} cannot be served ({error.strerror})."
        raise ConfigError(what, "Choose a free port.", "ESCALON_WEB_PORT") from error
    threading.Thread(target=server.serve_forever, name="web", daemon=True).start()
    return server
