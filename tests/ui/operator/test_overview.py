"""The overview: its figures from the audit's answers, what is unknown in words, and the page while servers start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.ui.operator.flow import flow_counts
from streams.ui.operator.lag import lag_by_process
from streams.ui.operator.overview import saved_share, tier_figures
from streams.ui.operator.scope import Scope
from tests.builders import START
from tests.harness.audit import write
from tests.harness.known_audit import RUN, everything
from tests.harness.operator_pages import FakeAudit, operator_site, visitor

HOUR = Scope(run="live", since=START, until=START.replace(hour=START.hour + 1))


def test_each_tier_has_its_rate_times_and_lag() -> None:
    latency = [{"tier": "worker", "call_p50": 2.0, "call_p99": 9.0}]
    pace = [{"tier": "worker", "slice": 0, "calls": 20}, {"tier": "worker", "slice": 59, "calls": 40}]
    _, worker, reasoner = tier_figures(HOUR, latency, pace, {"listen": 0, "work": 7, "reason": 1})
    assert (worker.calls, worker.calls_per_minute, worker.p50, worker.p99, worker.lag) == (60, 1.0, 2.0, 9.0, 7)
    assert (reasoner.calls, reasoner.p50, reasoner.lag) == (0, None, 1)


def test_without_kafka_the_lag_is_unknown_and_not_zero() -> None:
    assert [one.lag for one in tier_figures(HOUR, [], [], None)] == [None] * 3


async def test_no_lag_is_asked_for_without_a_broker(tmp_path: Path) -> None:
    assert await lag_by_process(operator_site(FakeAudit(), tmp_path)) is None


def test_the_saved_share_is_of_all_events_and_unknown_without_one() -> None:
    way = {"action": "work", "worker": "answer", "reason": "", "reasoner": "", "state": "answered", "events": 3}
    assert saved_share(flow_counts([way, way | {"reason": "unsure", "events": 1}])) == 0.75
    assert saved_share(flow_counts([])) is None


async def test_the_page_says_what_is_not_ready_while_servers_start(tmp_path: Path) -> None:
    site = operator_site(FakeAudit(), tmp_path)
    site.settings = replace(site.settings, clickhouse=None)
    site.steps = lambda: [("pipeline file", True), ("Kafka and ClickHouse", False)]
    async with visitor(site) as operator:
        page = (await operator.get("/")).text
    assert "pipeline file: <b>ready</b>" in page
    assert "Kafka and ClickHouse: <b>not yet</b>" in page


@pytest.fixture(scope="module")
def clickhouse(config: ClickHouseConfig) -> ClickHouseConfig:
    write(config, *everything())
    return config


@pytest.mark.embedded
async def test_the_page_shows_the_flow_of_a_real_audit(clickhouse: ClickHouseConfig, tmp_path: Path) -> None:
    site = operator_site(Audit(clickhouse), tmp_path)
    async with visitor(site) as operator:
        page = (await operator.get("/", params={"run": RUN, "since": "2026-11-01", "until": "2026-11-03"})).text
    assert "Of 5 events, 1 were irrelevant, 3 were answered by workers and 1 by reasoners." in page
    assert "unknown: Kafka does not answer" in page
    assert f"/query/flow?run={RUN}" in page
