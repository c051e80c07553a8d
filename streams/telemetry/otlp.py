"""Export spans to an OpenTelemetry collector over OTLP and HTTP, with OpenTelemetry's SDK.

Adding a span never blocks. A thread of the SDK sends spans in batches; while the collector is unavailable they queue
up to a limit, and those over it are dropped and counted. The SDK reads its own environment variables, such as
OTEL_EXPORTER_OTLP_ENDPOINT.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

from streams.adapters.kafka_record import TRACE_HEADER
from streams.core.errors import ConfigError
from streams.telemetry.span import Span
from streams.telemetry.trace_context import SAMPLED, TraceContext

STATE_HEADER: Final = "tracestate"
"""Data of other tracers, passed on unchanged."""
MAX_QUEUED: Final = 4096
FLUSH_SECONDS: Final = 5.0
Fate = Literal["exported", "failed", "dropped"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
log = logging.getLogger("escalon.traces")


class OtlpExporter:
    """Exports spans. `report` is given the number of spans exported, failed or dropped, from either of two threads."""

    def __init__(
        self, resource: Mapping[str, str], report: Callable[[Fate, int], None], *, max_queued: int = MAX_QUEUED
    ) -> None:
        self._sdk = _Sdk(resource)
        self._max_queued = max_queued
        self._report = report
        self._added = 0
        self._exporter = self._sdk.counting(report)
        self._processor = self._sdk.processor(self._exporter, 2 * max_queued)
        self._open = True

    def add(self, span: Span) -> None:
        """Queue a span, or drop it if the queue is full. It never raises and never blocks."""
        if not self._open or self._added - self._exporter.taken >= self._max_queued:
            self._report("dropped", 1)
            return
        try:
            self._processor.on_end(self._sdk.readable(span))
            self._added += 1
        except Exception:  # an event must not fail because of a span
            log.exception("a span could not be exported")
            self._report("dropped", 1)

    def close(self) -> None:
        """Send the queued spans, for at most FLUSH_SECONDS."""
        if not self._open:
            return
        self._open = False
        # In a thread of its own: the SDK would wait longer for an unavailable collector than a worker may.
        closing = threading.Thread(target=self._processor.shutdown, daemon=True)
        closing.start()
        closing.join(FLUSH_SECONDS)
        if left := self._added - self._exporter.taken:
            self._report("dropped", left)


class _Sdk:
    """The parts of OpenTelemetry's SDK that are used, imported only when tracing is on."""

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
        # The standard variables take precedence.
        self._resource = Resource.create(dict(resource)).merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope("escalon")

    def processor(self, exporter: Any, queued: int) -> Any:
        """Return the batch processor. Its queue is larger than ours, because the exporter counts a batch only later."""
        try:
            return self._export.BatchSpanProcessor(exporter, max_queue_size=queued)
        except ValueError as error:
            raise ConfigError(f"OpenTelemetry's batch settings are wrong ({error}).", "See OTEL_BSP_*.") from error

    def counting(self, report: Callable[[Fate, int], None]) -> Any:
        """Return the exporter, counting the spans it takes and their fate."""
        result, inner = self._export.SpanExportResult, self._new_exporter()

        class Counting(self._export.SpanExporter):  # type: ignore[misc,name-defined]
            taken = 0

            def export(self, spans: Sequence[Any]) -> Any:
                self.taken += len(spans)
                done = inner.export(spans)
                report("exported" if done is result.SUCCESS else "failed", len(spans))
                return done

            def shutdown(self) -> None:
                inner.shutdown()

        return Counting()

    def readable(self, span: Span) -> Any:
        """Return a span as a finished one of the SDK."""
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
    """Return the trace headers of the program's current span; none if it does not trace with OpenTelemetry.

    A program that traces has imported OpenTelemetry already, so nothing is imported here.
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
    """Return the nanoseconds since 1970, exact to the microsecond."""
    elapsed = time - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000_000 + elapsed.microseconds * 1_000
