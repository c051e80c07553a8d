"""`escalon report`: the headline about money, the advice under it, and labels that count for nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

from streams.adapters.clickhouse import ClickHouseConfig
from tests.builders import call, event, label, outcome, thought, verdict
from tests.harness.audit import write
from tests.harness.commands import Escalon, widest


def after_an_outage(run: str) -> list[Any]:
    """Of 200 events the reasoner took ten at $0.02, the worker 190 at $0.001; then the breaker stopped 100 more."""
    events = [event(f"e{n}", f"text {n}", run=run, hour=n / 100) for n in range(300)]
    rows: list[Any] = [message for of in events for message in (verdict(of), outcome(of))]
    rows += [message for of in events[:10] for message in (call(of, decision="escalated"), thought(of, "7"))]
    rows += [call(of) for of in events[10:200]]
    stopped: dict[str, Any] = {"status": "failed", "error_type": "circuit_open", "cost_usd": Decimal(0)}
    rows += [call(of, "think", "reasoner", decision="failed", **stopped) for of in events[200:]]
    return rows


def test_an_outage_does_not_change_what_tiering_is_said_to_save(escalon: Escalon, config: ClickHouseConfig) -> None:
    write(config, *after_an_outage("outage"))
    done = escalon("report", "--run", "outage", "--advice", "--upkeep", "1")
    assert done.code == 0
    # 200 events at $0.02 against 200 at $0.001 and ten at $0.02.
    assert "200 asked a model" in done.out
    assert "10.0 times cheaper 95 % interval 10.0 to 10.0" in done.out
    assert "Tiering pays off: it saves $3.60 a day" in done.out
    assert widest(done) <= 80
    figures = json.loads(escalon("report", "--run", "outage", "--advice", "--json").stdout)
    assert Decimal(figures["advice"]["saved_usd"]) == Decimal(figures["money"][0]["net_saved_usd"]) == Decimal("3.6")


def test_what_tiering_costs_more_is_said_so_in_both_places(escalon: Escalon, config: ClickHouseConfig) -> None:
    events = [event(f"e{n}", f"text {n}", run="dear") for n in range(150)]
    same: dict[str, Any] = {"cost_usd": Decimal("0.02")}
    write(
        config, *(outcome(of) for of in events), *(call(of, **same) for of in events),
        *(message for of in events[:60] for message in (call(of, decision="escalated", **same), thought(of, "7"))),
    )  # fmt: skip
    done = escalon("report", "--run", "dear", "--advice")
    assert "1.4 times dearer" in done.out
    assert "times cheaper" not in done.out
    assert "Tiering saves nothing here" in done.out
    assert "answer costs more than it saves" in done.out


def test_calls_of_unknown_cost_are_named(escalon: Escalon, config: ClickHouseConfig) -> None:
    events = [event(f"e{n}", f"text {n}", run="unknown cost") for n in range(10)]
    write(config, *(outcome(of) for of in events), *(call(of, cost_usd=None) for of in events[:4]),
          *(call(of) for of in events[4:]))  # fmt: skip
    done = escalon("report", "--run", "unknown cost")
    assert "of no known cost 4 of 10 calls 4 events are left out of the comparison" in done.out


def test_one_event_at_the_reasoner_makes_no_interval(escalon: Escalon, config: ClickHouseConfig) -> None:
    one = event("e1", run="one reasoned")
    write(config, outcome(one), call(one, decision="escalated"), thought(one, "7"))
    done = escalon("report", "--run", "one reasoned")
    assert done.code == 0
    assert "times dearer too few for an interval: 1 event at the reasoner" in done.out


def test_labels_about_unknown_events_are_reported(escalon: Escalon, config: ClickHouseConfig) -> None:
    known, other = event("known", run="labels"), event("misspelt", run="labels")
    write(config, verdict(known), outcome(known), call(known), label(known, "7"), label(other, "7", source="desk"))
    done = escalon("report", "--run", "labels")
    assert "The audit does not know 1 event of 1 label from desk (for example misspelt)" in done.out


def test_the_cost_of_judges_has_a_line_of_its_own(escalon: Escalon, config: ClickHouseConfig) -> None:
    of = event("e1", run="judged")
    write(
        config, verdict(of), outcome(of), call(of), call(of, "m", "judge", cost_usd=Decimal("0.25"), decision="found")
    )
    done = escalon("report", "--run", "judged")
    assert "judges $0.250000 1 call to rate cases of panels" in done.out
    assert "spent $0.001000" in done.out


def test_a_trace_shows_the_calls_of_judges_after_the_outcome(escalon: Escalon, config: ClickHouseConfig) -> None:
    of = event("e1", run="traced")
    late: dict[str, Any] = {"started_at": of.origin.event_time + timedelta(days=9), "duration_seconds": 4.0}
    write(config, verdict(of), outcome(of), call(of), call(of, "m", "judge", decision="found", **late))
    shown = escalon("trace", "e1", "--run", "traced").out
    assert shown.index("outcome answered") < shown.index("judge m answered")
    assert shown.count("judge m") == 1  # none in the drawing of the event's times
