"""Record the handling of a message as spans, and propagate its trace to the messages it causes.

The context is propagated even if nothing is recorded. A worker that records nothing passes on the span it received,
so a trace through several systems stays connected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from streams.adapters.kafka_record import TRACE_HEADER, KafkaRecord
from streams.core.fingerprint import trace_id
from streams.core.messages import Call, DeadLetter, Deferred, Origin
from streams.telemetry.otlp import STATE_HEADER
from streams.telemetry.span import HandledMessage, Span, call_span, handling_span
from streams.telemetry.trace_context import TraceContext, is_sampled, read_traceparent, span_of_handling

Headers = list[tuple[str, bytes]]
MAX_HEADER_BYTES = 4096


class SpanExporter(Protocol):
    """Takes finished spans."""

    def add(self, span: Span) -> None:
        """Take a span, without blocking and without raising."""
        ...

    def close(self) -> None:
        """Send the spans that wait."""
        ...


def utc_now() -> datetime:
    """Return the time of day, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Tracing:
    """The tracing of a worker; it records nothing if `spans` is None."""

    group: str = ""
    """The consumer group of the worker."""
    spans: SpanExporter | None = None
    percent: int = 100
    """The share of the traces beginning here that are recorded."""
    texts: bool = False
    """True if the spans of model calls hold prompts and answers."""
    now: Callable[[], datetime] = utc_now

    def begin(self, record: KafkaRecord) -> Handling:
        """Begin the handling of a message."""
        incoming = read_traceparent(record.header(TRACE_HEADER))
        return Handling(tracing=self, record=record, incoming=incoming, started_at=self.now())

    def close(self) -> None:
        """Send the spans that wait."""
        if self.spans is not None:
            self.spans.close()


OFF = Tracing()


@dataclass(slots=True, kw_only=True)
class Handling:
    """The handling of one message. Its event is known once it has caused a message."""

    tracing: Tracing
    record: KafkaRecord
    incoming: TraceContext | None
    """The span that produced the message, from its header."""
    started_at: datetime
    origin: Origin | None = None
    own: TraceContext | None = None
    """The span of this handling."""
    _headers: Headers | None = None
    """Those of every message that this one causes."""

    def headers(self, message: Any) -> Headers:
        """Return the trace headers of a message that this one causes; none if it belongs to no event."""
        if self._headers is None and (own := self._learn(message)) is not None:
            parent = self._parent(own.trace_id)
            context = own if parent is None or self.tracing.spans is not None else parent
            self._headers = [(TRACE_HEADER, context.header().encode())]
            if parent is not None:
                self._headers += _brought(self.record, STATE_HEADER)
        return self._headers or []

    def caused(self, message: Any) -> None:
        """Record a published message if it is a call."""
        spans, own = self.tracing.spans, self.own
        if spans is not None and own is not None and own.sampled and isinstance(message, Call):
            spans.add(call_span(message, own, texts=self.tracing.texts))

    def end(self, error: str | None) -> None:
        """Record the handling; `error` is the reason of a dead letter."""
        spans, own, record = self.tracing.spans, self._learn(None), self.record
        if spans is None or own is None or not own.sampled:
            return
        handled = HandledMessage(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            group=self.tracing.group,
            size=len(record.value or b""),
        )
        times = self.started_at, self.tracing.now()
        spans.add(handling_span(own, self._parent(own.trace_id), handled, times, self.origin, error))

    def _learn(self, message: Any) -> TraceContext | None:
        """Return the span of this handling; None until a caused message or the record's header names the trace."""
        if self.own is None:
            self.origin = origin_of(message)
            trace_id = self._trace_id(message)
            self.own = None if trace_id is None else self._context(trace_id)
        return self.own

    def _trace_id(self, message: Any) -> str | None:
        if self.origin is not None:
            return self.origin.trace_id
        if self.incoming is not None:
            return self.incoming.trace_id
        return trace_id(message.run, message.event_id) if isinstance(message, DeadLetter) else None

    def _context(self, trace_id: str) -> TraceContext:
        record, parent = self.record, self._parent(trace_id)
        span = span_of_handling(trace_id, record.topic, record.partition, record.offset)
        begins = self.tracing.spans is not None and is_sampled(trace_id, self.tracing.percent)
        return TraceContext(trace_id, span, parent.sampled if parent else begins)

    def _parent(self, trace_id: str) -> TraceContext | None:
        """Return the span that produced the message if it belongs to the same trace."""
        return self.incoming if self.incoming and self.incoming.trace_id == trace_id else None


def origin_of(message: Any) -> Origin | None:
    """Return the origin of the event that a message is about; None if it names none."""
    of = message.task if isinstance(message, Deferred) else message
    of = getattr(of, "event", of)
    origin = getattr(of, "origin", None)
    return origin if isinstance(origin, Origin) else None


def trace_headers(record: KafkaRecord) -> Headers:
    """Return the trace headers of a record."""
    return _brought(record, TRACE_HEADER) + _brought(record, STATE_HEADER)


def _brought(record: KafkaRecord, name: str) -> Headers:
    """Return a header to propagate, unless it is too large to publish."""
    value = (record.header(name) or "").encode()
    return [(name, value)] if 0 < len(value) <= MAX_HEADER_BYTES else []


def forwarded_headers(record: KafkaRecord, message: Any) -> Headers:
    """Return the trace headers of a message that a record only forwards: its own ones."""
    return OFF.begin(record).headers(message)
