"""Count and log the records that a topic deleted before they were read."""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.adapters.kafka_admin import ADMIN_TIMEOUT
from streams.telemetry.metrics import SKIPPED

log = logging.getLogger("escalon.runtime")


def report_skipped(topic: str, partition: int, wanted: int, first: int) -> None:
    """Report that reading should go on at the offset `wanted`, and that the partition begins at `first`."""
    SKIPPED.labels(topic).inc(first - wanted)
    log.error(
        "%s/%s: the offsets %d to %d were deleted before they were read, because their retention is shorter than the "
        "lag of this process. Publish the missing records again.",
        topic, partition, wanted, first - 1,
    )  # fmt: skip


class OffsetTracker:
    """Finds gaps between the offsets that a confluent-kafka consumer reads from each partition."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, int], int] = {}

    def forget(self) -> None:
        """Forget all offsets after a rebalance: reading goes on at the committed ones."""
        self._next.clear()

    def back(self, topic: str, partition: int, offset: int) -> None:
        """Expect a message again."""
        self._next[topic, partition] = offset

    def see(self, consumer: Any, message: Any) -> int:
        """Note a message or a partition's end; return the offset that follows it."""
        place, offset = (message.topic(), message.partition()), message.offset()
        wanted = self._next.get(place)
        if wanted is None or wanted < offset:
            _look(consumer, place, wanted, offset)
        self._next[place] = offset + (message.error() is None)
        return self._next[place]


def is_partition_end(message: Any) -> bool:
    """True if this is the end of a partition and not a message."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def _look(consumer: Any, place: tuple[str, int], wanted: int | None, given: int) -> None:
    """Report a gap if its records were deleted. Aborted records and transaction markers also leave gaps."""
    try:
        if wanted is None:
            (committed,) = consumer.committed([TopicPartition(*place)], ADMIN_TIMEOUT)
            wanted = int(committed.offset)
        if not 0 <= wanted < given:
            return
        low, _ = consumer.get_watermark_offsets(TopicPartition(*place), ADMIN_TIMEOUT, cached=False)
    except KafkaException as error:
        log.warning("%s/%s may have skipped deleted records, which could not be checked: %s", *place, error)
        return
    if low > wanted:
        report_skipped(*place, wanted, min(low, given))
