"""The lag of a consumer in Prometheus' metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from streams.telemetry import lag
from streams.telemetry.metrics import REGISTRY


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Collect no lag after the test."""
    yield
    lag.LAG.watch(tuple)


def behind(name: str = lag.NAME) -> dict[tuple[str, str], float]:
    (family,) = [one for one in REGISTRY.collect() if one.name == name]
    return {(one.labels["topic"], one.labels["partition"]): one.value for one in family.samples}


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
