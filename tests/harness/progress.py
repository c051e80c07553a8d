"""The progress of consumer groups: the ends of topics, and the messages that a tier has not committed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from streams.adapters.kafka import KafkaConfig
from streams.adapters.topic_reader import Offsets, TopicReader
from streams.sink.batch import SINK_TABLES

SINK_SECONDS: Final = 120.0


def end_offsets(kafka: KafkaConfig, topics: Iterable[str]) -> Offsets:
    """Return the end offsets of the partitions of some topics."""
    reader = TopicReader(kafka, list(topics))
    try:
        return reader.ends()
    finally:
        reader.close()


def uncommitted(kafka: KafkaConfig, tier: str, topics: Iterable[str]) -> int:
    """Return the number of messages of some topics that a tier's group has not committed."""
    consumer, ends = Consumer(kafka.confluent(**{"group.id": f"escalon-{tier}"})), end_offsets(kafka, topics)
    try:
        committed = consumer.committed([TopicPartition(*place) for place in ends], 15)
        # The in-memory broker may number the records of a batch alike, so that an end is before what is committed.
        return sum(max(0, ends[each.topic, each.partition] - max(each.offset, 0)) for each in committed)
    finally:
        consumer.close()


def wait_for_sink(kafka: KafkaConfig) -> None:
    """Wait until the sink has committed all messages; return after SINK_SECONDS even if it has not."""
    deadline = time.monotonic() + SINK_SECONDS
    while uncommitted(kafka, "record", SINK_TABLES) and time.monotonic() < deadline:
        time.sleep(0.5)
