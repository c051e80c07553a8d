"""Read topics as they are, without a consumer group: for people and programs that watch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from operator import methodcaller
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from streams.adapters.events import Received, kafka_time
from streams.adapters.kafka import ADMIN_TIMEOUT, Cluster, KafkaConfig, describe_cluster
from streams.core.errors import ServiceError

POLL_SECONDS = 0.2
SILENT_SECONDS = 30.0
BATCH = 500
_CHECKED = methodcaller("headers")
"""A call that Python makes often it makes without looking for an error that was raised; this one it always checks."""

Offsets = dict[tuple[str, int], int]


class Tail:
    """Reads the partitions of some topics, from their beginning or from `start`; with `only_started` no others."""

    def __init__(
        self, config: KafkaConfig, topics: Sequence[str], start: Offsets | None = None, *, only_started: bool = False
    ) -> None:
        settings = {"enable.partition.eof": True, "fetch.wait.max.ms": 50}
        self._consumer = Consumer(config.consumer("escalon-tail", **settings))
        found = _partitions(describe_cluster(config), topics)
        self._partitions = [place for place in found if not only_started or place in (start or {})]
        self._consumer.assign(
            [
                TopicPartition(topic, partition, (start or {}).get((topic, partition), OFFSET_BEGINNING))
                for topic, partition in self._partitions
            ]
        )

    def ends(self) -> Offsets:
        """The offset after the last message of every partition that holds any, at this moment."""
        ends = {}
        for topic, partition in self._partitions:
            place = TopicPartition(topic, partition)
            low, high = self._consumer.get_watermark_offsets(place, timeout=ADMIN_TIMEOUT, cached=False)
            if low < high:
                ends[topic, partition] = high
        return ends

    def batch(self, seconds: float = POLL_SECONDS) -> list[Received]:
        """The records that come within some seconds, as many as a batch holds."""
        messages = self._consumer.consume(BATCH, seconds)
        return [received(message) for message in messages if message.error() is None]

    def to_end(self) -> Iterator[Received]:
        """Every record there is, then stop.

        A partition ends where the client says that nothing more is there. Its offsets do not tell: the last of them may
        be marks of transactions, which nobody is given, and the in-memory broker understates them. Raises ServiceError
        when Kafka gives nothing for SILENT_SECONDS.
        """
        left, heard = set(self._partitions), time.monotonic()
        while left:
            messages = self._consumer.consume(BATCH, POLL_SECONDS)
            if time.monotonic() - heard > SILENT_SECONDS:
                raise ServiceError("Kafka gives no more records.", "Check that the broker runs, then try again.")
            for message in messages:
                error = message.error()
                if error is None or error.code() == KafkaError._PARTITION_EOF:
                    heard = time.monotonic()
                if error is None:
                    yield received(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard((message.topic(), message.partition()))

    def follow(self, stop: Callable[[], bool]) -> Iterator[Received]:
        """Every record there is and comes, until told to stop."""
        while not stop():
            yield from self.batch()

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


def received(message: Any) -> Received:
    """A confluent-kafka message as a record."""
    return Received(
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


def _partitions(cluster: Cluster, topics: Sequence[str]) -> list[tuple[str, int]]:
    missing = [topic for topic in topics if topic not in cluster.partitions]
    if missing:
        raise ServiceError(f"There is no topic {missing[0]}.", "Create the topics with `escalon topics --create`.")
    return [(topic, number) for topic in topics for number in range(cluster.partitions[topic])]
