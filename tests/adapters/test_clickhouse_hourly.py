"""The sums by the hour are right although deliveries repeat."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig, migrate
from tests.builders import call, event
from tests.harness.audit import unused_database, write


def summed(config: ClickHouseConfig, sql: str) -> list[dict[str, Any]]:
    """Refresh the sums, then run a query."""
    with closing(config.connect()) as client:
        client.command("SYSTEM REFRESH VIEW calls_hourly_rows")
        client.command("SYSTEM WAIT VIEW calls_hourly_rows")
        return list(client.query(sql).named_results())


@pytest.fixture(scope="module")
def audit(server: str) -> ClickHouseConfig:
    """Two hours of calls of one handler, delivered twice, and one of a replay. Tests add to runs of their own."""
    config = unused_database(server)
    migrate(config)
    calls = [
        call(event("e1", hour=0.1), cost_usd=Decimal("0.5"), duration_seconds=2.0, queue_seconds=0.5, input_tokens=10),
        call(event("e2", hour=0.9), cost_usd=None, duration_seconds=2.0, status="refused", decision="escalated"),
        call(
            event("e3", hour=0.9), cost_usd=Decimal(0), saved_usd=Decimal("0.25"), cache_hit=True, duration_seconds=0.0
        ),
        call(event("e4", hour=1.0), cost_usd=None, status="failed", decision="failed", response_model="m2"),
        call(
            event("e1", hour=0.1, run="try"), cost_usd=Decimal(0), saved_usd=Decimal("0.5"), cache_hit=True,
            reused_from="live", duration_seconds=1.0,
        ),
    ]  # fmt: skip
    write(config, *calls)
    write(config, *calls)
    return config


def test_a_call_that_was_delivered_twice_counts_once(audit: ClickHouseConfig) -> None:
    counts = (
        "SELECT run, toHour(hour) AS h, sum(calls) AS n FROM calls_hourly WHERE run IN ('live', 'try')"
        " GROUP BY run, h ORDER BY run, h"
    )
    expected = [{"run": "live", "h": 12, "n": 3}, {"run": "live", "h": 13, "n": 1}, {"run": "try", "h": 12, "n": 1}]
    assert summed(audit, counts) == expected
    assert summed(audit, counts) == expected


def test_an_hour_holds_what_its_calls_did_and_cost(audit: ClickHouseConfig) -> None:
    first, second, replayed = summed(
        audit, "SELECT * FROM calls_hourly WHERE run IN ('live', 'try') ORDER BY run, hour"
    )
    keys = ("tier", "handler", "model", "calls", "cache_hits", "reused", "refused", "invalid", "failed", "escalated")
    assert [first[key] for key in keys] == ["worker", "answer", "m", 3, 1, 0, 1, 0, 0, 1]
    assert [first[key] for key in ("cost_usd", "unpriced", "saved_usd", "reused_usd")] == [
        Decimal("0.5"), 1, Decimal("0.25"), None,
    ]  # fmt: skip
    assert [first[key] for key in ("input_tokens", "output_tokens")] == [10, None]
    assert [second[key] for key in ("model", "failed", "cost_usd", "unpriced")] == ["m2", 1, None, 1]
    assert [replayed[key] for key in ("reused", "cost_usd", "reused_usd")] == [1, Decimal(0), Decimal("0.5")]


def test_seconds_leave_out_what_was_answered_from_a_store_and_are_null_where_unknown(audit: ClickHouseConfig) -> None:
    first, second, replayed = summed(
        audit, "SELECT * FROM calls_hourly WHERE run IN ('live', 'try') ORDER BY run, hour"
    )
    assert [first[key] for key in ("queue_p50", "call_p50", "call_p99")] == [0.5, 2.0, 2.0]
    assert [second["call_p50"], replayed["call_p50"], second["queue_p95"]] == [None, None, None]


def test_what_is_added_later_is_in_the_next_sums(audit: ClickHouseConfig) -> None:
    of_this = "SELECT sum(calls) AS n FROM calls_hourly WHERE run = 'later'"
    for number in (1, 2):
        write(audit, call(event(f"e{number}", run="later")))
        assert summed(audit, of_this) == [{"n": number}]
