"""How far behind a consumer is, as Prometheus is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import faust
import pytest

from streams.runtime import lag
from streams.runtime.metrics import REGISTRY


class Place(NamedTuple):
    """A partition, as both clients name it."""

    topic: str
    partition: int
    offset: int = 0


@dataclass
class FakeFaust:
    """The little of an app that is asked: is it started, what is assigned, where that begins and ends, where it ended
    at the last fetch, what is committed, and where reading began."""

    bounds: dict[Place, tuple[int, int]]
    tp_committed_offsets: dict[Place, int] = field(default_factory=dict)
    began: dict[Place, int] = field(default_factory=dict)
    fetched: dict[Place, int] = field(default_factory=dict)
    started: bool = True

    @property
    def monitor(self) -> FakeFaust:
        """Itself."""
        return self

    @property
    def consumer(self) -> FakeFaust:
        """Itself."""
        assert self.started
        return self

    def assignment(self) -> set[Place]:
        """All partitions."""
        return {Place("events", 0), Place("events", 1), Place("changelog", 0)}

    def highwater(self, place: Place) -> int | None:
        """The end of one, as the last fetch told it."""
        return self.fetched.get(place)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nobody is watched afterwards."""
    yield
    lag.LAG.watch(tuple)


def behind() -> dict[tuple[str, str], float]:
    (family,) = [one for one in REGISTRY.collect() if one.name == lag.NAME]
    return {(one.labels["topic"], one.labels["partition"]): one.value for one in family.samples}


def watch(app: FakeFaust) -> None:
    lag.watch_faust(cast(faust.App, cast(Any, app)), {"events"})


A, B = Place("events", 0), Place("events", 1)


def test_what_is_not_committed_is_behind() -> None:
    watch(FakeFaust({A: (0, 12), B: (0, 5)}, {A: 10, B: 5}))
    assert behind() == {("events", "0"): 2, ("events", "1"): 0}


def test_before_the_first_commit_all_since_reading_began_is_behind_whether_or_not_an_agent_has_taken_any() -> None:
    watch(FakeFaust({A: (0, 12), B: (3, 7)}, began={A: 4}))
    assert behind() == {("events", "0"): 8, ("events", "1"): 4}


def test_what_is_committed_since_counts_and_not_where_reading_began() -> None:
    watch(FakeFaust({A: (0, 12)}, {A: 10}, began={A: 4}))
    assert behind() == {("events", "0"): 2}


def test_of_two_ends_the_later_one_counts() -> None:
    watch(FakeFaust({A: (0, 12), B: (0, 5)}, fetched={A: 3, B: 6}))
    assert behind() == {("events", "0"): 12, ("events", "1"): 6}


def test_changelogs_and_partitions_of_which_nothing_is_known_are_left_out() -> None:
    watch(FakeFaust({Place("changelog", 0): (0, 12)}, {A: 3}, fetched={A: 5}))
    assert behind() == {}


def test_an_app_that_has_not_started_is_not_asked() -> None:
    watch(FakeFaust({A: (0, 12)}, started=False))
    assert behind() == {}


def figures(waiting: int, low: int, high: int, state: str = "active") -> dict[str, Any]:
    """A partition's statistics, as far as they are looked at."""
    return {"consumer_lag": waiting, "lo_offset": low, "hi_offset": high, "fetch_state": state}


def test_a_plain_consumer_tells_by_its_statistics_what_it_has_not_committed() -> None:
    partitions = {
        "0": figures(7, 0, 100),
        "1": figures(0, 0, 100),
        "2": figures(-1, 40, 100),  # nothing was committed
        "3": figures(-1, -1001, -1001),  # nothing is known yet
        "4": figures(-1, 40, 100, "stopped"),  # it was taken away
        "-1": figures(-1, -1001, -1001, "none"),
    }
    lag.told_by_statistics()["stats_cb"](json.dumps({"topics": {"calls": {"partitions": partitions}}}))
    assert behind() == {("calls", "0"): 7, ("calls", "1"): 0, ("calls", "2"): 60}


def test_a_lag_that_cannot_be_looked_up_leaves_all_other_figures(caplog: pytest.LogCaptureFixture) -> None:
    def look() -> Iterator[lag.Behind]:
        yield "events", 0, 3
        raise OSError("no broker")

    lag.LAG.watch(look)
    assert behind() == {("events", "0"): 3}
    assert "could not be looked up" in caplog.text
