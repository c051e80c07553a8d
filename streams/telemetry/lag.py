"""The lag of this process's consumer, collected when Prometheus scrapes."""

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
NAME, HELP = (
    "escalon_consumer_lag",
    "Offsets of a partition that producers have committed and this process has not handled.",
)
HELD_NAME, HELD_HELP = "escalon_consumer_held_back", "Offsets behind an open transaction of a producer."


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """The offsets of a partition that are not handled yet, and those behind an open transaction."""

    topic: str
    partition: int
    waiting: int
    held_back: int


class LagCollector(Collector):
    """Collects the lag of the one consumer of this process."""

    def __init__(self) -> None:
        self._look: Callable[[], Iterable[PartitionLag]] = tuple

    def watch(self, look: Callable[[], Iterable[PartitionLag]]) -> None:
        """Collect from `look` from now on."""
        self._look = look

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield the names, without figures."""
        yield from _families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the present figures; none if `look` fails, because all other metrics are on the same page."""
        waiting, held_back = _families()
        try:
            for one in self._look():
                labels = [one.topic, str(one.partition)]
                waiting.add_metric(labels, max(0, one.waiting))
                held_back.add_metric(labels, one.held_back)
        except Exception:
            log.exception("the lag could not be collected")
        yield from (waiting, held_back)


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
    labels = ["topic", "partition"]
    return GaugeMetricFamily(NAME, HELP, labels=labels), GaugeMetricFamily(HELD_NAME, HELD_HELP, labels=labels)


LAG = LagCollector()
REGISTRY.register(LAG)


def lag_statistics(milliseconds: int = STATISTICS_MS) -> dict[str, Any]:
    """Return the settings with which a confluent-kafka consumer reports its lag, from a thread of its own.

    A query from another thread would be answered only between two reads.
    """
    return {"statistics.interval.ms": milliseconds, "stats_cb": _read_statistics}


def _read_statistics(text: str) -> None:
    behind = [
        PartitionLag(topic, int(partition), waiting, _held_back(figures))
        for topic, found in json.loads(text)["topics"].items()
        for partition, figures in found["partitions"].items()
        if (waiting := _waiting(figures)) >= 0
    ]
    LAG.watch(lambda: behind)


def _waiting(figures: dict[str, Any]) -> int:
    """Return the offsets that are not handled; negative if unknown, or if the partition is another process's."""
    lag, low, stable = (int(figures[name]) for name in ("consumer_lag", "lo_offset", "ls_offset"))
    if lag >= 0 or figures["fetch_state"] != "active" or min(low, stable) < 0:
        return lag
    return stable - low  # nothing was committed


def _held_back(figures: dict[str, Any]) -> int:
    stable, high = int(figures["ls_offset"]), int(figures["hi_offset"])
    return max(0, high - stable) if stable >= 0 else 0
