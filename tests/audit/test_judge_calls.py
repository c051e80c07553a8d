"""Calls by which a model rated a panel's cases leave every figure about the stream as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.named_queries import library
from streams.audit.query import Audit
from streams.audit.trace import Trace, read_trace
from streams.core.messages import Call
from streams.evaluation.compare.audit_reader import Runs, read_calls, read_pairs
from tests.builders import START, call
from tests.harness.audit import write
from tests.harness.dashboards import CLICKHOUSE, expanded, panels
from tests.harness.known_audit import AGAIN, RUN, everything, of

BY_TIER = {"tiers": (), "costs": ("day",), "latency": (), "handler_latency": (), "spending": ("day",)}
"""Queries with a row for each tier, and the columns by which their rows are divided before that."""
ITS_OWN = {*BY_TIER, "money", "errors", "trace"}
"""Queries that say something of judges. The others answer as if there were none."""
OWN_PANELS = {
    "explorer: One event: what happened, in order",
    "explorer: One event: what was asked and said",
    "overview: US dollars an hour, by tier",
    "overview: By day, tier and model",
    "overview: Waiting: p50 and p95, by tier",
    "overview: Model time: p50 and p95, by tier",
    "overview: Calls that broke, by type of error",
}
Rows = list[dict[str, Any]]


def judged(number: int, run: str = RUN, **more: Any) -> Call:
    """A dear and slow call of a judge about an event, two days after it."""
    one = of(number, run)
    usual: dict[str, Any] = {
        "decision": "found", "cost_usd": Decimal(5), "queue_seconds": 50.0, "duration_seconds": 500.0,
        "input_tokens": 9000, "output_tokens": 900, "request_model": "judge-model",
        "started_at": one.origin.event_time + timedelta(days=2),
    }  # fmt: skip
    return call(one, "judge-model", "judge", **usual | more)


def judge_calls() -> Iterator[Call]:
    yield from (judged(number) for number in range(1, 6))
    yield judged(1, attempt=2, status="refused", refusal_class="policy")
    yield judged(2, attempt=2, status="failed", decision="failed", error_type="overloaded", cost_usd=None)
    yield judged(1, AGAIN)


@dataclass(frozen=True)
class Answers:
    """The answers of the audit: named queries, panels of dashboards, a trace, and two runs compared."""

    named: dict[str, Rows]
    shown: dict[str, Any]
    trace: Trace
    pairs: list[Any]
    calls: list[Any]


def ask(audit: Audit) -> Answers:
    given = {"trace": {"event_id": "e2"}}
    runs = Runs(a=RUN, b=AGAIN, since=START, until=START + timedelta(days=9))
    return Answers(
        named={name: audit.named(name, RUN, **given.get(name, {})).records() for name in library()},
        shown={name: audit.query(expanded(one["targets"][0]["rawSql"])).rows for name, one in panels(CLICKHOUSE)},
        trace=read_trace(audit, "e2", RUN),
        pairs=list(read_pairs(audit, runs, 2)),
        calls=read_calls(audit, runs),
    )


@pytest.fixture(scope="module")
def both(config: ClickHouseConfig) -> tuple[Answers, Answers]:
    """The answers before and after a model has judged."""
    write(config, *everything())
    return _both(config)


def _both(config: ClickHouseConfig) -> tuple[Answers, Answers]:
    audit = Audit(config)
    try:
        before = ask(audit)
        write(config, *judge_calls())
        return before, ask(audit)
    finally:
        audit.close()


@pytest.mark.parametrize("name", sorted(set(library()) - ITS_OWN))
def test_a_query_about_the_stream_leaves_judges_out(both: tuple[Answers, Answers], name: str) -> None:
    before, after = both
    assert after.named[name] == before.named[name]


@pytest.mark.parametrize("name", BY_TIER)
def test_a_query_by_tier_has_the_judges_on_lines_of_their_own_after_the_others(
    both: tuple[Answers, Answers], name: str
) -> None:
    before, after = both
    assert [row for row in after.named[name] if row["tier"] != "judge"] == before.named[name]
    parts: dict[tuple[Any, ...], list[str]] = {}
    for row in after.named[name]:
        parts.setdefault(tuple(row[column] for column in BY_TIER[name]), []).append(row["tier"])
    assert any("judge" in tiers for tiers in parts.values())
    assert all(set(tiers[tiers.index("judge") :]) == {"judge"} for tiers in parts.values() if "judge" in tiers)


def test_the_money_of_judges_is_in_no_sum_but_its_own(both: tuple[Answers, Answers]) -> None:
    (before,), (after,) = (one.named["money"] for one in both)
    assert (before["judge_calls"], before["judge_usd"]) == (0, None)
    assert (after["judge_calls"], after["judge_usd"]) == (7, Decimal(30))
    assert after | {"judge_calls": 0, "judge_usd": None} == before


def test_the_errors_of_a_judges_model_do_not_change_those_of_others(both: tuple[Answers, Answers]) -> None:
    before, after = (one.named["errors"] for one in both)
    assert [row for row in after if row["model"] != "judge-model"] == before
    assert [row["error"] for row in after if row["model"] == "judge-model"] == ["overloaded"]


def test_the_trace_query_lists_the_calls_of_judges(both: tuple[Answers, Answers]) -> None:
    before, after = (one.named["trace"] for one in both)
    assert [row for row in after if row["tier"] != "judge"] == before
    assert len(after) == len(before) + 2


@pytest.mark.parametrize("name", sorted({name for name, _ in panels(CLICKHOUSE)} - OWN_PANELS))
def test_a_dashboard_leaves_judges_out(both: tuple[Answers, Answers], name: str) -> None:
    before, after = both
    assert after.shown[name] == before.shown[name]


def test_a_trace_keeps_the_calls_of_judges_apart_from_the_events_way(both: tuple[Answers, Answers]) -> None:
    before, after = (one.trace for one in both)
    assert before.judge_calls == []
    assert [one["tier"] for one in after.judge_calls] == ["judge", "judge"]
    assert (after.calls, after.steps(), after.open_for()) == (before.calls, before.steps(), before.open_for())


def test_an_event_of_two_runs_costs_and_takes_what_it_did_before_a_model_judged_it(
    both: tuple[Answers, Answers],
) -> None:
    before, after = both
    assert after.pairs == before.pairs
    assert after.calls == before.calls
