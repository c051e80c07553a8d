"""Health and figures of a process. Faust's own web server is off: it waits for whoever connects, without an end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.core.errors import ConfigError
from streams.telemetry.health import HEALTH
from streams.telemetry.metrics import REGISTRY

MAX_CONNECTIONS = 32
LOOP_SECONDS = 10.0
"""How long an event loop may take to come round to a page."""


@dataclass(frozen=True, slots=True)
class WebAddress:
    """Where a process serves health and figures: an address of this machine, and a port."""

    host: str
    port: int


class WebServer(ThreadingHTTPServer):
    """At most MAX_CONNECTIONS at once, each a thread; further ones are hung up on."""

    daemon_threads = True

    def __init__(self, web: WebAddress, loop: asyncio.AbstractEventLoop | None) -> None:
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.loop = loop
        """Where the pages are made; None: in the thread that serves them."""
        super().__init__((web.host, web.port), _Pages)

    def make(self, page: Callable[[], bytes]) -> bytes:
        """A page; raises TimeoutError when the event loop stands still."""
        if self.loop is None:
            return page()
        made = Future[bytes]()

        def make() -> None:
            if made.set_running_or_notify_cancel():
                made.set_result(page())

        self.loop.call_soon_threadsafe(make)
        try:
            return made.result(LOOP_SECONDS)
        finally:
            made.cancel()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take one connection, if there is a place."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, and give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, *_: Any) -> None:
        """Keep quiet: who hangs up in the middle is no fault of this process."""


class _Pages(BaseHTTPRequestHandler):
    """`/` says that the process is there, `/metrics` has the figures; nothing else is served. One request a
    connection, which must come within `patience` seconds in all, however slowly it drips."""

    server: WebServer
    timeout = 10
    patience = 30

    def setup(self) -> None:
        """Begin, and see to it that it ends."""
        super().setup()
        self._end = threading.Timer(self.patience, self._hang_up)
        self._end.daemon = True
        self._end.start()

    def finish(self) -> None:
        """End in time."""
        self._end.cancel()
        super().finish()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        """Answer."""
        match self.path.partition("?")[0]:
            case "/":
                self._tell_health()
            case "/metrics":
                self._make(CONTENT_TYPE_LATEST, lambda: generate_latest(REGISTRY))
            case _:
                self._answer(404, "text/plain", b"Not found")

    def _tell_health(self) -> None:
        if HEALTH.trouble is None:
            self._make("application/json", lambda: b'{"status": "OK"}')
        else:  # the reason is in the log, which keeps secrets out
            self._answer(503, "application/json", b'{"status": "unhealthy"}')

    def _make(self, content_type: str, page: Callable[[], bytes]) -> None:
        try:
            body = self.server.make(page)
        except TimeoutError:
            self._answer(503, "text/plain", b"The event loop stands still")
        else:
            self._answer(200, content_type, body)

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet: a line for each scrape would hide what matters."""


def serve_web(web: WebAddress | None, loop: asyncio.AbstractEventLoop | None = None) -> WebServer | None:
    """Serve both pages from threads of their own; no address, no server.

    With a loop the pages are made in it, so that one that stands still is seen, and that what they look at rests.
    """
    if web is None:
        return None
    try:
        server = WebServer(web, loop)
    except OSError as error:
        what = f"port {web.port} of {web.host} cannot be served ({error.strerror})."
        raise ConfigError(what, "Choose a free one.", "ESCALON_WEB_PORT") from error
    threading.Thread(target=server.serve_forever, name="figures", daemon=True).start()
    return server
