"""Each named query on a small audit, for its exact answer; the data set's docstring says what happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.named_queries import DEFAULTS, library, named_query
from streams.audit.query import Audit
from tests.harness.audit import write
from tests.harness.known_audit import AGAIN, RUN, everything, live, replayed

ONE, TWO = date(2026, 11, 1), date(2026, 11, 2)
D = Decimal
Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig) -> ClickHouseConfig:
    write(config, *everything())
    write(config, *live(), *replayed())  # delivered once more, in parts of their own
    return config


@pytest.fixture(scope="module")
def audit(config: ClickHouseConfig) -> Iterator[Audit]:
    opened = Audit(config)
    yield opened
    opened.close()


# What each query answers about the run `known`; columns that are left out are checked elsewhere.
KNOWN: dict[str, tuple[str, Rows]] = {
    "outcomes": (
        "state tier events",
        [("answered", "worker", 3), ("answered", "reasoner", 1), ("ignored", "listener", 1)],
    ),
    "dead_letters": ("topic reason messages", [("events", "invalid_utf8", 1)]),
    "tiers": (
        "tier handler model calls cached refused escalated broken off_schema tokens_in tokens_out usd saved_usd"
        " would_be_usd",
        [
            ("listener", "rules", "rules", 5, 0, 0, 0, 0, 0, None, None, D("0.0005"), None, D("0.0005")),
            ("worker", "answer", "small", 5, 1, 1, 1, 1, 0, 400, 40, D("0.002"), D("0.001"), D("0.002")),
            ("reasoner", "think", "large", 2, 0, 0, 0, 0, 0, 1000, 100, D("0.04"), None, D("0.04")),
        ],
    ),
    "money": (
        "events spent_usd would_be_usd saved_by_cache_usd calls_made calls_without_price reasoner_call_usd"
        " asking_events left_out all_reasoner_usd tiered_usd net_saved_usd net_saved_low",
        # e2 alone asked a model at a known cost: e1 and e5 are left out, e3 was ignored, and e4 came from the store.
        [(5, D("0.0425"), D("0.0425"), D("0.001"), 11, 2, D("0.02"), 1, 2, D("0.02"), D("0.0213"), D("-0.0013"), None)],
    ),
    "spending": (
        "day tier usd",
        [
            (ONE, "listener", D("0.0003")), (ONE, "worker", D("0.002")), (ONE, "reasoner", D("0.02")),
            (TWO, "listener", D("0.0002")), (TWO, "worker", D(0)), (TWO, "reasoner", D("0.02")),
        ],
    ),
    "handler_spending": (
        "day tier handler model calls tokens_in tokens_out usd unpriced",
        [
            (ONE, "listener", "rules", "rules", 3, None, None, D("0.0003"), 0),
            (ONE, "worker", "answer", "small", 3, 300, 30, D("0.002"), 1),
            (ONE, "reasoner", "think", "large", 1, 500, 50, D("0.02"), 0),
            (TWO, "listener", "rules", "rules", 2, None, None, D("0.0002"), 0),
            (TWO, "worker", "answer", "small", 2, 100, 10, D(0), 1),
            (TWO, "reasoner", "think", "large", 1, 500, 50, D("0.02"), 0),
        ],
    ),
    "places": (
        "place name via events escalated failed usd",
        [
            ("listener", "rules", "", 5, None, 0, D("0.0005")),
            ("intent", "order", "work answer", 4, None, None, None),
            ("intent", "nothing", "ignore", 1, None, None, None),
            ("worker", "answer", "", 4, 1, 0, D("0.002")),
            ("reasoner", "think", "", 2, None, 0, D("0.04")),
            ("outcome", "answered", "worker", 3, None, None, None),
            ("outcome", "answered", "reasoner", 1, None, None, None),
            ("outcome", "ignored", "listener", 1, None, None, None),
        ],
    ),
    "duplicate_savings": ("duplicates event_usd saved_usd", []),
    "unsure": (
        "handler calibration latest_threshold answers unsure share reasoner_usd",
        [("answer", "", 0.8, 3, 0, 0.0, D(0))],
    ),
    "confidences": (
        "handler bin answers accepted",
        [("answer", 0.55, 1, 1), ("answer", 0.9, 1, 1), ("answer", 0.95, 1, 1)],
    ),
    "savings": (
        "day events asking_events left_out would_be_usd tiered_usd all_reasoner_usd net_saved_usd net_saved_share",
        [
            (ONE, 3, 1, 1, D("0.0223"), D("0.0212"), D("0.02"), D("-0.0012"), pytest.approx(-0.06)),
            (TWO, 2, 0, 1, D("0.0202"), D("0.0001"), D(0), D("-0.0001"), None),
        ],
    ),
    "costs": (
        "day tier model calls tokens_in tokens_out usd would_be_usd unpriced",
        [
            (ONE, "listener", "rules", 3, None, None, D("0.0003"), D("0.0003"), 0),
            (ONE, "worker", "small", 3, 300, 30, D("0.002"), D("0.002"), 1),
            (ONE, "reasoner", "large", 1, 500, 50, D("0.02"), D("0.02"), 0),
            (TWO, "listener", "rules", 2, None, None, D("0.0002"), D("0.0002"), 0),
            (TWO, "worker", "small", 2, 100, 10, D(0), D(0), 1),
            (TWO, "reasoner", "large", 1, 500, 50, D("0.02"), D("0.02"), 0),
        ],
    ),
    "intent_costs": (
        "intent events reasoned would_be_usd worker_usd reasoner_usd usd_an_event unpriced",
        [
            ("order", 4, 2, D("0.0424"), D("0.002"), D("0.04"), D("0.0206"), 2),
            ("nothing", 1, 0, D("0.0001"), None, None, D("0.0001"), 0),
        ],
    ),
    "cache": (
        "tier handler calls hits hit_rate hits_saved_usd reused reuse_saved_usd",
        [
            ("listener", "rules", 5, 0, 0.0, None, 0, None),
            ("worker", "answer", 5, 1, 0.2, D("0.001"), 0, None),
            ("reasoner", "think", 2, 0, 0.0, None, 0, None),
        ],
    ),
    "latency": (
        "tier calls queue_p50 queue_p95 call_p50 call_p95 call_p99",
        [
            ("listener", 5, 0.1, 0.1, 0.01, 0.01, 0.01),
            ("worker", 4, 1.0, 1.0, 2.0, 2.0, 2.0),
            ("reasoner", 2, 3.0, 3.0, 8.0, 8.0, 8.0),
        ],
    ),
    "handler_latency": (
        "tier handler calls queue_p50 queue_p99 first_token_p50 call_p50 call_p99",
        [
            ("listener", "rules", 5, 0.1, 0.1, None, 0.01, 0.01),
            ("worker", "answer", 4, 1.0, 1.0, None, 2.0, 2.0),
            ("reasoner", "think", 2, 3.0, 3.0, None, 8.0, 8.0),
        ],
    ),
    "escalations": ("reason handler refusal_class events", [("refused", "answer", "policy", 1)]),
    "refusal_quality": ("handler class refused needless rightful missed", [("answer", "policy", 1, 1, 0, 0)]),
    "refusals": (
        "tier handler class refused share latest_reason",
        [("worker", "answer", "policy", 1, 0.25, "about a neighbour")],
    ),
    "errors": (
        "provider model error broken retried calls rate",
        [("recorded", "small", "overloaded", 1, 1, 4, 0.25)],
    ),
    "outages": ("model fault calls events first latest said", []),
    "search": (
        "event_id ended_as ended_by calls cost_usd",
        [
            ("e5", "answered", "answer", 2, D("0.0001")),
            ("e4", "answered", "answer", 3, D("0.0201")),
            ("e3", "ignored", "rules", 1, D("0.0001")),
            ("e2", "answered", "think", 3, D("0.0211")),
            ("e1", "answered", "answer", 3, D("0.0011")),
        ],
    ),
    "slowest": (
        "event_id seconds queue_seconds call_seconds calls furthest",
        [
            ("e2", pytest.approx(14.11), pytest.approx(4.1), pytest.approx(10.01), 3, "reasoner"),
            ("e4", pytest.approx(12.11), pytest.approx(4.1), pytest.approx(8.01), 3, "reasoner"),
            ("e1", pytest.approx(6.11), pytest.approx(2.1), pytest.approx(4.01), 3, "worker"),
            ("e5", pytest.approx(3.11), pytest.approx(1.1), pytest.approx(2.01), 2, "worker"),
            ("e3", pytest.approx(0.11), pytest.approx(0.1), pytest.approx(0.01), 1, "listener"),
        ],
    ),
    "dearest": (
        "event_id would_be_usd worker_usd reasoner_usd tokens_in calls unpriced",
        [
            ("e2", D("0.0211"), D("0.001"), D("0.02"), 600, 3, 0),
            ("e4", D("0.0201"), D(0), D("0.02"), 500, 3, 0),
            ("e1", D("0.0011"), D("0.001"), None, 200, 3, 1),
            ("e3", D("0.0001"), None, None, None, 1, 0),
            ("e5", D("0.0001"), None, None, 100, 2, 1),
        ],
    ),
    "economy": (
        "handler events events_a_day escalated worker_usd wasted_usd reasoner_call_usd",
        [("answer", 4, pytest.approx(4 * 24 / 25), 1, D("0.002"), D("0.001"), D("0.02"))],
    ),
    "batchable": ("tier handler calls with_room usd saved_usd", []),  # test_queries.py has others
    "calibration": (
        "handler bin answers tasks mean_confidence labelled right accuracy compared agreed agreement",
        [
            ("answer", 0.5, 1, 1, 0.55, 1, 1, 1.0, 0, 0, None),
            ("answer", 0.9, 2, 2, pytest.approx(0.925), 1, 1, 1.0, 1, 0, 0.0),
        ],
    ),
    "days": (
        "day events ignored duplicates by_worker by_reasoner failed reasoner_share",
        [(ONE, 3, 1, 0, 1, 1, 0, pytest.approx(1 / 3)), (TWO, 2, 0, 0, 2, 0, 0, 0.0)],
    ),
    "routes": (
        "intent action handler events mean_confidence",
        [("order", "work", "answer", 4, 0.75), ("nothing", "ignore", "", 1, 0.75)],
    ),
    "flow": (
        "action worker reason reasoner state events",
        [
            ("work", "answer", "", "", "answered", 3),
            ("ignore", "", "", "", "ignored", 1),
            ("work", "answer", "refused", "think", "answered", 1),
        ],
    ),
    "unknown_labels": ("source aspect labels events example", [("desk", "answer", 2, 1, "e7")]),
    "judgements": ("judge_kind kind question verdict answers judges", [("person", "rating", "right?", "yes", 1, 1)]),
}  # fmt: skip
ELSEWHERE = {"thresholds", "runs", "run_times", "pace", "trace"}


def picked(records: list[dict[str, Any]], columns: str) -> Rows:
    return [tuple(record[column] for column in columns.split()) for record in records]


@pytest.mark.parametrize("name", KNOWN)
def test_a_named_query_gives_its_exact_answer_about_one_run(audit: Audit, name: str) -> None:
    columns, expected = KNOWN[name]
    assert picked(audit.named(name, RUN).records(), columns) == expected


def test_every_named_query_has_its_answer_tested() -> None:
    assert set(library()) == set(KNOWN) | ELSEWHERE


@pytest.mark.parametrize("name", library())
def test_every_named_query_says_what_it_answers_and_runs_bare(audit: Audit, name: str) -> None:
    query = named_query(name)
    assert query.sql.startswith("-- ")
    assert query.about.endswith(".")
    assert set(query.parameters) <= set(query.defaults)
    audit.named(name)


@pytest.mark.parametrize("name", [name for name in library() if "since" in named_query(name).parameters])
def test_a_named_query_looks_at_the_time_asked_about_alone(audit: Audit, name: str) -> None:
    assert "until" in named_query(name).parameters
    # Nothing happened in this hour, and something before and after it.
    rows = audit.named(name, RUN, since="2026-11-01 10:00:00", until="2026-11-01 11:00:00").records()
    assert [row for row in rows if name != "money" or row["events"] or row["spent_usd"]] == []


def test_a_single_day_is_reported_alone(audit: Audit) -> None:
    (row,) = audit.named("money", RUN, since="2026-11-02 00:00:00", until="2026-11-03 00:00:00").records()
    assert (row["events"], row["spent_usd"]) == (2, D("0.0202"))
    (day,) = audit.named("days", RUN, until="2026-11-02 00:00:00").records()
    assert (day["day"], day["events"]) == (ONE, 3)


def test_a_threshold_decides_the_share_the_cost_and_the_known_error(audit: Audit) -> None:
    columns = "bar events accepted accepted_share escalated_share usd labelled wrong error"
    rows = {row[0]: row[1:] for row in picked(audit.named("thresholds", RUN).records(), columns)}
    assert rows[0.5] == rows[0.55] == (4, 3, 0.75, 0.25, D("0.022"), 2, 0, 0.0)
    assert rows[0.6] == rows[0.9] == (4, 2, 0.5, 0.5, D("0.042"), 1, 0, 0.0)
    assert rows[0.95] == (4, 1, 0.25, 0.75, D("0.062"), 0, 0, None)
    assert rows[0.99] == (4, 0, 0.0, 1.0, D("0.062"), 0, 0, None)  # what came from the store costs nothing there


def test_a_replay_counts_what_it_reused_at_what_it_cost_then(audit: Audit) -> None:
    (money,) = audit.named("money", AGAIN).records()
    assert (money["spent_usd"], money["would_be_usd"]) == (D("0.0302"), D("0.0322"))
    assert (money["saved_by_cache_usd"], money["reasoner_call_usd"]) == (None, D("0.03"))
    assert money["net_saved_usd"] == 2 * D("0.03") - D("0.0322")
    assert money["times_cheaper"] == pytest.approx(0.06 / 0.0322)
    assert (money["times_cheaper_low"], money["times_cheaper_high"]) == (None, None)  # one event at the reasoner
    (economy,) = audit.named("economy", AGAIN).records()
    assert (economy["worker_usd"], economy["wasted_usd"]) == (D("0.002"), D("0.001"))
    worker = {row["tier"]: row for row in audit.named("cache", AGAIN).records()}["worker"]
    assert (worker["hits"], worker["reused"], worker["reuse_saved_usd"]) == (0, 2, D("0.002"))
    times = {row["tier"]: row for row in audit.named("latency", AGAIN).records()}["worker"]
    assert (times["calls"], times["call_p50"]) == (2, 2.0)


def test_the_runs_are_listed_with_the_progress_of_replays(audit: Audit) -> None:
    columns = "run events calls reused usd would_be_usd base pipeline state"
    assert picked(audit.named("runs").records(), columns) == [
        ("live", 5, 5, 0, D(500), D(500), None, None, None),
        (AGAIN, 2, 5, 2, D("0.0302"), D("0.0322"), RUN, "candidate", "done"),
        (RUN, 5, 12, 0, D("0.0425"), D("0.0425"), None, None, None),
    ]


def test_the_trace_has_every_row_about_one_event(audit: Audit) -> None:
    rows = audit.named("trace", RUN, event_id="e2").records()
    assert sorted((row["what"], row["name"], row["state"]) for row in rows) == [
        ("call", "answer", "refused, escalated"),
        ("call", "rules", "answered, found"),
        ("call", "think", "answered, accepted"),
        ("judgement", "ann", "no"),
        ("judgement", "ann", "yes"),
        ("outcome", "think", "answered"),
        ("verdict", "answer", "work"),
    ]
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


def test_the_trace_takes_the_newest_event_where_none_is_named(audit: Audit) -> None:
    names = {row["detail"] for row in audit.named("trace", RUN).records() if row["what"] == "label"}
    assert names == {'"8"', '"9"'}  # those of e5


def test_the_parameters_that_queries_share_have_one_default() -> None:
    assert set(DEFAULTS) == {"run", "since", "until"}


def test_the_calls_of_each_tier_are_counted_by_slice(audit: Audit) -> None:
    # 60 hours, so that a slice is an hour; e1 to e5 are 1, 2, 3, 25 and 26 hours after noon.
    result = audit.named("pace", RUN, since="2026-11-01 12:00:00", until="2026-11-04 00:00:00")
    assert picked(result.records(), "tier slice calls seconds") == [
        *(("listener", hour, 1, 3600.0) for hour in (1, 2, 3, 25, 26)),
        ("worker", 1, 2, 3600.0), ("worker", 2, 1, 3600.0), ("worker", 25, 1, 3600.0), ("worker", 26, 1, 3600.0),
        ("reasoner", 2, 1, 3600.0), ("reasoner", 25, 1, 3600.0),
    ]  # fmt: skip


def test_the_runs_are_listed_with_their_first_and_last_event_live_traffic_first(audit: Audit) -> None:
    result = audit.named("run_times", since="2026-11-01 00:00:00", until="2026-11-03 00:00:00")
    assert [(run, f"{first:%d %H}", f"{last:%d %H}") for run, first, last in result.rows] == [
        ("live", "01 17", "01 17"), (RUN, "01 13", "02 14"), (AGAIN, "01 13", "01 14"),
    ]  # fmt: skip
