"""Spans reach a collector unchanged, and an unavailable collector costs spans alone."""

from __future__ import annotations

import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.core.errors import ConfigError
from streams.telemetry.otlp import OtlpExporter, current_headers
from streams.telemetry.span import Span
from streams.telemetry.trace_context import TraceContext
from tests.harness.fakes.otlp_receiver import Collector, collector

pytest.importorskip("opentelemetry.sdk")

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
AT = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)


def span(number: int = 1, **changes: Any) -> Span:
    usual: dict[str, Any] = {
        "context": TraceContext(TRACE, f"{number:016x}", True),
        "parent": PARENT,
        "name": "chat m",
        "kind": "client",
        "started_at": AT,
        "ended_at": AT + timedelta(seconds=2),
        "attributes": {"text": "x", "count": 3, "share": 0.5, "yes": True, "many": ("a", "b")},
    }
    return Span(**usual | changes)


class Fates(Counter[str]):
    """The number of spans by fate."""

    def __call__(self, fate: str, count: int) -> None:
        self[fate] += count


@pytest.fixture
def got(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address without a listener, and short time limits."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{probe.getsockname()[1]}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")


def sent(*spans: Span) -> Fates:
    fates = Fates()
    target = OtlpExporter({"service.name": "escalon-work"}, fates)
    for one in spans:
        target.add(one)
    target.close()
    return fates


def test_a_span_arrives_as_it_was_made(got: Collector) -> None:
    assert sent(span()) == {"exported": 1}
    (one,) = got.spans
    assert (one.trace_id, one.span_id, one.parent, one.name, one.kind) == (TRACE, f"{1:016x}", PARENT, "chat m", 3)
    assert one.attributes == {"text": "x", "count": 3, "share": 0.5, "yes": True, "many": ["a", "b"]}
    assert (one.start, one.end - one.start) == (1793534400_123456000, 2_000_000_000)
    assert (one.failed, one.resource["service.name"]) == (False, "escalon-work")


def test_a_span_without_a_parent_begins_its_trace(got: Collector) -> None:
    sent(span(parent=None))
    assert got.spans[0].parent == ""


def test_what_went_wrong_is_its_error_type_and_its_status(got: Collector) -> None:
    sent(span(error="overloaded"))
    assert (got.spans[0].failed, got.spans[0].attributes["error.type"]) == (True, "overloaded")


def test_the_standard_variables_name_the_service(got: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "desk")
    sent(span())
    assert got.spans[0].resource["service.name"] == "desk"


def test_closing_sends_all_that_waits(got: Collector) -> None:
    assert sent(*map(span, range(1, 1001))) == {"exported": 1000}
    assert len({one.span_id for one in got.spans}) == 1000


@pytest.mark.usefixtures("got")
def test_a_span_after_closing_is_counted_as_dropped() -> None:
    fates = Fates()
    target = OtlpExporter({}, fates)
    target.close()
    target.add(span())
    target.close()
    assert fates == {"dropped": 1}


@pytest.mark.usefixtures("unavailable")
def test_an_unavailable_collector_costs_the_spans_and_nothing_else() -> None:
    fates = sent(span(1), span(2))
    assert sum(fates.values()) == 2
    assert "exported" not in fates


def test_spans_that_a_collector_refuses_count_as_failed(got: Collector) -> None:
    got.status = 400
    assert sent(span()) == {"failed": 1}


def test_what_is_over_the_bound_is_dropped_while_the_collector_hangs(
    got: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    hold, taking = threading.Event(), threading.Event()
    take = got.take

    def slow(body: bytes) -> None:
        taking.set()
        hold.wait(20)
        take(body)

    monkeypatch.setattr(got, "take", slow)
    fates = Fates()
    target = OtlpExporter({}, fates, max_queued=8)
    for number in range(1, 5):
        target.add(span(number))
    assert taking.wait(20)  # the first batch of four is being sent, and does not end
    for number in range(5, 21):
        target.add(span(number))
    assert fates == {"dropped": 8}
    hold.set()
    target.close()
    assert fates == {"dropped": 8, "exported": 12}


@pytest.mark.usefixtures("got")
def test_a_span_that_cannot_be_made_is_dropped_and_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert sent(span(context=TraceContext("no trace", "1", True))) == {"dropped": 1}
    assert "could not be exported" in caplog.text


def test_without_opentelemetry_a_setting_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"ESCALON_TRACES.*extra `otel`"):
        OtlpExporter({}, Fates())


def test_a_batch_larger_than_the_queue_is_an_error_of_the_operator(
    got: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100000")
    with pytest.raises(ConfigError, match="OTEL_BSP"):
        sent(span())
    assert got.spans == []


def test_a_program_that_traces_passes_its_trace_on() -> None:
    from opentelemetry import trace
    from opentelemetry.trace.span import TraceState

    state = TraceState([("shop", "7")])
    now = trace.SpanContext(int(TRACE, 16), int(PARENT, 16), False, trace.TraceFlags(1), state)
    with trace.use_span(trace.NonRecordingSpan(now)):
        assert current_headers() == [("traceparent", f"00-{TRACE}-{PARENT}-01".encode()), ("tracestate", b"shop=7")]


def test_a_program_that_does_not_trace_sends_no_header(monkeypatch: pytest.MonkeyPatch) -> None:
    assert current_headers() == []
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert current_headers() == []
