"""Read a topic from its first record to an end fixed beforehand, without a consumer group: to count what is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, TopicPartition

from streams.adapters.kafka import ADMIN_TIMEOUT, KafkaConfig, describe_cluster
from streams.core.errors import ServiceError

BATCH, POLL_SECONDS, STILL_POLLS, END_POLLS = 2000, 0.5, 120, 20
Marks = Mapping[int, tuple[int, int]]
"""By partition: the first offset that is held, and the one after the last."""


class Scan:
    """Reads topics of one cluster. A context manager."""

    def __init__(self, config: KafkaConfig) -> None:
        settings = {"enable.partition.eof": True, "fetch.wait.max.ms": 50}
        self._partitions: Final = describe_cluster(config).partitions
        self._consumer = Consumer(config.consumer("escalon-scan", **settings))

    def __enter__(self) -> Scan:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def marks(self, topic: str) -> dict[int, tuple[int, int]]:
        """The watermarks of a topic's partitions, now. Raises ServiceError when there is no such topic."""
        if topic not in self._partitions:
            raise ServiceError(f"There is no topic {topic}.", "Create the topics with `escalon topics --create`.")
        marks = {number: self._marks(topic, number) for number in range(self._partitions[topic])}
        ends = self._ends(topic, {number: high for number, (low, high) in marks.items() if low < high})
        return {number: (low, ends.get(number, high)) for number, (low, high) in marks.items()}

    def read(self, topic: str, marks: Marks) -> Iterator[Any]:
        """Every message between the marks, as confluent-kafka gives it. Raises ServiceError when Kafka goes silent."""
        left = {partition: high for partition, (low, high) in marks.items() if low < high}
        ahead = sum(marks[partition][1] - marks[partition][0] for partition in left)
        self._consumer.assign([TopicPartition(topic, partition, marks[partition][0]) for partition in left])
        still = 0
        while left:
            # Not more than there is, or it would wait for what does not come.
            found = self._consumer.consume(max(1, min(BATCH, ahead)), POLL_SECONDS)
            ahead -= len(found)
            still = 0 if found else still + 1
            if still > STILL_POLLS:
                raise ServiceError(f"Kafka gives no more records of {topic}.", "Check the broker, then try again.")
            for message in found:
                yield from _within(message, left)
        self._consumer.unassign()

    def record(self, topic: str, partition: int, offset: int) -> Any:
        """One message; None when it is gone."""
        return next(self.read(topic, {partition: (offset, offset + 1)}), None)

    def _ends(self, topic: str, known: dict[int, int]) -> dict[int, int]:
        """The offsets after the last records. The in-memory broker says too little when it is asked for them: of a
        batch of several records it counts only some. Fetching from there on shows how far it really goes."""
        if not known:
            return known
        ends, left = dict(known), set(known)
        self._consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in known.items()])
        for _ in range(END_POLLS):
            for message in self._consumer.consume(len(left), POLL_SECONDS):
                error, partition = message.error(), message.partition()
                at_end = error is not None and error.code() == KafkaError._PARTITION_EOF
                ends[partition] = max(ends[partition], message.offset() + (0 if error else 1))
                left -= {partition} if at_end else set()
            if not left:
                break
        self._consumer.unassign()
        return ends

    def _marks(self, topic: str, partition: int) -> tuple[int, int]:
        place = TopicPartition(topic, partition)
        low, high = self._consumer.get_watermark_offsets(place, timeout=ADMIN_TIMEOUT, cached=False)
        return low, high


def _within(message: Any, left: dict[int, int]) -> Iterator[Any]:
    """The message, if it is one and stands before its partition's end; ends that are reached leave `left`."""
    partition, offset, error = message.partition(), message.offset(), message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise ServiceError(f"Kafka cannot be read ({error.str()}).", "Check the broker, then try again.")
    end = left.get(partition, 0)
    # What stands last may be a mark of Kafka's own, which no client is given: then only the partition's end tells.
    if offset + 1 >= end or error is not None:
        left.pop(partition, None)
    if error is None and offset < end:
        yield message
