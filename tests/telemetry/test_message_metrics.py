"""Published messages are counted once and under the right labels."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings

from streams.adapters.kafka_record import KafkaRecord
from streams.core.errors import ServiceError, UnreadableError
from streams.core.messages import Call, DeadLetter, Deferred, Escalation, Outcome
from streams.runtime.bind import StagePublisher
from streams.telemetry.message_metrics import handling, observe
from streams.telemetry.metrics import observe_insert_retry, observe_rows
from tests.builders import CALL, ORIGIN, event, verdict
from tests.harness.arbitrary_messages import any_message
from tests.harness.bound_stage import StageOnFakes, record
from tests.harness.metrics import MetricsChange, samples

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
ASKED = {"tier": "worker", "handler": "answer", "model": "claude-haiku-5-5"}


@pytest.fixture
def change() -> MetricsChange:
    return MetricsChange()


def test_a_call_counts_with_its_tokens_its_cost_and_its_times(change: MetricsChange) -> None:
    observe(dataclasses.replace(CALL, queue_seconds=0.25))
    assert change.of("calls_total", **ASKED, status="answered", decision="accepted") == 1
    assert change.of("tokens_total", **ASKED, direction="input") == 100
    assert change.of("tokens_total", **ASKED, direction="output") == 20
    assert change.of("tokens_total", **ASKED, direction="cache_read") == 40
    assert change.of("cost_usd_total", **ASKED) == pytest.approx(0.0012)
    assert change.of("call_seconds_sum", **ASKED) == 1.5
    assert change.of("queue_seconds_sum", tier="worker", handler="answer") == 0.25


def test_an_answer_from_the_store_counts_as_a_hit_and_a_saving_and_takes_no_time(change: MetricsChange) -> None:
    observe(dataclasses.replace(CALL, cache_hit=True, cost_usd=Decimal(0), saved_usd=Decimal("0.5")))
    assert change.grown() == {"calls_total", "cache_hits_total", "saved_usd_total"}
    assert change.of("saved_usd_total", **ASKED) == 0.5


def test_a_cost_that_is_not_known_is_not_counted_as_none(change: MetricsChange) -> None:
    observe(dataclasses.replace(CALL, cost_usd=None))
    assert (change.of("unpriced_calls_total", **ASKED), change.of("cost_usd_total", **ASKED)) == (1, 0)


def test_a_call_that_went_wrong_is_counted_by_its_error(change: MetricsChange) -> None:
    observe(dataclasses.replace(CALL, status="failed", decision="retried", error_type="overloaded"))
    assert change.of("call_errors_total", **ASKED, error_type="overloaded") == 1
    assert change.of("calls_total", **ASKED, status="failed", decision="retried") == 1


def test_the_way_of_an_event_is_counted(change: MetricsChange) -> None:
    waiting = verdict(event(), "extract")
    outcome = Outcome(
        origin=ORIGIN, state="answered", tier="worker", handler="h", intent="i", pipeline="p",
        settled_at=AT + timedelta(seconds=3),
    )  # fmt: skip
    observe(waiting)
    observe(Deferred(cause="budget", verdict=waiting, not_before=AT, reason="budget"))
    escalation = Escalation(
        event=event(), intents=("i",), handler="resolve", reason="routed", fingerprint="f", pipeline="p", decided_at=AT
    )
    observe(Deferred(cause="provider", escalation=escalation, not_before=AT, reason="overloaded"))
    observe(outcome)
    assert change.of("deferrals_total", cause="provider", tier="reasoner", handler="resolve") == 1
    assert change.of("verdicts_total", action="work") == 1
    assert change.of("deferrals_total", cause="budget", tier="worker", handler="extract") == 1
    assert change.of("outcomes_total", state="answered", tier="worker") == 1
    assert change.of("outcome_seconds_sum", tier="worker") == 3


@settings(max_examples=25, deadline=None)
@given(any_message(Call), any_message(Escalation), any_message(DeadLetter))
def test_no_series_is_named_after_an_event_or_its_words(call: Call, escalation: Escalation, letter: DeadLetter) -> None:
    origin = dataclasses.replace(call.origin, event_id="MARK", trace_id="MARK", data_subject="MARK")
    marked = dataclasses.replace(
        call,
        origin=origin,
        call_id="MARK",
        prompt="MARK",
        response="MARK",
        error="MARK",
        response_id="MARK",
        refusal_reason="MARK",
        fingerprint="MARK",
    )
    observe(marked)
    observe(dataclasses.replace(escalation, detail="MARK", fingerprint="MARK"))
    observe(dataclasses.replace(letter, event_id="MARK", detail="MARK", dead_letter_id="MARK"))
    assert not [labels for _, labels in samples() if any("MARK" in value for _, value in labels)]


async def test_each_message_counts_by_how_its_handling_ended(
    change: MetricsChange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.runtime.bind.RETRY_SECONDS", 0)
    away = [ServiceError("away")]

    async def handle(one: KafkaRecord, _: StagePublisher) -> None:
        if one.offset == 1:
            raise UnreadableError("not_text", "It is none.")
        if away:
            raise away.pop()

    await StageOnFakes(handle).handle(record(0), record(1), record(2))
    assert change.of("messages_total", topic="pre.events", result="ok") == 2
    assert change.of("messages_total", topic="pre.events", result="dead_letter") == 1
    assert change.of("dead_letters_total", topic="pre.events", reason="not_text") == 1
    assert change.of("waits_total", topic="pre.events") == 1
    assert change.of("handling_seconds_count", topic="pre.events") == 3
    assert change.of("in_flight", topic="pre.events") == 0


async def test_a_message_is_in_flight_while_it_is_handled_and_not_counted_when_cut_off(change: MetricsChange) -> None:
    async def handle(_: KafkaRecord, __: StagePublisher) -> None:
        await asyncio.Event().wait()

    task = await StageOnFakes(handle).begin(record())
    assert change.of("in_flight", topic="pre.events") == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert change.grown() == set()


def test_a_handling_that_raises_is_no_longer_in_flight(change: MetricsChange) -> None:
    with pytest.raises(ZeroDivisionError), handling("pre.x"):
        raise ZeroDivisionError
    assert change.grown() == set()


def test_clickhouse_is_unavailable_from_a_failed_insert_to_the_next_that_succeeds(change: MetricsChange) -> None:
    observe_insert_retry("calls_rows")
    assert change.of("clickhouse_unavailable", table="calls_rows") == 1
    observe_rows("calls_rows", 500, 0.25)
    assert change.of("clickhouse_unavailable", table="calls_rows") == 0
    assert change.of("rows_total", table="calls_rows") == 500
    assert change.of("insert_retries_total", table="calls_rows") == 1
