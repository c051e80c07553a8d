"""Records that a topic deleted before they were read: counted, and said."""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.adapters.kafka_admin import ADMIN_TIMEOUT
from streams.telemetry.metrics import SKIPPED

log = logging.getLogger("escalon.runtime")


def report_skipped(topic: str, partition: int, wanted: int, first: int) -> None:
    """A partition was to be read on at one offset, and holds only those from another one on."""
    SKIPPED.labels(topic).inc(first - wanted)
    log.error(
        "%s/%s: the offsets %d to %d were deleted before they were read. Their retention is shorter than the time this "
        "process was behind; publish again what is missing.",
        topic, partition, wanted, first - 1,
    )  # fmt: skip


class OffsetTracker:
    """Sees to it that what a consumer of confluent-kafka is given follows on, in each partition."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, int], int] = {}

    def forget(self) -> None:
        """Partitions were taken away: what is committed counts again."""
        self._next.clear()

    def back(self, topic: str, partition: int, offset: int) -> None:
        """A message was given back, and will come again."""
        self._next[topic, partition] = offset

    def see(self, consumer: Any, message: Any) -> int:
        """Take note of a message, or of a partition's end; returns the offset with which it goes on."""
        place, offset = (message.topic(), message.partition()), message.offset()
        wanted = self._next.get(place)
        if wanted is None or wanted < offset:
            _look(consumer, place, wanted, offset)
        self._next[place] = offset + (message.error() is None)
        return self._next[place]


def is_partition_end(message: Any) -> bool:
    """Whether this is the end of a partition instead of a message."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def _look(consumer: Any, place: tuple[str, int], wanted: int | None, given: int) -> None:
    """There may be nothing between the two offsets (aborted records, marks of transactions), or nothing any more."""
    try:
        if wanted is None:
            (committed,) = consumer.committed([TopicPartition(*place)], ADMIN_TIMEOUT)
            wanted = int(committed.offset)
        if not 0 <= wanted < given:
            return
        low, _ = consumer.get_watermark_offsets(TopicPartition(*place), ADMIN_TIMEOUT, cached=False)
    except KafkaException as error:
        log.warning("whether %s/%s was read from its beginning is not known: %s", *place, error)
        return
    if low > wanted:
        report_skipped(*place, wanted, min(low, given))
