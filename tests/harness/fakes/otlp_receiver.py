"""A small collector: takes OTLP over HTTP, as protobuf, and keeps the spans."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class GotSpan:
    """One span as it came over the wire."""

    trace_id: str
    span_id: str
    parent: str
    name: str
    kind: int
    start: int
    end: int
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Collector:
    """The spans received, and the address to send to."""

    endpoint: str = ""
    spans: list[GotSpan] = field(default_factory=list)
    status: int = 200
    keeps: bool = True
    """True if it decodes what it receives."""

    def take(self, body: bytes) -> None:
        """Decode one request."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        for group in request.resource_spans:
            resource = _attributes(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_span(one, resource) for one in scope.spans]

    def wait(self, enough: Callable[[list[GotSpan]], bool]) -> list[GotSpan]:
        """The spans so far, once there are enough."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not enough(list(self.spans)):
            assert time.monotonic() < deadline, f"only {sorted(one.name for one in self.spans)}"
            time.sleep(0.05)
        return list(self.spans)


@contextmanager
def collector() -> Iterator[Collector]:
    """A running collector on a free port."""
    got = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces" and got.status == 200 and got.keeps:
                got.take(body)
            self.send_response(got.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        got.endpoint = f"http://127.0.0.1:{server.server_port}"
        yield got
        server.shutdown()
        thread.join(10)


def _span(one: Any, resource: dict[str, Any]) -> GotSpan:
    return GotSpan(
        trace_id=one.trace_id.hex(),
        span_id=one.span_id.hex(),
        parent=one.parent_span_id.hex(),
        name=one.name,
        kind=one.kind,
        start=one.start_time_unix_nano,
        end=one.end_time_unix_nano,
        failed=one.status.code == 2,
        attributes=_attributes(one.attributes),
        resource=resource,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind)
