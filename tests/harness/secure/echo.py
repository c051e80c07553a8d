"""A service that refuses everything and repeats what it was sent, headers included, as a careless one would."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Echo:
    """Its address, and the headers of every request."""

    address: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def echo() -> Iterator[Echo]:
    """Answer every request with 401 and its own headers, as JSON that most clients read as their own error."""
    got = Echo()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def do_GET(self) -> None:
            got.headers.append(dict(self.headers))
            said = " ".join(f"{name}: {value}" for name, value in self.headers.items()).replace('"', "")
            body = f'{{"error_code": 401, "message": "{said}"}}'.encode()
            self.send_response(401, said[:500])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        got.address = f"127.0.0.1:{server.server_port}"
        yield got
        server.shutdown()
