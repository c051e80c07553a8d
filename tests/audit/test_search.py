"""The search of the audit: what it finds, its pages, and how far back it looks within its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit, QueryResult
from streams.audit.search import MAX_TEXT, PAGE, SEARCH_SECONDS, EventSearch, FoundEvents, search_events
from streams.core.errors import ConfigError
from streams.core.time_range import EARLIEST, LATEST
from tests.builders import START, call, event, outcome, verdict
from tests.harness.audit import write
from tests.harness.known_audit import RUN, everything

CROWD = 2 * PAGE + 20
"""Events at one and the same time, more than two pages of them."""


@pytest.fixture(scope="module")
def audit(config: ClickHouseConfig) -> Iterator[Audit]:
    write(config, *everything(), *crowd(), *needles())
    opened = Audit(config)
    yield opened
    opened.close()


def crowd() -> Iterator[Any]:
    for number in range(CROWD):
        one = event(f"crowd-{number:03d}", f"número {number}: WHERE is it?", run="crowd")
        yield from (verdict(one, "", action="ignore"), replace(outcome(one), state="ignored", tier="listener"))


def needles() -> Iterator[Any]:
    one = event("needles", f"{'é' * 700}needle 1{'é' * 700}", run="needles", data='{"x": "needle 2"}')
    yield from (verdict(one, "answer"), replace(outcome(one), answer="the needle 3"))
    asked = call(one, "answer", prompt="the needle 5", response="a needle 4")
    yield asked
    later = replace(
        asked, call_id="f" * 32, tier="reasoner", prompt="", response="", started_at=START.replace(year=2030)
    )
    yield later


def search(audit: Audit, run: str = RUN, **wanted: Any) -> FoundEvents:
    usual: dict[str, Any] = {"since": EARLIEST, "until": LATEST}
    return search_events(audit, EventSearch(run=run, **usual | wanted), lambda: 0.0)


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["e5", "e4", "e3", "e2", "e1"]),
        ({"text": "TEXT 2"}, ["e2"]),
        ({"text": "zebra"}, []),
        ({"text": "%"}, []),
        ({"tier": "reasoner"}, ["e4", "e2"]),
        ({"tier": "worker", "state": "refused"}, ["e2"]),
        ({"tier": "reasoner", "state": "refused"}, []),
        ({"state": "escalated"}, ["e2"]),
        ({"state": "ignore"}, ["e3"]),
        ({"state": "ignored"}, ["e3"]),
        ({"handler": "think"}, ["e4", "e2"]),
        ({"model": "large"}, ["e4", "e2"]),
        ({"model": "large", "state": "explored"}, ["e4"]),
        ({"cost_usd": 0.02}, ["e4", "e2"]),
        ({"cost_usd": 0.021}, []),
        ({"seconds": 8.0}, ["e4", "e2"]),
        ({"text": '"answer": "9"'}, ["e5"]),
        ({"text": '"answer": "9"', "tier": "reasoner"}, []),
    ],
)
def test_events_are_found_by_what_they_say_and_by_their_calls(
    audit: Audit, wanted: dict[str, Any], found: list[str]
) -> None:
    assert [row["event_id"] for row in search(audit, **wanted).rows] == found


@pytest.mark.embedded
def test_a_row_sums_up_its_event(audit: Audit) -> None:
    (row,) = search(audit, state="refused").rows
    assert row["ended_by"] == "think"
    assert row["calls"] == 3
    assert row["call_seconds"] == pytest.approx(10.01)
    assert row["fitting_calls"] == ["worker answer: refused, escalated"]
    assert row["event_time"].tzinfo is UTC


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("wanted", "said_in", "text"),
    [
        ("", "event", "é" * 600),
        ("NEEDLE 1", "event", f"{'é' * 300}needle 1{'é' * 300}"),
        ("needle 2", "data of the event", '{"x": "needle 2"}'),
        ("needle 3", "answer", "the needle 3"),
        ("needle 4", "answer of worker answer", "a needle 4"),
        ("needle 5", "prompt of worker answer", "the needle 5"),
    ],
)
def test_a_row_has_the_part_of_the_text_around_what_was_looked_for(
    audit: Audit, wanted: str, said_in: str, text: str
) -> None:
    (row,) = search(audit, "needles", text=wanted).rows
    assert (row["said_in"], row["text"]) == (said_in, text)


@pytest.mark.embedded
def test_the_calls_of_an_event_come_the_newest_first(audit: Audit) -> None:
    (row,) = search(audit, "needles").rows
    assert row["fitting_calls"] == ["reasoner answer: answered, accepted", "worker answer: answered, accepted"]


@pytest.mark.embedded
def test_pages_of_events_at_the_same_time_hold_each_once(audit: Audit) -> None:
    seen, until, before = list[str](), LATEST, ""
    for complete in (False, False, True):
        found = search(audit, "crowd", text="where IS", until=until, before=before)
        seen += [row["event_id"] for row in found.rows]
        until, before = found.looked_back_to, found.rows[-1]["event_id"]
        assert found.complete is complete
    assert seen == [f"crowd-{number:03d}" for number in reversed(range(CROWD))]


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(ConfigError, match="at most 500"):
        EventSearch(run="live", since=EARLIEST, until=LATEST, text="x" * (MAX_TEXT + 1))


@dataclass
class SlowAudit:
    """An audit of three slices, each with one event, that takes its time."""

    seconds: float
    now: float = 0.0
    asked: list[tuple[str, str]] = field(default_factory=list)

    def query(self, _: str, __: dict[str, Any]) -> QueryResult:
        starts = [(START - timedelta(hours=number),) for number in (1, 2, 3)]
        return QueryResult(["minute"], ["DateTime"], [(one.replace(tzinfo=None),) for (one,) in starts])

    def named(self, name: str, run: str = "live", **parameters: Any) -> QueryResult:
        assert (name, run) == ("search", "live")
        self.now += self.seconds
        self.asked.append((parameters["since"], parameters["until"]))
        found = datetime.fromisoformat(parameters["since"])
        return QueryResult(["event_time", "event_id"], ["DateTime64", "String"], [(found, "e")])


@pytest.mark.parametrize(("seconds", "slices"), [(SEARCH_SECONDS / 10, 3), (SEARCH_SECONDS * 2, 1)])
def test_no_slice_is_read_after_the_time_is_up(seconds: float, slices: int) -> None:
    audit = SlowAudit(seconds)
    since = START - timedelta(days=1)
    found = search_events(audit, EventSearch(run="live", since=since, until=START), lambda: audit.now)
    assert len(found.rows) == len(audit.asked) == slices
    assert found.complete is (slices == 3)
    assert found.looked_back_to == (since if found.complete else START - timedelta(hours=1))
    assert all(later[0] == earlier[1] for later, earlier in zip(audit.asked, audit.asked[1:], strict=False))
