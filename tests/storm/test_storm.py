"""A small storm over a whole pipeline on real servers; bench/storm.py has the large one, and the times."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from tests.harness.storm.running import Report, Run, run_storm
from tests.harness.storm.weather import EVERY_FAILURE, FAILURES, Weather

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    weather = Weather(seed=7, share=0.3, latency=0.2, outages=((0.0, 6.0),))
    run = Run(events=120, concurrency=24, data=tmp_path_factory.mktemp("storm"), wait_seconds=240.0)
    return run_storm(run, weather)


def test_every_event_has_its_one_outcome_no_answer_is_invented_and_no_budget_passed(report: Report) -> None:
    assert report.faults() == []
    assert len(report.outcomes) == 120
    ends = Counter(each[0].state for each in report.outcomes.values())
    assert ends["answered"] > 100
    assert set(ends) <= {"answered", "failed"}


def test_it_was_a_storm(report: Report) -> None:
    assert set(report.weather.fates) == {*FAILURES, "answered"}
    assert report.weather.failed_share > 0.25


def test_the_breaker_opened_and_tried_again(report: Report) -> None:
    changes = {name: value for name, value in report.changes.items() if "breaker_changes" in name}
    assert sum(value for name, value in changes.items() if 'state="open"' in name) >= 1
    assert sum(value for name, value in changes.items() if 'state="half-open"' in name) >= 1
    refused = [call for call in report.calls.values() if call.error_type == "circuit_open"]
    assert refused
    assert {(call.cost_usd, call.input_tokens, call.prompt) for call in refused} == {(Decimal(0), 0, "")}


def test_the_audit_has_every_call_the_provider_was_asked(report: Report) -> None:
    made = [call for call in report.calls.values() if call.tier != "listener" and call.error_type != "circuit_open"]
    assert len(made) == report.weather.fates.total()
    assert sum(call.status == "answered" for call in made) == report.weather.fates["answered"]


def test_what_fails_for_good_says_why(report: Report) -> None:
    for each in report.outcomes.values():
        if each[0].state == "failed":
            assert any("reasoner failed" in reason for reason in each[0].reasons)


def test_the_weather_of_a_seed_is_always_the_same() -> None:
    def fates(seed: int) -> list[str]:
        weather = Weather(seed=seed, share=0.4, latency=1.0, outages=((50.0, 60.0),))
        return [weather._fate(second) for second in range(500)]

    assert fates(1) == fates(1) != fates(2)
    assert "answered" not in fates(1)[50:60]
    assert fates(1).count("answered") == pytest.approx(294, abs=40)


@pytest.mark.faults
def test_every_kind_of_failure_while_workers_are_killed_on_apache_kafka(kafka_home: Path, tmp_path: Path) -> None:
    weather = Weather(seed=3, share=0.3, latency=0.5, failures=EVERY_FAILURE)
    run = Run(events=1000, concurrency=24, data=tmp_path, wait_seconds=900.0, kafka_home=kafka_home, kill_every=15.0)
    found = run_storm(run, weather)
    assert found.faults() == []
    assert set(weather.fates) == {*EVERY_FAILURE, "answered"}
    assert found.kills >= 2
    assert {one.state for each in found.outcomes.values() for one in each} <= {"answered", "failed"}
