"""Records in transactions that were committed, aborted, or are open, on Apache Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition

from streams.adapters.kafka import KafkaConfig

WAIT_SECONDS = 60.0


def send(kafka: KafkaConfig, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
    """Publish records without a transaction."""
    producer = Producer(kafka.confluent())
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(WAIT_SECONDS) == 0


@contextmanager
def left_open(kafka: KafkaConfig, topic: str, values: Sequence[bytes], partition: int = 0) -> Iterator[None]:
    """Publish records in a transaction that is open meanwhile, and aborted in the end."""
    producer = _begun(kafka, topic, values, partition)
    try:
        yield
    finally:
        producer.abort_transaction(WAIT_SECONDS)
        _marked(kafka, topic, partition)


def commit(
    kafka: KafkaConfig, topic: str, values: Sequence[bytes], partition: int = 0, key: bytes | None = None
) -> int:
    """Publish records in a transaction and commit it; returns the offset after its mark."""
    return _ended(kafka, topic, values, partition, key, "commit_transaction")


def abort(kafka: KafkaConfig, topic: str, values: Sequence[bytes], partition: int = 0, key: bytes | None = None) -> int:
    """Publish records in a transaction and abort it; returns the offset after its mark."""
    return _ended(kafka, topic, values, partition, key, "abort_transaction")


def _ended(kafka: KafkaConfig, topic: str, values: Sequence[bytes], partition: int, key: bytes | None, how: str) -> int:
    producer = _begun(kafka, topic, values, partition, key)
    getattr(producer, how)(WAIT_SECONDS)
    return _marked(kafka, topic, partition)


def _marked(kafka: KafkaConfig, topic: str, partition: int) -> int:
    """The partition's end, once no transaction is open: the coordinator answers before it has written the marks."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (stable := end(kafka, topic, partition)) < end(kafka, topic, partition, "read_uncommitted"):
        assert time.monotonic() < deadline, "the transaction's mark never came"
    return stable


def _begun(kafka: KafkaConfig, topic: str, values: Sequence[bytes], partition: int, key: bytes | None = None) -> Any:
    producer = Producer(kafka.confluent(**{"transactional.id": uuid4().hex}))
    producer.init_transactions(WAIT_SECONDS)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, key=key, partition=partition)
    assert producer.flush(WAIT_SECONDS) == 0
    return producer


def end(kafka: KafkaConfig, topic: str, partition: int = 0, isolation: str = "read_committed") -> int:
    """The offset after the last record, as a client of an isolation level is given it."""
    consumer = Consumer(kafka.consumer("end", **{"isolation.level": isolation}))
    try:
        _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), WAIT_SECONDS)
    finally:
        consumer.close()
    return int(high)
