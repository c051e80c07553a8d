"""The lag of a consumer in Prometheus' metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import faust
import pytest

from streams.runtime.lag import watch_faust
from streams.telemetry import lag
from streams.telemetry.metrics import REGISTRY


class Place(NamedTuple):
    """A partition, as both clients name it."""

    topic: str
    partition: int
    offset: int = 0


@dataclass
class FakeFaust:
    """The little of an app that is asked: is it started, what is assigned, where that begins and ends, how far it is
    done, and what lies behind an open transaction."""

    bounds: dict[Place, tuple[int, int]]
    done: dict[Place, int] = field(default_factory=dict)
    held: dict[Place, int] = field(default_factory=dict)
    started: bool = True

    @property
    def consumer(self) -> FakeFaust:
        """Itself."""
        assert self.started
        return self

    def assignment(self) -> set[Place]:
        """All partitions."""
        return {Place("events", 0), Place("events", 1), Place("changelog", 0)}

    def reached(self, place: Place) -> int | None:
        """The first message of one that is not done."""
        return self.done.get(place)

    def held_back(self, place: Place) -> int:
        """Return the offsets of a partition behind an open transaction."""
        return self.held.get(place, 0)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Collect no lag after the test."""
    yield
    lag.LAG.watch(tuple)


def behind(name: str = lag.NAME) -> dict[tuple[str, str], float]:
    (family,) = [one for one in REGISTRY.collect() if one.name == name]
    return {(one.labels["topic"], one.labels["partition"]): one.value for one in family.samples}


def watch(app: FakeFaust) -> None:
    watch_faust(cast(faust.App, cast(Any, app)), {"events"})


A, B = Place("events", 0), Place("events", 1)


def test_what_is_not_done_is_behind() -> None:
    watch(FakeFaust({A: (0, 12), B: (0, 5)}, {A: 10, B: 5}))
    assert behind() == {("events", "0"): 2, ("events", "1"): 0}


def test_before_anything_is_known_to_be_done_all_that_is_held_is_behind() -> None:
    watch(FakeFaust({A: (0, 12), B: (3, 7)}, {A: 4}))
    assert behind() == {("events", "0"): 8, ("events", "1"): 4}


def test_an_end_of_some_seconds_ago_may_lie_before_what_is_done() -> None:
    watch(FakeFaust({A: (0, 12)}, {A: 15}))
    assert behind() == {("events", "0"): 0}


def test_what_lies_behind_an_open_transaction_is_not_behind_and_has_a_figure_of_its_own() -> None:
    watch(FakeFaust({A: (0, 12), B: (0, 5)}, {A: 12, B: 5}, {A: 7}))
    assert behind() == {("events", "0"): 0, ("events", "1"): 0}
    assert behind(lag.HELD_NAME) == {("events", "0"): 7, ("events", "1"): 0}


def test_changelogs_and_partitions_of_which_nothing_is_known_are_left_out() -> None:
    watch(FakeFaust({Place("changelog", 0): (0, 12)}, {A: 3}))
    assert behind() == {}


def test_an_app_that_has_not_started_is_not_asked() -> None:
    watch(FakeFaust({A: (0, 12)}, started=False))
    assert behind() == {}


def figures(waiting: int, low: int, stable: int, high: int, state: str = "active") -> dict[str, Any]:
    """A partition's statistics, as far as they are looked at."""
    return {"consumer_lag": waiting, "lo_offset": low, "ls_offset": stable, "hi_offset": high, "fetch_state": state}


def test_the_statistics_of_a_plain_consumer_report_what_it_has_not_committed() -> None:
    partitions = {
        "0": figures(7, 0, 100, 100),
        "1": figures(0, 0, 100, 100),
        "2": figures(-1, 40, 90, 100),  # nothing was committed, and a transaction is open
        "3": figures(-1, -1001, -1001, -1001),  # nothing is known yet
        "4": figures(-1, 40, 100, 100, "stopped"),  # it was taken away
        "-1": figures(-1, -1001, -1001, -1001, "none"),
    }
    lag.lag_statistics()["stats_cb"](json.dumps({"topics": {"calls": {"partitions": partitions}}}))
    assert behind() == {("calls", "0"): 7, ("calls", "1"): 0, ("calls", "2"): 50}
    assert behind(lag.HELD_NAME) == {("calls", "0"): 0, ("calls", "1"): 0, ("calls", "2"): 10}


def test_a_lag_that_cannot_be_collected_leaves_all_other_metrics(caplog: pytest.LogCaptureFixture) -> None:
    def look() -> Iterator[lag.PartitionLag]:
        yield lag.PartitionLag("events", 0, 3, 0)
        raise OSError("no broker")

    lag.LAG.watch(look)
    assert behind() == {("events", "0"): 3}
    assert "could not be collected" in caplog.text
