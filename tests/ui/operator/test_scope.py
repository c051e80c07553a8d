"""The scope of an address: the run and the time that a page shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from streams.audit.query import QueryResult
from streams.core.errors import ConfigError
from streams.ui.operator.scope import Scope, read_scope
from tests.harness.operator_pages import table

NOW = datetime(2026, 11, 2, 12, 0, 3, tzinfo=UTC)


class RunTimes:
    """An audit with some runs, each with the time of its newest event."""

    def __init__(self, **newest: datetime) -> None:
        self.rows = [(run, time, time) for run, time in newest.items()]

    async def named(self, name: str, scope: Scope | None = None, **parameters: object) -> QueryResult:
        assert (name, scope, parameters) == ("run_times", None, {})
        return table("run first_event last_event", *self.rows)


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 11, 2, hour, minute, second, tzinfo=UTC)


async def scope(reads: RunTimes | None = None, **asked: str) -> Scope:
    return await read_scope(asked, reads or RunTimes(live=at(11, 59)), NOW)


async def test_the_default_is_the_last_hour_of_live_traffic_up_to_the_grid() -> None:
    found = await scope()
    assert (found.run, found.since, found.until, found.note) == ("live", at(11, 0, 5), at(12, 0, 5), "")


async def test_without_an_event_in_it_the_hour_ends_at_the_newest_one() -> None:
    found = await scope(RunTimes(live=at(8, 30)))
    assert (found.since, found.until) == (at(7, 30, 1), at(8, 30, 1))
    assert "No event in the last hour" in found.note


async def test_a_run_without_events_keeps_the_last_hour_and_is_offered() -> None:
    found = await scope(RunTimes(again=at(8)), run="other")
    assert (found.until, found.note, found.runs) == (at(12, 0, 5), "", ("live", "again", "other"))


async def test_a_range_of_times_is_taken_as_it_is_with_open_ends() -> None:
    found = await scope(since="2026-11-02T09:00")
    assert found.since == at(9)
    assert found.until.year > 2100
    assert (await scope(until="2026-11-02T10:00+01:00")).until == at(9)


async def test_the_range_is_named_in_words_beside_figures() -> None:
    assert (await scope()).words == "in the last hour"
    assert (await scope(RunTimes(live=at(8, 30)))).words == "in the hour until 2026-11-02 08:30 UTC"
    found = await scope(since="2026-11-02T09:00", until="2026-11-02T10:00")
    assert found.words == "from 2026-11-02 09:00 to 2026-11-02 10:00 UTC"


async def test_links_keep_what_was_chosen_and_nothing_else() -> None:
    chosen = await scope(hours="6", run="again", page="3")
    assert chosen.link("/money", day="x y") == "/money?run=again&hours=6&day=x+y"
    assert (await scope()).link("/money") == "/money"


@pytest.mark.parametrize("asked", [{"hours": "0"}, {"hours": "inf"}, {"hours": "x"}, {"since": "soon"}])
async def test_what_cannot_be_read_is_refused_by_name(asked: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        await scope(**asked)
    assert next(iter(asked)) in str(refused.value)
