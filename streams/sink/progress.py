"""Wait until RECORD has stored what the topics hold."""

from __future__ import annotations

import time
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.adapters.committed_offsets import committed_offsets
from streams.adapters.kafka import KafkaConfig
from streams.adapters.topic_reader import TopicReader
from streams.core.errors import ServiceError
from streams.sink.batch import SINK_TABLES, sink_group

POLL_SECONDS: Final = 0.1


def await_stored(config: KafkaConfig, prefix: str, seconds: float) -> None:
    """Wait until RECORD has committed every record that its topics hold now.

    Raises ServiceError if it has not after `seconds`, or if Kafka does not answer.
    """
    deadline = time.monotonic() + seconds
    group = sink_group(prefix)
    with TopicReader(config, [prefix + topic for topic in SINK_TABLES]) as reader:
        left = {place: end for place, (low, end) in reader.held().items() if low < end}
    consumer = Consumer(config.consumer(group))
    try:
        while left := _behind(consumer, left):
            if time.monotonic() > deadline:
                named = ", ".join(f"{topic}/{number}" for topic, number in sorted(left))
                what = f"The records of {named} were not stored within {seconds:g} s."
                raise ServiceError(what, "Check the process `escalon worker record` and its log.")
            time.sleep(POLL_SECONDS)
    except KafkaException as error:
        what = f"Kafka does not report the offsets of the group {group} ({error.args[0].str()})."
        raise ServiceError(what, "Check the broker, then try again.") from error
    finally:
        consumer.close()


def _behind(consumer: Consumer, ends: dict[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """Return the partitions whose committed offset is before their end, with their ends."""
    if not ends:
        return {}
    committed = committed_offsets(consumer, [TopicPartition(*place) for place in ends])
    return {place: ends[place] for one in committed if one.offset < ends[place := (one.topic, one.partition)]}
