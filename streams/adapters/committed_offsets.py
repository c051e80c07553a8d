"""The offsets that a consumer group has committed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.adapters.kafka_admin import ADMIN_TIMEOUT

MOVING: Final = frozenset(
    {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS}
)
"""Answers of a broker that does not yet, or no longer, coordinate the group."""
PAUSE_SECONDS: Final = 0.2


def committed_offsets(consumer: Consumer, places: Sequence[TopicPartition]) -> list[TopicPartition]:
    """Return the places with the offsets that the consumer's group has committed; under 0 where it has none.

    While the group moves to another coordinator it is asked again, for ADMIN_TIMEOUT seconds. Raises KafkaException.
    """
    deadline = time.monotonic() + ADMIN_TIMEOUT
    while places:
        try:
            found: list[TopicPartition] = consumer.committed([*places], ADMIN_TIMEOUT)
            return found
        except KafkaException as error:
            if error.args[0].code() not in MOVING or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)
    return []
