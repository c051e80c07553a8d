"""Bodies expire before the metadata, rows later, each by the event's own time: on the engine itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.clickhouse import TABLES, ClickHouseConfig, migrate
from streams.adapters.clickhouse_retention import BODIES, Retention
from streams.core.messages import Call, DeadLetter, Event, Header, Judgement, Label, Outcome, Run, Verdict
from streams.core.time_range import EARLIEST, LATEST
from tests.builders import START, call, event, label, outcome, verdict
from tests.harness.audit import unused_database, write

Row = tuple[Any, ...]
# Days ago of the events, with what is left of them when bodies are kept for 30 days and rows for 100.
YOUNG, OLD, ANCIENT = 10, 40, 120
NOW = datetime.now(UTC)
KEPT = Retention(body_days=30, row_days=100)


@pytest.fixture
def audit(config: ClickHouseConfig) -> ClickHouseConfig:
    """An audit of three events of different ages, each call delivered twice."""
    return filled(config)


@pytest.fixture(scope="module")
def emptied(server: str) -> ClickHouseConfig:
    """Such an audit, whose bodies have expired."""
    config = filled(unused_database(server))
    migrate(config, retention=Retention(body_days=30))
    expire(config)
    return config


def filled(config: ClickHouseConfig) -> ClickHouseConfig:
    """The database with its rows."""
    migrate(config)
    rows = [one for days in (YOUNG, OLD, ANCIENT) for one in rows_about(days)]
    write(config, *rows)
    write(config, *(one for one in rows if isinstance(one, Call)))
    return config


def rows_about(days: int, at: datetime | None = None) -> Iterator[Any]:
    """One row for each table, about an event so many days ago; the call itself was made a moment ago."""
    at = at or NOW - timedelta(days=days)
    one: Event = event(f"{days} days", "my name is", hour=(at - START).total_seconds() / 3600, data='{"a": 1}')
    yield call(
        one, started_at=NOW, system_prompt="be", prompt="my", response="it is", status="refused", decision="escalated",
        refusal_class="policy", refusal_reason="my name", decision_reason="refused: policy: my name", error="name?",
    )  # fmt: skip
    yield verdict(one)
    yield replace(outcome(one), answer="it is", reasons=("refused: policy: my name",), settled_at=NOW)
    yield label(one, "it is", hours=0)
    yield replace(label(one, "order", hours=0), aspect="intent", label="order")
    yield Judgement(
        event_id=f"{days} days", call_id="c", judge="j", question="q", verdict="good", comment="my", judged_at=at
    )
    yield DeadLetter(
        dead_letter_id=f"{days:032}", run="live", topic="events", partition=0, offset=days, key=b"my", payload=b"name",
        headers=(Header(key="a", value=b"b"),), payload_size=4, payload_sha256="s", reason="bad", detail="my",
        error_class="E", event_id=f"{days} days", event_time=at,
    )  # fmt: skip
    yield Run(
        run=f"{days} days", base="live", pipeline="p", pipeline_name="p", topic="events", selection="all", state="done",
        events=1, paid_calls=1, reused_calls=0, cost_usd=Decimal(1), started_at=at, updated_at=at,
    )  # fmt: skip


def ask(config: ClickHouseConfig, sql: str) -> list[Row]:
    """The rows of an answer."""
    with closing(config.connect()) as client:
        return list(client.query(sql).result_rows)


def expire(config: ClickHouseConfig) -> None:
    """Do now what ClickHouse does by and by: finish the mutations, then merge."""
    while ask(config, "SELECT 1 FROM system.mutations WHERE database = currentDatabase() AND NOT is_done LIMIT 1"):
        time.sleep(0.05)
    with closing(config.connect()) as client:
        for table in TABLES.values():
            client.command(f"OPTIMIZE TABLE {table} FINAL")


FIGURES = "SELECT event_id, cost_usd, status, refusal_class, event_time, fingerprint FROM calls ORDER BY event_id"


def test_without_a_retention_everything_stays(audit: ClickHouseConfig) -> None:
    assert migrate(audit, retention=Retention()) == []
    expire(audit)
    assert ask(audit, "SELECT count(), countIf(prompt = 'my'), countIf(response = 'it is') FROM calls") == [(3, 3, 3)]


def test_bodies_expire_while_counts_costs_and_ids_stay(audit: ClickHouseConfig, emptied: ClickHouseConfig) -> None:
    assert ask(emptied, FIGURES) == ask(audit, FIGURES)
    assert len(ask(emptied, FIGURES)) == 3
    bodies = "event_id, system_prompt, prompt, response, refusal_reason, error, decision_reason"
    full, empty = (
        ("be", "my", "it is", "my name", "name?", "refused: policy: my name"),
        ("", "", None, None, None, "refused"),
    )
    assert ask(emptied, f"SELECT {bodies} FROM calls ORDER BY event_time") == [
        ("120 days", *empty), ("40 days", *empty), ("10 days", *full),
    ]  # fmt: skip
    assert ask(emptied, "SELECT answer, reasons, state FROM outcomes ORDER BY event_time") == [
        (None, [], "answered"), (None, [], "answered"), ("it is", ["refused: policy: my name"], "answered"),
    ]  # fmt: skip
    assert ask(emptied, "SELECT text, data, intents FROM verdicts ORDER BY event_time") == [
        ("", None, ["order"]), ("", None, ["order"]), ("my name is", '{"a": 1}', ["order"]),
    ]  # fmt: skip
    assert ask(emptied, "SELECT key, headers, payload, detail, reason FROM dead_letters ORDER BY event_time") == [
        (None, [], "", "", "bad"), (None, [], "", "", "bad"), ("my", ["a: b"], "name", "my", "bad"),
    ]  # fmt: skip
    assert ask(emptied, "SELECT comment, verdict FROM judgements ORDER BY judged_at") == [
        ("", "good"), ("", "good"), ("my", "good"),
    ]  # fmt: skip


def test_a_label_goes_with_the_bodies_for_without_its_text_it_would_be_a_wrong_truth(emptied: ClickHouseConfig) -> None:
    labels = ask(emptied, "SELECT event_id, aspect, label FROM labels ORDER BY labelled_at, aspect")
    assert labels == [
        ("120 days", "intent", "order"), ("40 days", "intent", "order"), ("10 days", "answer", '"it is"'),
        ("10 days", "intent", "order"),
    ]  # fmt: skip


def test_rows_expire_by_the_time_of_their_event_and_not_by_that_of_the_call(audit: ClickHouseConfig) -> None:
    migrate(audit, retention=KEPT)
    expire(audit)
    for table in (TABLES[kind] for kind in (Call, Outcome, Verdict, DeadLetter, Judgement, Run)):
        assert ask(audit, f"SELECT count() FROM {table} FINAL") == [(2,)], table
    assert ask(audit, "SELECT event_id FROM calls ORDER BY 1") == [("10 days",), ("40 days",)]
    assert ask(audit, f"SELECT count() FROM {TABLES[Label]} FINAL") == [(3,)]
    assert ask(audit, "SELECT countIf(prompt != '') FROM calls") == [(1,)]


def test_what_is_delivered_again_after_its_body_expired_expires_again(emptied: ClickHouseConfig) -> None:
    write(emptied, *(one for one in rows_about(OLD) if isinstance(one, Call)))
    expire(emptied)
    assert ask(emptied, "SELECT count(), countIf(prompt != '') FROM calls") == [(3, 1)]


def test_a_retention_is_put_in_place_once_changed_and_taken_away_again(config: ClickHouseConfig) -> None:
    migrate(config)
    told = [f"retention of {table.removesuffix('_rows')}" for table in BODIES]
    assert migrate(config, retention=KEPT) == told
    assert migrate(config, retention=KEPT) == []
    assert migrate(config) == []
    assert ask(config, TTL_COUNT) == [(len(BODIES),)]
    assert migrate(config, retention=replace(KEPT, row_days=200)) == told
    assert migrate(config, retention=Retention()) == told
    assert ask(config, TTL_COUNT) == [(0,)]
    assert migrate(config, retention=Retention()) == []


TTL_COUNT = (
    "SELECT countIf(create_table_query LIKE '% TTL %') FROM system.tables"
    " WHERE database = currentDatabase() AND name LIKE '%\\_rows'"
)


def test_every_table_of_a_message_has_its_retention() -> None:
    assert set(BODIES) == set(TABLES.values())


def test_what_expires_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "audit.md").read_text("utf-8")
    for column in (column for _, columns in BODIES.values() for column in columns):
        assert f"`{column}`" in text, column


BORDERS = (
    datetime(1900, 1, 1, tzinfo=UTC),
    datetime(1960, 6, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    EARLIEST,
    NOW - timedelta(days=120),
    NOW - timedelta(days=10),
    datetime(2038, 1, 20, tzinfo=UTC),
    LATEST - timedelta(microseconds=1),
    datetime(2106, 2, 8, tzinfo=UTC),
    datetime(2150, 1, 1, tzinfo=UTC),
    datetime(2298, 12, 31, tzinfo=UTC),
)


@pytest.mark.parametrize("kept", [KEPT, Retention(body_days=36_500, row_days=2**31 - 1)], ids=["days", "for centuries"])
def test_past_rows_expire_and_future_rows_stay_in_any_century(server: str, kept: Retention) -> None:
    config = unused_database(server)
    migrate(config, retention=kept)
    for number, at in enumerate(BORDERS):
        write(config, *rows_about(number, at))
    expire(config)
    rows, bodied = (NOW - timedelta(days=min(days, 50_000)) for days in (kept.row_days, kept.body_days))
    expected = sorted((at, int(at > bodied)) for at in BORDERS if at > rows)
    assert len(expected) == (6 if kept is KEPT else len(BORDERS))
    bodies = {"calls_rows": "prompt = 'my'", "outcomes_rows": "answer IS NOT NULL", "verdicts_rows": "text != ''"}
    bodies |= {"dead_letters_rows": "payload != ''", "judgements_rows": "comment != ''"}
    for table, (time_column, _) in BODIES.items():
        if table in bodies:  # the others' times are not the event's
            found = ask(config, f"SELECT DISTINCT {time_column}, {bodies[table]} FROM {table} ORDER BY ALL")
            assert [(at.replace(tzinfo=UTC), kept) for at, kept in found] == expected, table
    assert migrate(config, retention=kept) == []
