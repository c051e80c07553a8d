"""The handling of a message: the headers of the messages it causes, and its spans."""

from __future__ import annotations

import dataclasses
import socket
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from streams.adapters.kafka_record import KafkaRecord
from streams.core.errors import UnreadableError
from streams.core.messages import Call, Deferred, Label, Origin
from streams.runtime.bind import StagePublisher
from streams.telemetry.otlp import OtlpExporter
from streams.telemetry.span import Span
from streams.telemetry.trace_context import TraceContext, read_traceparent, span_of_handling
from streams.telemetry.tracing import MAX_HEADER_BYTES, Handling, Tracing, forwarded_headers, origin_of, trace_headers
from tests.builders import CALL, event, verdict
from tests.harness import bound_stage
from tests.harness.bound_stage import StageOnFakes

TRACE, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4737"
AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
PRODUCER = TraceContext(TRACE, "00f067aa0ba902b7", True)
OWN = span_of_handling(TRACE, "events", 0, 7)


@dataclass
class FakeSpans:
    """Keeps what it is given."""

    added: list[Span] = field(default_factory=list)

    def add(self, span: Span) -> None:
        """Keep it."""
        self.added.append(span)

    def close(self) -> None:
        """Nothing to do."""


def record(*headers: tuple[str, str]) -> KafkaRecord:
    return KafkaRecord("events", 0, 7, None, b"hello", AT, [(key, value.encode()) for key, value in headers])


def begun(spans: FakeSpans | None, *headers: tuple[str, str], percent: int = 100) -> Handling:
    return Tracing(group="g", spans=spans, percent=percent, now=lambda: AT).begin(record(*headers))


def call(trace: str = TRACE) -> Call:
    return dataclasses.replace(CALL, origin=dataclasses.replace(CALL.origin, trace_id=trace))


def context(headers: list[tuple[str, bytes]]) -> TraceContext | None:
    return read_traceparent(dict(headers)["traceparent"].decode())


def test_what_a_message_causes_names_its_handling_and_keeps_the_producers_flag() -> None:
    for sampled in (True, False):
        parent = dataclasses.replace(PRODUCER, sampled=sampled)
        headers = begun(FakeSpans(), ("traceparent", parent.header())).headers(call())
        assert context(headers) == TraceContext(TRACE, OWN, sampled)


def test_a_worker_that_records_nothing_passes_on_what_it_was_given() -> None:
    headers = begun(None, ("traceparent", PRODUCER.header())).headers(call())
    assert headers == [("traceparent", PRODUCER.header().encode())]


def test_where_the_trace_begins_the_share_decides_and_a_worker_that_records_nothing_says_so() -> None:
    assert context(begun(FakeSpans()).headers(call())) == TraceContext(TRACE, OWN, True)
    assert context(begun(FakeSpans(), percent=0).headers(call())) == TraceContext(TRACE, OWN, False)
    assert context(begun(None).headers(call())) == TraceContext(TRACE, OWN, False)


def test_a_span_of_another_trace_does_not_become_the_parent() -> None:
    spans = FakeSpans()
    way = begun(spans, ("traceparent", PRODUCER.header()), ("tracestate", "shop=7"))
    headers = way.headers(call(OTHER))
    way.end(None)
    assert context(headers) == TraceContext(OTHER, span_of_handling(OTHER, "events", 0, 7), True)
    assert len(headers) == 1
    assert spans.added[0].parent is None


def test_a_header_so_large_that_nothing_could_be_published_with_it_is_not_handed_on() -> None:
    large = "x" * (MAX_HEADER_BYTES + 1)
    parent = ("traceparent", PRODUCER.header())
    assert [name for name, _ in begun(None, parent, ("tracestate", large)).headers(call())] == ["traceparent"]
    assert [name for name, _ in begun(None, parent, ("tracestate", large[1:])).headers(call())] == [
        "traceparent",
        "tracestate",
    ]
    assert trace_headers(record(("traceparent", large), ("tracestate", large))) == []


def test_the_state_of_other_tracers_is_handed_on() -> None:
    headers = begun(FakeSpans(), ("traceparent", PRODUCER.header()), ("tracestate", "shop=7")).headers(call())
    assert headers[1] == ("tracestate", b"shop=7")


