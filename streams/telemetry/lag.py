"""How far behind a consumer is, looked up when Prometheus asks."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams.telemetry.metrics import REGISTRY

log = logging.getLogger("escalon.runtime")
STATISTICS_MS = 5000
NAME, HELP = "escalon_consumer_lag", "Offsets in a partition that are committed by their producers and not done yet."
HELD_NAME, HELD_HELP = "escalon_consumer_held_back", "Offsets that wait for the end of a producer's transaction."


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """A partition, how many of its offsets are not done yet, and how many lie behind an open transaction."""

    topic: str
    partition: int
    waiting: int
    held_back: int


class LagCollector(Collector):
    """Asks the consumer of this process; there is at most one."""

    def __init__(self) -> None:
        self._look: Callable[[], Iterable[PartitionLag]] = tuple

    def watch(self, look: Callable[[], Iterable[PartitionLag]]) -> None:
        """Ask this from now on."""
        self._look = look

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Their names, without asking."""
        yield from _families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures of this moment."""
        waiting, held_back = _families()
        try:
            for one in self._look():
                labels = [one.topic, str(one.partition)]
                waiting.add_metric(labels, max(0, one.waiting))
                held_back.add_metric(labels, one.held_back)
        except Exception:  # all other figures are on the same page
            log.exception("the lag could not be looked up")
        yield from (waiting, held_back)


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
    labels = ["topic", "partition"]
    return GaugeMetricFamily(NAME, HELP, labels=labels), GaugeMetricFamily(HELD_NAME, HELD_HELP, labels=labels)


LAG = LagCollector()
REGISTRY.register(LAG)


def lag_statistics() -> dict[str, Any]:
    """Settings by which a consumer of confluent-kafka tells its lag.

    Its statistics come in its own thread. Asked from another one, it would answer only between two of its reads.
    """
    return {"statistics.interval.ms": STATISTICS_MS, "stats_cb": _read_statistics}


def _read_statistics(text: str) -> None:
    behind = [
        PartitionLag(topic, int(partition), waiting, _held_back(figures))
        for topic, found in json.loads(text)["topics"].items()
        for partition, figures in found["partitions"].items()
        if (waiting := _waiting(figures)) >= 0
    ]
    LAG.watch(lambda: behind)


def _waiting(figures: dict[str, Any]) -> int:
    """How many offsets of a partition are not done; negative when it is not known, or not this process's."""
    lag, low, stable = (int(figures[name]) for name in ("consumer_lag", "lo_offset", "ls_offset"))
    if lag >= 0 or figures["fetch_state"] != "active" or min(low, stable) < 0:
        return lag
    return stable - low  # nothing was committed


def _held_back(figures: dict[str, Any]) -> int:
    """How many offsets lie behind an open transaction."""
    stable, high = int(figures["ls_offset"]), int(figures["hi_offset"])
    return max(0, high - stable) if stable >= 0 else 0
