from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.audit.query import QueryResult
from streams.ui.operator import runs
from tests.harness.operator_pages import FakeAudit, operator_site, table, visitor

TIME = datetime(2026, 11, 2, 10, 30, tzinfo=UTC)
COLUMNS = "run events calls reused usd would_be_usd first_event last_event base pipeline state version"
ROWS = table(
    COLUMNS,
    ("live", 200, 600, 0, Decimal(5), Decimal(5), TIME, TIME, None, None, None, "d08f2323b76b"),
    ("a/b <x>", 100, 300, 290, None, None, TIME, TIME, "live", "desk", "done", "e11f2323b76b"),
)


async def test_runs_are_listed_with_a_link_that_compares_a_replay_with_its_base(tmp_path: Path) -> None:
    async with visitor(operator_site(FakeAudit({"runs": ROWS}), tmp_path)) as operator:
        page = (await operator.get("/runs")).text
    assert "200" in page
    assert "d08f2323" in page
    assert 'href="/runs/live/a%2Fb%20%3Cx%3E"' in page
    assert "<x>" not in page


class StillReading(FakeAudit):
    """An audit whose comparison does not end before `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def query(self, *_: Any) -> QueryResult:
        self.go.wait(20)
        return QueryResult(["run"], ["String"], [])


async def test_a_page_that_loads_itself_again_takes_the_place_of_a_long_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "WAIT_SECONDS", 0.01)
    audit = StillReading()
    async with visitor(operator_site(audit, tmp_path)) as operator:
        try:
            answer = await operator.get("/runs/live/other")
        finally:
            audit.go.set()
    assert answer.headers["refresh"] == "2"
    assert "Comparing the newest 1,000 events" in answer.text
