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
_began: dict[tuple[str, int], int] = {}
"""The first offset of each partition since it was assigned to this process."""


def received(topic: str, partition: int, offset: int) -> None:
    """Note where this process began in a partition: until its first commit nothing else says so."""
    _began.setdefault((topic, partition), offset)


async def forget(*_: object, **__: object) -> None:
    """Partitions were taken away: Faust forgets its commits then, and where this process began says nothing more."""
    _began.clear()


def watch_faust(app: faust.App, topics: Collection[str]) -> None:
    """Watch the consumer of a Faust app, on the topics of its agents."""

    def look() -> Iterator[Behind]:
        if not app.started:  # before that it has no consumer to ask
            return
        committed = app.monitor.tp_committed_offsets
        for place in app.consumer.assignment():
            end = app.consumer.highwater(place) if place.topic in topics else None
            if end is not None:
                done = committed.get(place, _began.get((place.topic, place.partition), end))
                yield place.topic, place.partition, end - done

    app.on_partitions_revoked.connect(forget, weak=False)
    LAG.watch(look)


def told_by_statistics() -> dict[str, Any]:
    """Settings by which a consumer of confluent-kafka tells its lag.

    Its statistics come in its own thread. Asked from another one, it would answer only between two of its reads.
    """
    return {"statistics.interval.ms": STATISTICS_MS, "stats_cb": _read_statistics}


def _read_statistics(text: str) -> None:
    behind = [
        (topic, int(partition), int(figures["consumer_lag"]))
        for topic, found in json.loads(text)["topics"].items()
        for partition, figures in found["partitions"].items()
        if int(figures["consumer_lag"]) >= 0  # it is -1 before anything was committed
    ]
    LAG.watch(lambda: behind)
