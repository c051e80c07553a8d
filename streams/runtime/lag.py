"""How far behind a consumer is, looked up when Prometheus asks."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import faust
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams.runtime.metrics import REGISTRY

log = logging.getLogger("escalon.runtime")
Behind = tuple[str, int, int]
"""Topic, partition, and how many messages are not done yet."""
STATISTICS_MS = 5000
NAME, HELP = "escalon_consumer_lag", "Messages in a partition that are not done yet."


class Lag(Collector):
    """Asks the consumer of this process; there is at most one."""

    def __init__(self) -> None:
        self._look: Callable[[], Iterable[Behind]] = tuple

    def watch(self, look: Callable[[], Iterable[Behind]]) -> None:
        """Ask this from now on."""
        self._look = look

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Its name, without asking."""
        yield GaugeMetricFamily(NAME, HELP, labels=["topic", "partition"])

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures of this moment."""
        family = GaugeMetricFamily(NAME, HELP, labels=["topic", "partition"])
        try:
            for topic, partition, behind in self._look():
                family.add_metric([topic, str(partition)], max(0, behind))
        except Exception:  # all other figures are on the same page
            log.exception("the lag could not be looked up")
        yield family


LAG = Lag()
REGISTRY.register(LAG)


def watch_faust(app: faust.App, topics: Collection[str]) -> None:
    """Watch the consumer of a Faust app, on the topics of its agents."""

    def look() -> Iterator[Behind]:
        if not app.started:  # before that it has no consumer to ask
            return
        consumer = app.consumer
        done = consumer.began | app.monitor.tp_committed_offsets
        for place in consumer.assignment():
            if place.topic not in topics or place not in consumer.bounds:
                continue
            first, behind_last = consumer.bounds[place]
            end = max(behind_last, consumer.highwater(place) or 0)
            yield place.topic, place.partition, end - done.get(place, first)

    LAG.watch(look)


def told_by_statistics() -> dict[str, Any]:
    """Settings by which a consumer of confluent-kafka tells its lag.

    Its statistics come in its own thread. Asked from another one, it would answer only between two of its reads.
    """
    return {"statistics.interval.ms": STATISTICS_MS, "stats_cb": _read_statistics}


def _read_statistics(text: str) -> None:
    behind = [
        (topic, int(partition), waiting)
        for topic, found in json.loads(text)["topics"].items()
        for partition, figures in found["partitions"].items()
        if (waiting := _waiting(figures)) >= 0
    ]
    LAG.watch(lambda: behind)


def _waiting(figures: dict[str, Any]) -> int:
    """How many messages of a partition are not done; negative when it is not known, or not this process's."""
    lag, low, high = (int(figures[name]) for name in ("consumer_lag", "lo_offset", "hi_offset"))
    if lag >= 0 or figures["fetch_state"] != "active" or min(low, high) < 0:
        return lag
    return high - low  # nothing was committed
