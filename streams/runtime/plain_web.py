"""Health and figures of a process that has no Faust and so no web server of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.core.errors import ConfigError
from streams.runtime.metrics import REGISTRY

MAX_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class WebAddress:
    """Where a process serves health and figures: an address of this machine, and a port."""

    host: str
    port: int


class _Server(ThreadingHTTPServer):
    """At most MAX_CONNECTIONS at once, each a thread; further ones are hung up on."""

    daemon_threads = True

    def __init__(self, web: WebAddress) -> None:
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((web.host, web.port), _Pages)

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
                self._answer(200, "application/json", b'{"status": "OK"}')
            case "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
            case _:
                self._answer(404, "text/plain", b"Not found")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet: a line for each scrape would hide what matters."""


def serve_plain(web: WebAddress | None) -> ThreadingHTTPServer | None:
    """Serve both pages from threads of their own; no address, no server."""
    if web is None:
        return None
    try:
        server = _Server(web)
    except OSError as error:
        what = f"port {web.port} of {web.host} cannot be served ({error.strerror})."
        raise ConfigError(what, "Choose a free one.", "ESCALON_WEB_PORT") from error
    threading.Thread(target=server.serve_forever, name="figures", daemon=True).start()
    return server
