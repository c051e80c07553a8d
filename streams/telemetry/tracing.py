"""The way of one message through a tier, as spans and as the `traceparent` of all it causes.

The context travels whether or not anything is recorded. A worker that records nothing passes on the span it was
given, so that a trace through several systems stays whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from streams.adapters.events import TRACE_HEADER, KafkaRecord
from streams.core.fingerprint import trace_id
from streams.core.messages import Call, DeadLetter, Deferred, Origin
from streams.telemetry.otlp import STATE_HEADER
from streams.telemetry.span import HandledMessage, Span, call_span, handling_span
from streams.telemetry.trace_context import TraceContext, is_sampled, read_traceparent, span_of_handling

Headers = list[tuple[str, bytes]]
MAX_HEADER_BYTES = 4096


class SpanExporter(Protocol):
    """Where spans go."""

    def add(self, span: Span) -> None:
        """Take one span, without waiting and without raising."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


def utc_now() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Tracing:
    """How a worker traces. `spans` None records nothing."""

    group: str = ""
    """The worker's consumer group."""
    spans: SpanExporter | None = None
    percent: int = 100
    """Of the traces that begin here, how many are recorded."""
    texts: bool = False
    """Whether spans of model calls hold prompts and answers."""
    now: Callable[[], datetime] = utc_now

    def begin(self, record: KafkaRecord) -> Handling:
        """One message's way through this worker."""
        incoming = read_traceparent(record.header(TRACE_HEADER))
        return Handling(tracing=self, record=record, incoming=incoming, started_at=self.now())

    def close(self) -> None:
        """Send what is left."""
        if self.spans is not None:
            self.spans.close()


OFF = Tracing()


@dataclass(slots=True, kw_only=True)
class Handling:
    """One message on its way through a worker. Which event it is about shows once it has caused something."""

    tracing: Tracing
    record: KafkaRecord
    incoming: TraceContext | None
    """The span that made the message, as its header says."""
    started_at: datetime
    origin: Origin | None = None
    own: TraceContext | None = None
    """The span of this handling."""

    def headers(self, message: Any) -> Headers:
        """The trace headers of a message that this one causes; none for one that belongs to no event."""
        own = self._learn(message)
        if own is None:
            return []
        parent = self._parent(own.trace_id)
        context = own if parent is None or self.tracing.spans is not None else parent
        headers = [(TRACE_HEADER, context.header().encode())]
        return headers + _brought(self.record, STATE_HEADER) if parent is not None else headers

    def caused(self, message: Any) -> None:
        """Record what has been published, if it is a call."""
        spans, own = self.tracing.spans, self.own
        if spans is not None and own is not None and own.sampled and isinstance(message, Call):
            spans.add(call_span(message, own, texts=self.tracing.texts))

    def end(self, error: str | None) -> None:
        """Record the handling itself; `error` is the reason of a dead letter."""
        spans, own, record = self.tracing.spans, self._learn(None), self.record
        if spans is None or own is None or not own.sampled:
            return
        place = HandledMessage(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            group=self.tracing.group,
            size=len(record.value or b""),
        )
        times = self.started_at, self.tracing.now()
        spans.add(handling_span(own, self._parent(own.trace_id), place, times, self.origin, error))

    def _learn(self, message: Any) -> TraceContext | None:
        """This handling's span, once a message or its own header says whose trace it is in."""
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
        """What made the message, as far as it is of the same trace."""
        return self.incoming if self.incoming and self.incoming.trace_id == trace_id else None


def origin_of(message: Any) -> Origin | None:
    """Which event a message is about, as far as it says."""
    of = message.task if isinstance(message, Deferred) else message
    of = getattr(of, "event", of)
    origin = getattr(of, "origin", None)
    return origin if isinstance(origin, Origin) else None


def trace_headers(record: KafkaRecord) -> Headers:
    """The trace headers that a record came with."""
    return _brought(record, TRACE_HEADER) + _brought(record, STATE_HEADER)


def _brought(record: KafkaRecord, name: str) -> Headers:
    """A header to pass on; not one so large that nothing could be published with it."""
    value = (record.header(name) or "").encode()
    return [(name, value)] if 0 < len(value) <= MAX_HEADER_BYTES else []


def forwarded_headers(record: KafkaRecord, message: Any) -> Headers:
    """The trace headers of a message that a record only passes on: those it came with."""
    return OFF.begin(record).headers(message)
