"""The queries behind advice and refusals, on rows planted by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from scipy.stats import t  # type: ignore[import-untyped]

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.clickhouse_migrations import script
from streams.audit.named_queries import named_query
from streams.audit.query import Audit
from streams.audit.report import PARTS, make_report
from streams.core.errors import NOT_CALLED, ConfigError
from streams.core.messages import Call, Event, Tier
from tests.builders import START, WORKER_USD, call, event, label, outcome, reply, thought, verdict
from tests.harness.audit import database, write


@pytest.fixture
def audit(config: ClickHouseConfig) -> Iterator[Audit]:
    opened = Audit(config)
    yield opened
    opened.close()


def refused(of: Event, kind: str, handler: str = "answer") -> Call:
    return call(of, handler, status="refused", refusal_class=kind, decision="escalated")


def also_refused(of: Event, kind: str = "policy") -> Call:
    return thought(of, None, status="refused", refusal_class=kind, decision="failed")


def test_refusals_are_held_against_what_the_reasoner_made_of_the_same_events(
    config: ClickHouseConfig, audit: Audit
) -> None:
    e = [event(f"e{n}", run="refusals") for n in range(9)]
    write(
        config,
        *(refused(of, "missing_information") for of in e[:3]), thought(e[0], "7"), thought(e[1], "7"),
        also_refused(e[2]),
        refused(e[3], "policy"), also_refused(e[3], "other"),
        refused(e[4], "policy"),  # the reasoner has not answered yet
        call(e[5]), also_refused(e[5], "unsafe"),  # answered, explored, and refused by the reasoner
        call(e[6]), thought(e[6], "7"),
        refused(e[7], "policy", "name"), thought(e[7], "7"),
        call(e[8], status="failed", decision="retried"), call(e[8], attempt=2),
        refused(event("e0", run="another"), "policy"),
    )  # fmt: skip
    rows = audit.named("refusal_quality", "refusals").records()
    assert [tuple(row.values()) for row in rows] == [
        # handler, class, refused, needless, rightful, missed
        ("answer", "missing_information", 3, 2, 1, 0),
        ("answer", "policy", 2, 0, 1, 0),
        ("answer", "unsafe", 0, 0, 0, 1),
        ("name", "policy", 1, 1, 0, 0),
    ]


def economy(audit: Audit, run: str) -> dict[str, dict[str, Any]]:
    return {row["handler"]: row for row in audit.named("economy", run).records()}


def test_the_economy_counts_events_a_day_and_what_they_cost(config: ClickHouseConfig, audit: Audit) -> None:
    e = [event(f"e{n}", run="economy", hour=12 * n) for n in range(5)]  # two days from first to last
    write(
        config,
        *(outcome(of) for of in e),
        *(verdict(of) for of in e[:4]), verdict(e[4], "think", action="reason"),
        call(e[0]), call(e[1], cost_usd=Decimal(0), cache_hit=True, saved_usd=Decimal("0.001")),
        call(e[2], decision="escalated"), thought(e[2], "7"),
        call(e[3], "name"),
        thought(e[4], "7", cost_usd=Decimal("0.04")),
        call(event("x", run="another"), decision="escalated"),
    )  # fmt: skip
    rows = economy(audit, "economy")
    assert list(rows) == ["", "answer", "name"]
    assert rows["answer"] == {
        "handler": "answer", "events": 3, "events_a_day": 1.5, "asked": 2, "left_out": 0, "asked_a_day": 1.0,
        "escalated": 1, "passed_on_asked": 1, "worker_usd": Decimal("0.002"), "wasted_usd": Decimal("0.001"),
        "compared_usd": Decimal("0.002"), "reasoner_usd": Decimal("0.02"), "reasoner_call_usd": Decimal("0.03"),
    }  # fmt: skip
    assert (rows[""]["events"], rows[""]["events_a_day"], rows[""]["escalated"]) == (1, 0.5, 1)


def test_all_the_calls_about_an_event_that_was_passed_on_were_wasted(config: ClickHouseConfig, audit: Audit) -> None:
    one, two = event("a", run="wasted"), event("b", run="wasted")
    write(
        config,
        call(one, decision="sampled", sample=1), call(one, decision="sampled", sample=2),
        call(one, decision="escalated"), thought(one, "7"),
        call(two, decision="sampled", sample=1), call(two),
    )  # fmt: skip
    row = economy(audit, "wasted")["answer"]
    assert (row["events"], row["escalated"]) == (2, 1)
    assert (row["worker_usd"], row["wasted_usd"]) == (Decimal("0.005"), Decimal("0.003"))


def test_where_nothing_was_passed_on_nothing_was_wasted(config: ClickHouseConfig, audit: Audit) -> None:
    write(config, call(event("a", run="nothing wasted")))
    row = economy(audit, "nothing wasted")["answer"]
    assert (row["escalated"], row["wasted_usd"], row["reasoner_call_usd"]) == (0, Decimal(0), None)


def test_a_price_that_is_not_known_stays_unknown(config: ClickHouseConfig, audit: Audit) -> None:
    of = event("a", run="unpriced")
    write(config, call(of, decision="escalated", cost_usd=None), thought(of, "7", cost_usd=None))
    row = economy(audit, "unpriced")["answer"]
    assert (row["worker_usd"], row["wasted_usd"], row["reasoner_call_usd"]) == (None, None, None)


def test_an_event_published_again_at_another_time_is_routed_once(config: ClickHouseConfig, audit: Audit) -> None:
    of = [event("a", run="twice", hour=hour) for hour in (0, 1)]
    write(config, *(verdict(one, "think", action="reason") for one in of), *(outcome(one) for one in of))
    assert [row["events"] for row in audit.named("routes", "twice").records()] == [1]
    assert [row["events"] for row in audit.named("escalations", "twice").records()] == [1]
    row = economy(audit, "twice")[""]
    assert (row["events"], row["escalated"]) == (1, 1)


def test_a_run_of_less_than_a_day_counts_as_a_day(config: ClickHouseConfig, audit: Audit) -> None:
    e = [event(f"e{n}", run="short", hour=n) for n in range(3)]
    write(config, *(outcome(of) for of in e), *(call(of) for of in e))
    assert economy(audit, "short")["answer"]["events_a_day"] == 3.0


def test_a_report_has_all_its_parts_and_its_advice(config: ClickHouseConfig, audit: Audit) -> None:
    e = [event(f"e{n}", run="report") for n in range(3)]
    listener = call(e[0], "rules", "listener", decision="found", cost_usd=Decimal("0.001"))
    write(
        config, listener, *(outcome(of) for of in e), *(call(of, response=reply("7")) for of in e[:2]),
        call(e[2], decision="escalated"), thought(e[2], "7"),
    )  # fmt: skip
    report = make_report(audit, "report")
    assert set(report.parts) == set(PARTS)
    assert report.money["spent_usd"] == Decimal("0.024")
    advice = report.advice(Decimal(10))
    # 2 x 0.02 saved, 3 x 0.001 spent on the worker and 0.001 on the listener.
    assert advice.saved_usd == Decimal("0.036")
    assert advice.listeners_usd == Decimal("0.001")


def test_a_report_of_a_run_that_never_was_is_empty(audit: Audit) -> None:
    report = make_report(audit, "never")
    assert report.parts["economy"] == report.parts["refusal_quality"] == []
    assert report.advice(Decimal(10)).saved_usd == 0


def stopped(of: Event, handler: str = "answer", tier: Tier = "worker", **more: Any) -> Call:
    """A try for which no call was made, for the breaker was open."""
    failed: dict[str, Any] = {"status": "failed", "error_type": "circuit_open", "cost_usd": Decimal(0)}
    return call(of, handler, tier, **failed | more)


def stored(of: Event, handler: str = "answer", tier: Tier = "worker", **more: Any) -> Call:
    """An answer from the store."""
    return call(of, handler, tier, cache_hit=True, cost_usd=Decimal(0), saved_usd=Decimal("0.01"), **more)


def test_tries_that_the_breaker_stopped_and_answers_from_the_store_make_no_mean(
    config: ClickHouseConfig, audit: Audit
) -> None:
    """Ten events cost the reasoner $0.02 each, and forty cost the worker $0.001. Then there is an outage."""
    e = [event(f"e{n}", f"text {n}", run="outage") for n in range(130)]
    write(
        config, *(outcome(of) for of in e),
        *(one for of in e[:10] for one in (call(of, decision="escalated"), thought(of, "7"))),
        *(call(of) for of in e[10:40]),
        *(one for of in e[40:60] for one in (stored(of, decision="escalated"), stored(of, "think", "reasoner"))),
        *(stored(of) for of in e[60:90]),
        *(stopped(of, decision="failed", attempt=n) for of in e[90:130] for n in range(5)),
        *(stopped(of, "think", "reasoner", decision="failed", attempt=n) for of in e[90:130] for n in range(5)),
    )  # fmt: skip
    report = make_report(audit, "outage")
    money, (row,) = report.money, report.parts["economy"]
    assert (money["reasoner_call_usd"], row["reasoner_call_usd"]) == (Decimal("0.02"), Decimal("0.02"))
    assert (money["asking_events"], money["left_out"], row["asked"]) == (40, 0, 40)
    assert (money["all_reasoner_usd"], money["tiered_usd"]) == (Decimal("0.8"), Decimal("0.24"))
    assert money["times_cheaper"] == pytest.approx(0.8 / 0.24)
    assert (money["times_cheaper_low"], money["times_cheaper_high"]) == pytest.approx((0.8 / 0.24,) * 2)
    (day,) = audit.named("savings", "outage").records()
    assert (day["asking_events"], day["net_saved_usd"]) == (40, Decimal("0.56"))
    assert report.advice(Decimal(0)).saved_usd == Decimal("0.56")


def test_calls_that_a_provider_turned_away_make_no_mean(config: ClickHouseConfig, audit: Audit) -> None:
    e = [event(f"e{n}", f"text {n}", run="turned away") for n in range(50)]
    away: dict[str, Any] = {"error_type": "overloaded", "decision": "failed"}
    write(
        config, *(outcome(of) for of in e),
        *(call(of, decision="escalated", confidence=0.4) for of in e[:10]),
        *(stopped(of, "think", "reasoner", attempt=n, **away) for of in e[:10] for n in (2, 3, 4)),
        *(thought(of, "7") for of in e[:10]),
        *(stopped(of, **away) for of in e[10:]), *(stopped(of, "think", "reasoner", **away) for of in e[10:]),
    )  # fmt: skip
    money = make_report(audit, "turned away").money
    assert (money["reasoner_call_usd"], money["asking_events"], money["calls_made"]) == (Decimal("0.02"), 10, 130)
    assert money["times_cheaper"] == pytest.approx(0.20 / 0.21)
    (day,) = audit.named("savings", "turned away").records()
    assert (day["asking_events"], day["net_saved_usd"]) == (10, Decimal("-0.01"))
    assert economy(audit, "turned away")["answer"]["reasoner_call_usd"] == Decimal("0.02")
    first, *_ = audit.named("thresholds", "turned away").records()
    assert first["usd"] == Decimal("0.01") + 50 * Decimal("0.02")


def test_one_model_in_both_tiers_saves_nothing_even_with_answers_from_the_store(
    config: ClickHouseConfig, audit: Audit
) -> None:
    e = [event(f"e{n}", f"text {n}", run="one model") for n in range(200)]
    write(
        config, *(outcome(of) for of in e), *(call(of, cost_usd=Decimal("0.01")) for of in e[:40]),
        *(
            one
            for of in e[:8]
            for one in (
                call(of, decision="escalated", cost_usd=Decimal("0.01")), thought(of, "7", cost_usd=Decimal("0.01")),
            )
        ),
        *(stored(of) for of in e[40:]),
    )  # fmt: skip
    report = make_report(audit, "one model")
    assert report.money["times_cheaper"] == pytest.approx(0.40 / 0.48)
    advice = report.advice(Decimal(0))
    assert advice.saved_usd == report.money["net_saved_usd"] == Decimal("-0.08")
    assert "pays: it" not in "".join(advice.lines)
    assert any(line.startswith("answer costs more than it saves") for line in advice.lines)


def test_events_of_unknown_cost_are_left_out_of_both_sides_and_named(config: ClickHouseConfig, audit: Audit) -> None:
    e = [event(f"e{n}", f"text {n}", run="partly unknown") for n in range(30)]
    write(
        config, *(outcome(of) for of in e),
        *(one for of in e[:10] for one in (call(of, decision="escalated"), thought(of, "7"))),
        *(call(of, cost_usd=None if n % 2 else WORKER_USD) for n, of in enumerate(e[10:])),
    )  # fmt: skip
    report = make_report(audit, "partly unknown")
    money = report.money
    assert (money["calls_made"], money["calls_without_price"]) == (40, 10)
    assert (money["asking_events"], money["left_out"]) == (20, 10)
    assert (money["all_reasoner_usd"], money["tiered_usd"]) == (Decimal("0.4"), Decimal("0.22"))
    assert "10 events with a call of unknown cost are left out" in report.advice(Decimal(0)).lines[0]


def test_the_interval_is_students_of_what_the_reasoner_takes_for_an_event(
    config: ClickHouseConfig, audit: Audit
) -> None:
    costs = [0.010, 0.013, 0.021, 0.026, 0.030, 0.034]
    e = [event(f"e{n}", f"text {n}", run="interval") for n in range(30)]
    write(
        config, *(outcome(of) for of in e), *(call(of) for of in e[6:]),
        *(
            one
            for of, usd in zip(e, costs, strict=False)
            for one in (call(of, decision="escalated"), thought(of, "7", cost_usd=Decimal(str(usd))))
        ),
    )  # fmt: skip
    money = make_report(audit, "interval").money
    half = float(t.ppf(0.975, 5)) * float(np.std(costs, ddof=1)) / 6**0.5
    saved, tiered = float(money["net_saved_usd"]), float(money["tiered_usd"])
    assert (money["net_saved_low"], money["net_saved_high"]) == pytest.approx(
        (saved - 30 * half, saved + 30 * half), rel=0.01
    )
    assert money["times_cheaper_high"] - money["times_cheaper_low"] == pytest.approx(60 * half / tiered, rel=0.01)


def test_a_saving_that_may_be_a_loss_is_not_said_to_pay(config: ClickHouseConfig, audit: Audit) -> None:
    costs = [0.001] * 8 + [0.06]
    e = [event(f"e{n}", f"text {n}", run="doubt") for n in range(300)]
    write(
        config, *(outcome(of) for of in e), *(call(of, cost_usd=Decimal("0.003")) for of in e[9:]),
        *(
            one
            for of, usd in zip(e, costs, strict=False)
            for one in (call(of, decision="escalated"), thought(of, "7", cost_usd=Decimal(str(usd))))
        ),
    )  # fmt: skip
    report = make_report(audit, "doubt")
    assert report.money["net_saved_low"] < 0 < report.money["net_saved_usd"]
    assert "still uncertain" in "".join(report.advice(Decimal(0)).lines)


def test_the_queries_know_the_tries_for_which_no_call_was_made() -> None:
    for sql in (named_query("money").sql, named_query("thresholds").sql, script("escalon")):
        (listed,) = re.findall(r"error_type, ''\) IN \(([^)]*)\)", sql)
        assert {one.strip(" '") for one in listed.split(",")} == set(NOT_CALLED)


def test_errors_are_held_against_all_calls_of_the_model_that_was_asked(config: ClickHouseConfig, audit: Audit) -> None:
    e = [event(f"e{n}", run="errors") for n in range(4)]
    write(
        config,
        *(call(of, request_model="small", response_model="small-2026") for of in e[:3]),
        call(e[3], request_model="small", status="failed", decision="failed", error_type="timeout", cost_usd=None),
    )
    (row,) = audit.named("errors", "errors").records()
    assert (row["model"], row["error"], row["broken"], row["calls"], row["rate"]) == ("small", "timeout", 1, 4, 0.25)


def test_replies_that_broke_the_schema_are_counted_by_handler(config: ClickHouseConfig, audit: Audit) -> None:
    kinds = ("schema", "not_json", "truncated", "empty")
    broken = [
        call(event(f"e{n}", run="off"), status="invalid", decision="failed", error_type=kind)
        for n, kind in enumerate(kinds)
    ]
    write(config, *broken, call(event("e9", run="off")))
    (row,) = audit.named("tiers", "off").records()
    assert (row["calls"], row["broken"], row["off_schema"]) == (5, 4, 2)


def test_outages_are_failures_that_an_operator_must_correct(config: ClickHouseConfig, audit: Audit) -> None:
    e = [event(f"e{n}", run="out") for n in range(3)]

    def at(hour: int) -> datetime:
        return START + timedelta(hours=hour)

    broken: dict[str, Any] = {"request_model": "small", "status": "failed", "decision": "deferred", "cost_usd": None}
    write(
        config,
        *(
            call(of, attempt=n + 1, error_type="unauthorized", error=f"no credit {n}", started_at=at(n), **broken)
            for n, of in enumerate((e[0], e[0], e[1]))
        ),
        call(e[2], error_type="overloaded", error="busy", **broken),
        call(e[2], request_model="small"),
    )
    (row,) = audit.named("outages", "out").records()
    assert (row["model"], row["fault"], row["calls"], row["events"]) == ("small", "unauthorized", 3, 2)
    assert (row["latest"] - row["first"], row["said"]) == (timedelta(hours=2), "no credit 2")


def test_spending_goes_by_the_day_of_the_call_and_not_of_its_event(config: ClickHouseConfig, audit: Audit) -> None:
    late = START + timedelta(days=9)
    write(config, call(event("old", run="late"), started_at=late))
    rows = audit.named("spending", "late", since="2026-11-09 00:00:00", until="2026-11-11 00:00:00").records()
    assert [(row["day"], row["usd"]) for row in rows] == [(late.date(), Decimal("0.001"))]


@pytest.mark.parametrize("name", ["calibration", "thresholds"])
def test_what_was_erased_is_neither_right_nor_wrong(config: ClickHouseConfig, audit: Audit, name: str) -> None:
    e = [event(f"e{n}", run=f"erased {name}") for n in range(4)]
    for of, response, said in zip(e, (reply("7"), reply("7"), None, ""), ('"7"', '"8"', "", ""), strict=True):
        write(config, verdict(of), call(of, response=response, confidence=0.9), replace(label(of, ""), label=said))
    rows = audit.named(name, f"erased {name}").records()
    known = next(row for row in rows if row.get("bar", 0.5) == 0.5)
    assert known["labelled"] == 2
    assert known["right" if name == "calibration" else "wrong"] == 1


@pytest.mark.parametrize("name", ["calibration", "thresholds"])
def test_what_was_hidden_is_neither_right_nor_wrong(config: ClickHouseConfig, audit: Audit, name: str) -> None:
    said = ["[phone]", "[redaction failed]", "[customer-no]", "7", {"known": [True], "of": [None]}]
    e = [event(f"e{n}", run=f"hidden {name}") for n in range(len(said))]
    for of, one in zip(e, said, strict=True):
        write(config, verdict(of), call(of, response=reply(one), confidence=0.9), label(of, one))
    rows = audit.named(name, f"hidden {name}").records()
    assert next(row for row in rows if row.get("bar", 0.5) == 0.5)["labelled"] == 2


def test_a_label_whose_run_is_misspelt_is_about_nothing_that_is_known(clickhouse_server: str) -> None:
    with database(clickhouse_server) as config:
        e = event("e1")
        write(config, call(e), label(e, "7"), replace(label(e, "7", source="desk"), run="lvie"))
        audit = Audit(config)
        rows = audit.named("unknown_labels", "live").records()
        audit.close()
    assert [(row["source"], row["labels"], row["example"]) for row in rows] == [("desk", 1, "e1")]


def test_an_unknown_query_is_refused_with_the_known_names() -> None:
    with pytest.raises(ConfigError, match="refusal_quality"):
        named_query("nonsense")


def test_answers_agree_as_json_in_any_wrapping(config: ClickHouseConfig, audit: Audit) -> None:
    e = [event(f"e{n}", run="agreement") for n in range(5)]
    said = [reply({"b": 1, "a": "x"}), "plain words", '"quoted"', '{"a":1}', reply({"a": 2})]
    true = [label(e[0], {"a": "x", "b": 1}), replace(label(e[1], ""), label="plain words"), label(e[2], "quoted"),
            label(e[3], {"a": 1}), label(e[4], {"a": 3})]  # fmt: skip
    answers = [call(one, response=text, confidence=0.95) for one, text in zip(e, said, strict=True)]
    write(config, *answers, *true)
    (row,) = audit.named("calibration", "agreement").records()
    assert (row["answers"], row["labelled"], row["right"]) == (5, 5, 4)
    rows = {row["bar"]: row for row in audit.named("thresholds", "agreement").records()}
    assert (rows[0.9]["labelled"], rows[0.9]["wrong"], rows[0.9]["error"]) == (5, 1, 0.2)


def test_labels_of_live_traffic_hold_for_a_replay_of_the_same_event(config: ClickHouseConfig, audit: Audit) -> None:
    one = event("shared", run="replay-of-live")
    write(config, call(one, response=reply("7"), confidence=0.95), label(event("shared"), "8"))
    (row,) = audit.named("calibration", "replay-of-live").records()
    assert (row["labelled"], row["right"]) == (1, 0)
    write(config, label(one, "7"))
    (row,) = audit.named("calibration", "replay-of-live").records()
    assert (row["labelled"], row["right"]) == (1, 1)


def test_a_duplicate_would_have_cost_what_an_event_costs_that_asks_a_model(
    config: ClickHouseConfig, audit: Audit
) -> None:
    e = [event(f"e{n}", run="duplicates") for n in range(5)]
    write(
        config,
        call(e[0]), call(e[1], decision="escalated"), thought(e[1], "7"),
        call(e[2], cost_usd=None),  # unknown, so no part of the mean
        *(replace(outcome(of), state="duplicate") for of in e[3:]),
    )  # fmt: skip
    (row,) = audit.named("duplicate_savings", "duplicates").records()
    assert row == {"duplicates": 2, "event_usd": Decimal("0.011"), "saved_usd": Decimal("0.022")}


def test_a_duplicate_of_unknown_cost_saves_an_unknown_sum(config: ClickHouseConfig, audit: Audit) -> None:
    write(config, replace(outcome(event("a", run="unknown duplicates")), state="duplicate"))
    (row,) = audit.named("duplicate_savings", "unknown duplicates").records()
    assert row == {"duplicates": 1, "event_usd": None, "saved_usd": None}


def test_answers_under_the_threshold_are_counted_with_the_reasoners_cost(
    config: ClickHouseConfig, audit: Audit
) -> None:
    e = [event(f"e{n}", run="unsure", hour=n) for n in range(5)]
    decided: dict[str, Any] = {"threshold": 0.8, "confidence": 0.5}
    write(
        config,
        call(e[0], threshold=0.8, confidence=0.9),
        call(e[1], decision="escalated", **decided), thought(e[1], "7"),
        call(e[2], decision="failed", **decided),  # there was no reasoner
        refused(e[3], "policy"), thought(e[3], "7"),  # no threshold decided on it
        call(e[4], calibration="c1", decision="escalated", **decided), thought(e[4], "7"),
    )  # fmt: skip
    columns = ("calibration", "answers", "unsure", "share", "reasoner_usd")
    rows = [tuple(row[name] for name in columns) for row in audit.named("unsure", "unsure").records()]
    assert rows == [
        ("", 3, 2, pytest.approx(2 / 3), Decimal("0.02")),
        ("c1", 1, 1, 1.0, Decimal("0.02")),
    ]


def test_calls_with_time_before_their_deadline_could_have_waited_for_a_batch(
    config: ClickHouseConfig, audit: Audit
) -> None:
    free, soon, late, batched, local = (event(f"e{n}", run="batchable") for n in range(5))
    claude: dict[str, Any] = {"provider": "anthropic"}
    write(
        config,
        verdict(free), call(free, **claude),
        verdict(replace(soon, deadline=START + timedelta(minutes=67))), call(soon, **claude),
        verdict(replace(late, deadline=START + timedelta(minutes=69))), call(late, **claude),
        verdict(batched), call(batched, **claude, batch_id="msgbatch_1"),
        verdict(local), call(local),
    )  # fmt: skip
    (row,) = audit.named("batchable", "batchable").records()
    assert row == {
        "tier": "worker", "handler": "answer", "calls": 3, "with_room": 2, "usd": Decimal("0.003"),
        "saved_usd": Decimal("0.001"),
    }  # fmt: skip
