from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from streams.audit.named_queries import library, named_query
from streams.audit.query import QueryResult
from streams.core.errors import ConfigError
from streams.ui.operator.queries import SHOWN_ROWS, command, shown_rows
from tests.harness.operator_pages import ORIGIN, FakeAudit, operator_site, table, visitor

NEWEST = datetime(2026, 11, 2, 10, 30, tzinfo=UTC)
RUNS = table("run first_event last_event", ("live", NEWEST, NEWEST))
PLANTED = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


class AskedAudit(FakeAudit):
    """An audit that answers one's own SQL, too."""

    def ask(self, sql: str) -> QueryResult:
        if "DROP" in sql:
            raise ConfigError(f"the query does more than read: {sql}", "Start it with SELECT.", "query")
        return QueryResult(["n"], ["UInt8"], [(1,)])


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    answers: dict[str, Any] = {"run_times": RUNS, "tiers": table("tier reply usd", ("worker", PLANTED, Decimal("0.1")))}
    async with visitor(operator_site(AskedAudit(answers), tmp_path)) as client:
        yield client


async def test_the_list_names_every_query(operator: httpx2.AsyncClient) -> None:
    page = (await operator.get("/query")).text
    assert all(f">{name}</a>" in page for name in library())


async def test_a_query_shows_its_sql_rows_parameters_and_command_escaped(operator: httpx2.AsyncClient) -> None:
    page = (await operator.get("/query/tiers?run=live&since=2026-11-01&until=2026-11-02")).text
    assert "FROM calls" in page
    assert 'name="since" value="2026-11-01"' in page
    assert "escalon query --name tiers --since 2026-11-01 --until 2026-11-02" in page
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page
    assert "<img" not in page


async def test_the_rows_can_be_downloaded(operator: httpx2.AsyncClient) -> None:
    answer = await operator.get("/query/tiers.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.splitlines()[0] == "tier,reply,usd"


async def test_an_unknown_query_is_named_with_those_that_exist(operator: httpx2.AsyncClient) -> None:
    answer = await operator.get("/query/nothing")
    assert answer.status_code == 404
    assert "money" in answer.text


async def own(operator: httpx2.AsyncClient, sql: str, csrf: str | None = None) -> httpx2.Response:
    found = re.search(r'name="csrf" value="([^"]+)"', (await operator.get("/query")).text)
    assert found is not None
    form = {"sql": sql, "csrf": found[1] if csrf is None else csrf}
    return await operator.post("/query", data=form, headers={"Origin": ORIGIN})


async def test_ones_own_sql_is_answered_and_stays_in_its_box(operator: httpx2.AsyncClient) -> None:
    answer = await own(operator, "SELECT 1 AS n")
    assert answer.status_code == 200
    assert "1 row" in answer.text
    assert "SELECT 1 AS n</textarea>" in answer.text


async def test_wrong_sql_is_explained_on_the_page_and_kept(operator: httpx2.AsyncClient) -> None:
    answer = await own(operator, "DROP TABLE <calls>")
    assert answer.status_code == 400
    assert "Start it with SELECT." in answer.text
    assert "DROP TABLE &lt;calls&gt;</textarea>" in answer.text


async def test_a_form_of_another_session_is_refused(operator: httpx2.AsyncClient) -> None:
    assert (await own(operator, "SELECT 1", csrf="x")).status_code == 400


def test_the_command_quotes_values_and_leaves_defaults_out() -> None:
    dearest = named_query("dearest")
    values = {**dearest.defaults, "run": "it's", "limit": "7", "since": "2026-11-01 09:00:00.000000"}
    assert command(dearest, values) == (
        "escalon query --name dearest --run 'it'\"'\"'s' --since 2026-11-01T09:00:00 --param limit=7"
    )


def test_only_the_first_rows_are_shown_and_numbers_are_aligned() -> None:
    rows = [("a", number, Decimal("0.10")) for number in range(SHOWN_ROWS + 1)]
    shown = shown_rows(QueryResult(["x", "n", "usd"], ["String", "UInt64", "Nullable(Decimal(24, 12))"], rows))
    assert (len(shown["rows"]), shown["count"]) == (SHOWN_ROWS, SHOWN_ROWS + 1)
    assert shown["numbers"] == [False, True, True]
    assert shown["rows"][0] == ["a", "0", "0.1"]


def test_control_characters_of_events_are_escaped_in_cells() -> None:
    ((shown,),) = shown_rows(QueryResult(["x"], ["String"], [("a\x1b[31m\u202eb",)]))["rows"]
    assert shown.isprintable()