def test_calls_and_the_handling_are_spans_of_one_trace() -> None:
    spans = FakeSpans()
    way = begun(spans, ("traceparent", PRODUCER.header()))
    for message in (call(), verdict(event())):
        way.headers(message)
        way.caused(message)
    way.end(None)
    asked, handled = spans.added
    assert (asked.parent, handled.context.span_id, handled.parent) == (OWN, OWN, PRODUCER.span_id)
    assert handled.attributes["escalon.event_id"] == "e1"


def test_a_message_that_causes_nothing_is_a_span_of_the_trace_it_came_with() -> None:
    spans = FakeSpans()
    begun(spans, ("traceparent", PRODUCER.header())).end(None)
    begun(spans).end(None)
    assert [one.context for one in spans.added] == [TraceContext(TRACE, OWN, True)]


def test_nothing_of_a_trace_that_is_not_sampled_is_recorded() -> None:
    spans = FakeSpans()
    way = begun(spans, ("traceparent", dataclasses.replace(PRODUCER, sampled=False).header()))
    way.headers(call())
    way.caused(call())
    way.end(None)
    assert spans.added == []


def test_a_message_about_no_event_has_no_trace() -> None:
    label = Label(event_id="e1", label="x", labelled_at=AT)
    assert begun(FakeSpans()).headers(label) == []


def test_every_message_of_the_tiers_says_which_event_it_is_about() -> None:
    waiting = Deferred(cause="budget", verdict=verdict(event()), not_before=AT, reason="budget")
    origins = [origin_of(message) for message in (event(), verdict(event()), waiting, call())]
    assert [origin.event_id if isinstance(origin, Origin) else None for origin in origins] == ["e1"] * 4


def test_what_is_only_passed_on_keeps_its_trace() -> None:
    source = record(("traceparent", PRODUCER.header()), ("tracestate", "shop=7"))
    task = verdict(event())
    of_the_trace = dataclasses.replace(
        task, event=dataclasses.replace(task.event, origin=dataclasses.replace(task.event.origin, trace_id=TRACE))
    )
    assert forwarded_headers(source, of_the_trace) == list(source.headers)


def test_what_a_record_brought_is_what_it_brought_and_nothing_else() -> None:
    source = record(("other", "x"), ("tracestate", "shop=7"), ("traceparent", PRODUCER.header()))
    assert trace_headers(source) == [("traceparent", PRODUCER.header().encode()), ("tracestate", b"shop=7")]
    assert trace_headers(record()) == []


async def test_an_unavailable_collector_does_not_disturb_a_bound_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{probe.getsockname()[1]}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    fates = Counter[str]()
    spans = OtlpExporter({}, lambda fate, count: fates.update({fate: count}))

    async def handle(_: KafkaRecord, publisher: StagePublisher) -> None:
        publisher.publish([call()])

    stage = StageOnFakes(handle, tracing=Tracing(group="g", spans=spans))
    await stage.handle(*map(bound_stage.record, range(20)))
    spans.close()
    assert (stage.topics(), stage.committable) == (["pre.calls"] * 20, 20)
    assert (fates["exported"], fates.total()) == (0, 40)


async def test_a_bound_stage_traces_a_redelivery_under_the_same_ids_and_a_dead_letter_with_its_reason() -> None:
    async def handle(received: KafkaRecord, publisher: StagePublisher) -> None:
        if received.offset == 18:
            raise UnreadableError("not_text", "It is none.")
        publisher.publish([call()])

    spans = FakeSpans()
    stage = StageOnFakes(handle, tracing=Tracing(group="g", spans=spans))
    await stage.handle(*(bound_stage.record(offset) for offset in (17, 17, 18)))
    first, second, (lost,) = spans.added[:2], spans.added[2:4], spans.added[4:]
    assert [one.context for one in first] == [one.context for one in second]
    assert context(stage.producer.sent[0].headers or []) == first[1].context
    assert (lost.name, lost.error) == ("process pre.events", "not_text")
    assert [letter.event_id for letter in stage.letters()] == ["e18"]
