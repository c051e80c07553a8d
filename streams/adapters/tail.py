"""Read topics as they are, without a consumer group: for people and programs that watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from streams.adapters.events import Received
from streams.adapters.kafka import ADMIN_TIMEOUT, Cluster, KafkaConfig, describe_cluster
from streams.core.errors import ServiceError

POLL_SECONDS = 0.2
BATCH = 500

Offsets = dict[tuple[str, int], int]


class Tail:
    """Reads all partitions of some topics, from their beginning or from `start`."""

    def __init__(self, config: KafkaConfig, topics: Sequence[str], start: Offsets | None = None) -> None:
        self._consumer = Consumer(
            config.confluent(**{"group.id": "escalon-tail", "enable.auto.commit": False, "fetch.wait.max.ms": 50})
        )
        self._partitions = _partitions(describe_cluster(config), topics)
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
        """Every record there is now, then stop."""
        left = self.ends()
        while left:
            for record in self.batch():
                yield record
                place = (record.topic, record.partition)
                if record.offset + 1 >= left.get(place, 0):
                    left.pop(place, None)

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
        timestamp=datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC),
        headers=[(key, value) for key, value in message.headers() or () if value is not None],
    )


def _partitions(cluster: Cluster, topics: Sequence[str]) -> list[tuple[str, int]]:
    missing = [topic for topic in topics if topic not in cluster.partitions]
    if missing:
        raise ServiceError(f"There is no topic {missing[0]}.", "Create the topics with `escalon topics --create`.")
    return [(topic, number) for topic in topics for number in range(cluster.partitions[topic])]
