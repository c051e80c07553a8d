"""Read topics as they are, without a consumer group: for people and programs that watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import methodcaller
from typing import Any

from confluent_kafka import OFFSET_BEGINNING

from streams.adapters.events import KafkaRecord, kafka_time
from streams.adapters.kafka import ClusterMetadata, KafkaConfig, describe_cluster
from streams.adapters.log_reader import Bounds, LogReader, OnGap, refuse
from streams.core.errors import ConfigError, ServiceError

POLL_SECONDS = 0.2
BATCH = 500
_CHECKED = methodcaller("headers")
"""A call that Python makes often it makes without looking for an error that was raised; this one it always checks."""

Offsets = dict[tuple[str, int], int]


class Tail:
    """Reads the partitions of some topics, from their beginning or from `start`; with `only_started` no others.

    `on_gap` hears of records that Kafka deleted before they were read; without it that raises ServiceError.
    """

    def __init__(
        self,
        config: KafkaConfig,
        topics: Sequence[str],
        start: Offsets | None = None,
        *,
        only_started: bool = False,
        on_gap: OnGap = refuse,
    ) -> None:
        found, self._start = _partitions(describe_cluster(config), topics), start or {}
        if only_started and (missing := sorted(self._start.keys() - set(found))):
            what = "There is no partition {} of the topic {}.".format(*reversed(missing[0]))
            raise ConfigError(what, "Name partitions that the topic has.", "offsets")
        self._places = [place for place in found if not only_started or place in self._start]
        self._reader, self._on_gap = LogReader(config, "escalon-tail"), on_gap
        self._following = False

    def ends(self) -> Offsets:
        """The offset after the last message of every partition that holds any, at this moment."""
        marks = {place: self._reader.watermarks(place) for place in self._places}
        return {place: high for place, (low, high) in marks.items() if low < high}

    def batch(self, seconds: float = POLL_SECONDS) -> list[KafkaRecord]:
        """The records that come within some seconds, as many as a batch holds."""
        if not self._following:
            self._reader.start({place: self._start.get(place, OFFSET_BEGINNING) for place in self._places})
            self._following = True
        return [received(message) for message in self._reader.poll(seconds, BATCH, self._on_gap)]

    def held(self) -> Bounds:
        """The first offset that each partition holds, and the one after its last record, at this moment."""
        return self._reader.held(self._places)

    def to_end(self, held: Bounds | None = None) -> Iterator[KafkaRecord]:
        """Every record there is, then stop; of `held`, where that was asked for before.

        What lies behind `start` and what no topic holds any more is left out: a start outside a log is its beginning.
        """
        bounds = {
            (topic, partition): (self._first((topic, partition), low, high), high)
            for (topic, partition), (low, high) in (held or self.held()).items()
        }
        return map(received, self._reader.read(bounds, self._on_gap))

    def follow(self, stop: Callable[[], bool]) -> Iterator[KafkaRecord]:
        """Every record there is and comes, until told to stop."""
        while not stop():
            yield from self.batch()

    def close(self) -> None:
        """Leave."""
        self._reader.close()

    def _first(self, place: tuple[str, int], low: int, high: int) -> int:
        wanted = self._start.get(place, low)
        return wanted if low <= wanted <= high else low


def received(message: Any) -> KafkaRecord:
    """A confluent-kafka message as a record."""
    return KafkaRecord(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        timestamp=kafka_time(message.timestamp()[1]),
        headers=[(key, value) for key, value in _headers(message) if value is not None],
    )


def _headers(message: Any) -> list[tuple[str, bytes | None]]:
    """A message's headers, without those whose name is no UTF-8: their names cannot be had.

    The client raises once for such a name. Then it gives the headers with nothing in its place, neither a name nor
    None, and who touches that ends the process. Printing a header does not touch it.
    """
    try:
        return _CHECKED(message) or []
    except (SystemError, UnicodeDecodeError):
        return [header for header in message.headers() or () if not repr(header).startswith("(<NULL>, ")]


def _partitions(cluster: ClusterMetadata, topics: Sequence[str]) -> list[tuple[str, int]]:
    missing = [topic for topic in topics if topic not in cluster.partitions]
    if missing:
        raise ServiceError(f"There is no topic {missing[0]}.", "Create the topics with `escalon topics --create`.")
    return [(topic, number) for topic in topics for number in range(cluster.partitions[topic])]
