"""The frame of the operator's pages: the session, the scope in the page, and errors as pages."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from streams.audit.query import QueryResult
from streams.core.errors import ServiceError
from tests.harness.operator_pages import FakeAudit, operator_site, table, visitor

NEWEST = datetime(2026, 11, 2, 10, 30)
RUNS = table("run first_event last_event", ("live", NEWEST, NEWEST), ("<b>again</b>", NEWEST, NEWEST))


async def test_a_page_needs_the_operators_session(tmp_path: Path) -> None:
    site = operator_site(FakeAudit({"run_times": RUNS}), tmp_path)
    async with visitor(site, token="x") as stranger:
        answer = await stranger.get("/")
        assert answer.status_code == 403
        assert "operator" in answer.text
        entered = await stranger.get(f"/o/{site.signer.operator_token()}")
        assert entered.headers["refresh"] == "0; url=/"
    async with visitor(site) as operator:
        assert (await operator.get("/")).status_code == 200


async def test_a_page_shows_the_time_of_the_newest_events_and_all_runs_escaped(tmp_path: Path) -> None:
    async with visitor(operator_site(FakeAudit({"run_times": RUNS}), tmp_path)) as operator:
        page = (await operator.get("/")).text
    assert "2026-11-02 09:30:01 to 2026-11-02 10:30:01 UTC" in page
    assert "No event in the last hour" in page
    assert "&lt;b&gt;again&lt;/b&gt;" in page
    assert "<b>again" not in page


@pytest.mark.parametrize("wrong", ["hours=x", "hours=-1", "hours=nan", "since=yesterday"])
async def test_a_wrong_scope_is_named_on_the_page(tmp_path: Path, wrong: str) -> None:
    async with visitor(operator_site(FakeAudit(), tmp_path)) as operator:
        answer = await operator.get(f"/?{wrong}")
    assert answer.status_code == 400
    assert "is not a" in answer.text


async def test_a_server_that_does_not_answer_is_named_on_the_page(tmp_path: Path) -> None:
    def broken(_: Any) -> QueryResult:
        raise ServiceError("ClickHouse did not answer.", "Check that it runs.")

    async with visitor(operator_site(FakeAudit({"run_times": broken}), tmp_path)) as operator:
        answer = await operator.get("/")
    assert answer.status_code == 503
    assert "Check that it runs." in answer.text


async def test_an_unknown_address_shows_the_operators_notice_to_the_operator_alone(tmp_path: Path) -> None:
    site = operator_site(FakeAudit({"run_times": RUNS}), tmp_path)
    async with visitor(site) as operator:
        answer = await operator.get("/no-page")
        assert answer.status_code == 404
        assert "there is no such page" in answer.text
        assert 'aria-label="Pages"' in answer.text
    async with visitor(site, token="x") as stranger:
        answer = await stranger.get("/no-page")
        assert answer.status_code == 404
        assert 'aria-label="Pages"' not in answer.text


@pytest.mark.parametrize(
    ("address", "marked"),
    [
        ("/", 'href="/" aria-current="page"'),
        ("/query", 'href="/query" aria-current="page"'),
        ("/query/tiers", 'href="/query" aria-current="true"'),
        ("/events/mail-1", 'href="/search" aria-current="true"'),
        ("/dead-letters/x", 'href="/dead-letters" aria-current="true"'),
        ("/runs/live/again", 'href="/runs" aria-current="true"'),
        ("/no-page", ""),
    ],
)
async def test_the_navigation_marks_the_page_or_the_one_above_it(tmp_path: Path, address: str, marked: str) -> None:
    async with visitor(operator_site(FakeAudit({"run_times": RUNS}), tmp_path)) as operator:
        page = (await operator.get(address)).text
    assert re.findall(r'href="[^"?]+[^>]* aria-current="\w+"', page) == ([marked] if marked else [])


async def test_a_page_that_fails_says_where_to_look(tmp_path: Path) -> None:
    def broken(_: Any) -> QueryResult:
        raise RuntimeError("a secret of the code")

    async with visitor(operator_site(FakeAudit({"run_times": broken}), tmp_path)) as operator:
        answer = await operator.get("/")
    assert answer.status_code == 500
    assert "The log of this server says why." in answer.text
    assert "a secret" not in answer.text
