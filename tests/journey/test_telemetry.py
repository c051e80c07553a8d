"""One pipeline watched from outside: by its spans, its figures, and the headers on its topics."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import Producer

from streams.adapters.codec_factory import codec_for
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.topic_reader import TopicReader
from streams.app.process import TIERS
from streams.core.fingerprint import trace_id
from streams.core.messages import Call
from streams.telemetry.trace_context import read_traceparent, span_of_call, span_of_handling
from tests.harness.fakes.otlp_receiver import Collector, GotSpan, collector
from tests.harness.journey import PIPELINE, Journey, running_journey
from tests.harness.ports import neighbouring_ports

pytest.importorskip("opentelemetry.sdk")
from opentelemetry import trace

pytestmark = pytest.mark.embedded

TRACE, OTHER, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"
EVENTS = {
    "traced": ("Are you not sure?", [("traceparent", f"00-{TRACE}-{SPAN}-01".encode()), ("tracestate", b"shop=7")]),
    "unsampled": ("When are you open?", [("traceparent", f"00-{TRACE[::-1]}-{SPAN}-00".encode())]),
    "plain": ("When do you close?", []),
}
TOPICS = ("verdicts", "escalations", "results", "outcomes", "calls")
SERVER, CLIENT, CONSUMER, INTERNAL = 2, 3, 5, 1


@dataclass(frozen=True)
class Watched:
    """A pipeline through which the events have gone, and what was seen of it."""

    journey: Journey
    collector: Collector
    port: int

    def page(self, tier: str, path: str = "/metrics") -> str:
        """A page of a tier's web server."""
        port = self.port + list(self.journey.running.processes).index(tier)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return str(response.read().decode())

    def records(self) -> list[KafkaRecord]:
        """Everything on the topics that the tiers write to."""
        tail = TopicReader(self.journey.running.kafka, TOPICS)
        try:
            return list(tail.to_end())
        finally:
            tail.close()

    def calls(self) -> dict[str, list[Call]]:
        """The calls by event."""
        coding, found = codec_for(None), dict[str, list[Call]]()
        for record in self.records():
            if record.topic == "calls":
                call = coding.decode(Call, record.value or b"")
                found.setdefault(call.origin.event_id, []).append(call)
        return found

    def spans(self, trace: str, count: int) -> list[GotSpan]:
        """The spans of a trace, once there are so many."""

        def of(spans: list[GotSpan]) -> list[GotSpan]:
            return [one for one in spans if one.trace_id == trace]

        return of(self.collector.wait(lambda spans: len({one.span_id for one in of(spans)}) >= count))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    data, port = tmp_path_factory.mktemp("watched"), neighbouring_ports(len(TIERS))
    more = {
        "ESCALON_WEB_PORT": str(port),
        "ESCALON_TRACES": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with collector() as got:
        more["OTEL_EXPORTER_OTLP_ENDPOINT"] = got.endpoint
        with running_journey(PIPELINE / "pipeline.toml", data, environment=more) as journey:
            producer = Producer(journey.running.kafka.confluent())
            for name, (text, headers) in EVENTS.items():
                sent = [("escalon-event-id", name.encode()), *headers]
                producer.produce("events", text.encode(), key=name, headers=sent)
            producer.produce("events", b"\xff\xfe", headers=[("escalon-event-id", b"unreadable")])
            assert producer.flush(20) == 0
            journey.outcomes(set(EVENTS))
            journey.dead_letters({"unreadable"})
            yield Watched(journey, got, port)


def test_every_message_carries_the_trace_of_its_event_and_the_span_of_what_made_it(watched: Watched) -> None:
    by_trace: dict[str, Counter[str]] = {}
    for record in watched.records():
        context = read_traceparent(record.header("traceparent"))
        assert context is not None, record.topic
        by_trace.setdefault(context.trace_id, Counter())[record.topic] += 1
        assert context.sampled == (context.trace_id != TRACE[::-1])
        assert record.header("tracestate") == ("shop=7" if context.trace_id == TRACE else None)
    assert by_trace == {
        TRACE: {"verdicts": 1, "escalations": 1, "results": 1, "outcomes": 1, "calls": 3},
        TRACE[::-1]: {"verdicts": 1, "results": 1, "outcomes": 1, "calls": 2},
        trace_id("live", "plain"): {"verdicts": 1, "results": 1, "outcomes": 1, "calls": 2},
    }


def test_the_handlings_of_an_event_hang_together_from_its_producer_on(watched: Watched) -> None:
    spans = {one.name: one for one in watched.spans(TRACE, 7) if one.kind == CONSUMER}
    chain = ["process events", "process verdicts", "process escalations", "process results"]
    assert set(spans) == set(chain)
    assert [spans[name].parent for name in chain] == [SPAN, *(spans[name].span_id for name in chain[:-1])]
    assert spans["process events"].resource["service.name"] == "escalon-listen"
    events = spans["process events"].attributes
    place = int(events["messaging.destination.partition.id"]), events["messaging.kafka.offset"]
    assert spans["process events"].span_id == span_of_handling(TRACE, "events", *place)
    assert events["messaging.consumer.group.name"] == "escalon-listen"
    assert (events["escalon.event_id"], events["escalon.run"]) == ("traced", "live")


def test_each_model_call_is_a_span_named_after_its_call_beneath_the_call_that_led_to_it(watched: Watched) -> None:
    calls = {call.tier: call for call in watched.calls()["traced"]}
    spans = {one.span_id: one for one in watched.spans(TRACE, 7)}
    listener, worker, reasoner = (spans[span_of_call(calls[t].call_id)] for t in ("listener", "worker", "reasoner"))
    named = f"classify {calls['listener'].request_model}", "chat claude-haiku-5-5", "chat claude-opus-5-5"
    assert (listener.name, worker.name, reasoner.name) == named
    assert spans[listener.parent].name == "process events"
    assert (worker.parent, reasoner.parent) == (listener.span_id, worker.span_id)
    assert (listener.kind, worker.kind, reasoner.kind) == (INTERNAL, CLIENT, CLIENT)
    call = calls["worker"]
    assert worker.attributes["gen_ai.provider.name"] == "anthropic"
    assert worker.attributes["gen_ai.usage.input_tokens"] == call.input_tokens
    assert worker.attributes["gen_ai.response.id"] == call.response_id
    assert worker.attributes["gen_ai.response.finish_reasons"] == [call.finish_reason]
    assert worker.attributes["escalon.decision"] == "escalated"
    assert not [name for name in worker.attributes if "messages" in name or "instructions" in name]
    took = (worker.end - worker.start) / 1e9
    assert took == pytest.approx(call.duration_seconds, abs=1e-5)


def test_what_a_producer_does_not_want_recorded_is_not(watched: Watched) -> None:
    watched.spans(trace_id("live", "plain"), 5)
    assert [one.name for one in watched.collector.spans if one.trace_id == TRACE[::-1]] == []


def test_a_message_that_cannot_be_read_is_a_span_with_its_reason(watched: Watched) -> None:
    (span,) = watched.spans(trace_id("live", "unreadable"), 1)
    assert (span.name, span.failed, span.attributes["error.type"]) == ("process events", True, "invalid_utf8")


def figure(page: str, series: str) -> float:
    """The value of one series; 0 where it is not there."""
    values = [line.rpartition(" ")[2] for line in page.splitlines() if line.startswith(f"{series} ")]
    return float(values[0]) if values else 0.0


def test_every_tier_serves_its_figures(watched: Watched) -> None:
    pages = {tier: watched.page(tier) for tier in TIERS}
    listen, work = pages["listen"], pages["work"]
    assert figure(listen, 'escalon_messages_total{result="ok",topic="events"}') == len(EVENTS)
    assert figure(listen, 'escalon_messages_total{result="dead_letter",topic="events"}') == 1
    assert figure(listen, 'escalon_dead_letters_total{reason="invalid_utf8",topic="events"}') == 1
    assert figure(listen, 'escalon_verdicts_total{action="work"}') == len(EVENTS)
    asked = 'handler="answer",model="claude-haiku-5-5"'
    assert figure(work, f'escalon_calls_total{{decision="accepted",{asked},status="answered",tier="worker"}}') == 2
    assert figure(work, f'escalon_cost_usd_total{{{asked},tier="worker"}}') > 0
    assert figure(work, 'escalon_escalations_total{handler="resolve",reason="unsure"}') == 1
    assert figure(pages["settle"], 'escalon_outcomes_total{state="answered",tier="worker"}') == 2
    assert figure(pages["settle"], 'escalon_in_flight{topic="results"}') == 0


def test_the_lag_is_none_once_all_is_done(watched: Watched) -> None:
    deadline = time.monotonic() + 20
    while True:
        lines = [line for line in watched.page("listen").splitlines() if line.startswith("escalon_consumer_lag{")]
        if (lines and all(line.endswith(" 0.0") for line in lines)) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert sum('topic="events"' in line for line in lines) == 4
    assert [line for line in lines if not line.endswith(" 0.0")] == []


def test_the_sink_counts_the_rows_it_has_stored(watched: Watched) -> None:
    stored = watched.journey.query("SELECT event_id FROM outcomes", lambda rows: len(rows) == len(EVENTS))
    assert len(stored) == len(EVENTS)
    record = watched.page("record")
    assert figure(record, 'escalon_rows_total{table="outcomes_rows"}') == len(EVENTS)
    assert figure(record, 'escalon_insert_seconds_count{table="outcomes_rows"}') >= 1
    assert figure(record, 'escalon_clickhouse_unavailable{table="outcomes_rows"}') == 0


def test_a_plain_consumer_answers_for_its_health(watched: Watched) -> None:
    for tier in ("record", "resume"):
        assert watched.page(tier, "/") == '{"status": "OK"}'
        assert "process_cpu_seconds_total" in watched.page(tier)


def test_an_event_of_a_program_that_traces_goes_on_in_its_trace(watched: Watched) -> None:
    now = trace.SpanContext(int(OTHER, 16), int(SPAN, 16), False, trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(now)), watched.journey.publisher() as publisher:
        publisher.publish("ok", id="client")
    (outcome,) = watched.journey.outcomes({"client"})["client"]
    assert (outcome.state, outcome.origin.trace_id) == ("ignored", OTHER)
    (first,) = [one for one in watched.spans(OTHER, 3) if one.name == "process events"]
    assert first.parent == SPAN
