"""Spans on their way to an OpenTelemetry collector: OTLP over HTTP, by OpenTelemetry's own exporter.

Whoever hands over a span never waits. A thread of the SDK sends them in batches; while the collector is away they
queue up to a bound, and what is over it is dropped and counted. Where to send, and how, the SDK takes from the
standard variables (OTEL_EXPORTER_OTLP_ENDPOINT and its kin).
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

from streams.adapters.events import TRACE_HEADER
from streams.core.errors import ConfigError
from streams.telemetry.span import Span
from streams.telemetry.trace_context import SAMPLED, TraceContext

STATE_HEADER: Final = "tracestate"
"""What other tracers keep in a trace; it is handed on as it came."""
MAX_QUEUED: Final = 4096
FLUSH_SECONDS: Final = 5.0
Fate = Literal["exported", "failed", "dropped"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
log = logging.getLogger("escalon.traces")


class OtlpExporter:
    """Sends spans. `told` hears how many were exported, failed or were dropped, from either of two threads."""

    def __init__(self, resource: Mapping[str, str], told: Callable[[Fate, int], None]) -> None:
        self._sdk = _Sdk(resource)
        self._told = told
        self._added = 0
        self._exporter = self._sdk.counting(told)
        self._processor = self._sdk.processor(self._exporter)
        self._open = True

    def add(self, span: Span) -> None:
        """Queue one span, or drop it. Never raises and never waits."""
        if not self._open or self._added - self._exporter.taken >= MAX_QUEUED:
            self._told("dropped", 1)
            return
        try:
            self._processor.on_end(self._sdk.readable(span))
            self._added += 1
        except Exception:  # a span is never worth an event
            log.exception("a span could not be made")
            self._told("dropped", 1)

    def close(self) -> None:
        """Send what is queued, for some seconds at most."""
        if not self._open:
            return
        self._open = False
        # In a thread of its own, since the SDK would wait for a collector that is away longer than a worker may.
        closing = threading.Thread(target=self._processor.shutdown, daemon=True)
        closing.start()
        closing.join(FLUSH_SECONDS)
        if left := self._added - self._exporter.taken:
            self._told("dropped", left)


class _Sdk:
    """The few things of OpenTelemetry's SDK that are used, imported only when there is something to trace."""

    def __init__(self, resource: Mapping[str, str]) -> None:
        try:
            from opentelemetry import trace as api
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk import trace as sdk
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import export
            from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        except ImportError as error:
            what = f"traces need OpenTelemetry ({error})."
            raise ConfigError(what, "Install the extra `otel`, or leave it unset.", "ESCALON_TRACES") from error
        self._api, self._sdk, self._export = api, sdk, export
        self._new_exporter = OTLPSpanExporter
        # What the standard variables say of the service wins.
        self._resource = Resource.create(dict(resource)).merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope("escalon")

    def processor(self, exporter: Any) -> Any:
        """The batch processor; the bound is larger by what the exporter may be counting just now."""
        try:
            return self._export.BatchSpanProcessor(exporter, max_queue_size=2 * MAX_QUEUED)
        except ValueError as error:
            raise ConfigError(f"OpenTelemetry's batches are set wrongly ({error}).", "See OTEL_BSP_*.") from error

    def counting(self, told: Callable[[Fate, int], None]) -> Any:
        """The exporter, counting what it takes and what becomes of it."""
        result, inner = self._export.SpanExportResult, self._new_exporter()

        class Counting(self._export.SpanExporter):  # type: ignore[misc,name-defined]
            taken = 0

            def export(self, spans: Sequence[Any]) -> Any:
                self.taken += len(spans)
                done = inner.export(spans)
                told("exported" if done is result.SUCCESS else "failed", len(spans))
                return done

            def shutdown(self) -> None:
                inner.shutdown()

        return Counting()

    def readable(self, span: Span) -> Any:
        """A span as the SDK holds one that has ended."""
        status = self._api.Status(self._api.StatusCode.ERROR if span.error else self._api.StatusCode.UNSET)
        return self._sdk.ReadableSpan(
            name=span.name,
            context=self._context(span.context.trace_id, span.context.span_id, remote=False),
            parent=self._context(span.context.trace_id, span.parent, remote=True) if span.parent else None,
            resource=self._resource,
            attributes={**span.attributes, **({"error.type": span.error} if span.error else {})},
            kind=self._api.SpanKind[span.kind.upper()],
            status=status,
            start_time=_nanoseconds(span.started_at),
            end_time=_nanoseconds(span.ended_at),
            instrumentation_scope=self._scope,
        )

    def _context(self, trace_id: str, span_id: str, *, remote: bool) -> Any:
        flags = self._api.TraceFlags(SAMPLED)
        return self._api.SpanContext(int(trace_id, 16), int(span_id, 16), remote, flags)


def current_headers() -> list[tuple[str, bytes]]:
    """The trace headers of what a program does now, if it traces with OpenTelemetry; else none.

    A program that traces has imported it already, so nothing is imported for one that does not.
    """
    api = sys.modules.get("opentelemetry.trace")
    now = api.get_current_span().get_span_context() if api is not None else None
    if now is None or not now.is_valid:
        return []
    context = TraceContext(f"{now.trace_id:032x}", f"{now.span_id:016x}", bool(now.trace_flags & SAMPLED))
    headers = [(TRACE_HEADER, context.header().encode())]
    state = now.trace_state.to_header()
    return [*headers, (STATE_HEADER, state.encode())] if state else headers


def _nanoseconds(time: datetime) -> int:
    """Nanoseconds since 1970, exact to the microsecond."""
    elapsed = time - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000_000 + elapsed.microseconds * 1_000
