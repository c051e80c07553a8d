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
    """The little of an app that is asked: is it started, what is assigned, where it ends, what is committed."""

    ends: dict[Place, int | None]
    tp_committed_offsets: dict[Place, int] = field(default_factory=dict)
    started: bool = True
    on_partitions_revoked: Any = field(default_factory=lambda: faust.App("lag").on_partitions_revoked)

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
        return set(self.ends)

    def highwater(self, place: Place) -> int | None:
        """The end of one."""
        return self.ends[place]


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


def test_what_is_not_committed_is_behind() -> None:
    watch(FakeFaust({Place("events", 0): 12, Place("events", 1): 5}, {Place("events", 0): 10, Place("events", 1): 5}))
    assert behind() == {("events", "0"): 2, ("events", "1"): 0}


def test_before_the_first_commit_all_since_the_first_message_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "_began", {})
    for offset in (4, 5, 6):
        lag.received("events", 0, offset)
    watch(FakeFaust({Place("events", 0): 12, Place("events", 1): 7}))
    assert behind() == {("events", "0"): 8, ("events", "1"): 0}


async def test_after_a_rebalance_what_was_known_of_the_partitions_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "_began", {})
    lag.received("events", 0, 4)
    app = FakeFaust({Place("events", 0): 1_000_000})
    watch(app)
    await app.on_partitions_revoked.send(set())
    assert behind() == {("events", "0"): 0}, "nothing waits, as far as anybody knows"
    lag.received("events", 0, 999_990)
    assert behind() == {("events", "0"): 10}


def test_changelogs_and_partitions_whose_end_is_not_known_are_left_out() -> None:
    watch(FakeFaust({Place("changelog", 0): 12, Place("events", 0): None}))
    assert behind() == {}


def test_an_app_that_has_not_started_is_not_asked() -> None:
    watch(FakeFaust({Place("events", 0): 12}, started=False))
    assert behind() == {}


def test_a_plain_consumer_tells_by_its_statistics_what_it_has_not_committed() -> None:
    partitions = {"0": {"consumer_lag": 7}, "1": {"consumer_lag": 0}, "-1": {"consumer_lag": -1}}
    lag.told_by_statistics()["stats_cb"](json.dumps({"topics": {"calls": {"partitions": partitions}}}))
    assert behind() == {("calls", "0"): 7, ("calls", "1"): 0}


def test_a_lag_that_cannot_be_looked_up_leaves_all_other_figures(caplog: pytest.LogCaptureFixture) -> None:
    def look() -> Iterator[lag.Behind]:
        yield "events", 0, 3
        raise OSError("no broker")

    lag.LAG.watch(look)
    assert behind() == {("events", "0"): 3}
    assert "could not be looked up" in caplog.text
