"""A producer of headers whose names are not UTF-8, which Kafka takes and no client here can make."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from streams.adapters.kafka import KafkaConfig

Headers = Sequence[tuple[str | bytes, bytes]]
WireHeaders = Sequence[tuple[str | bytes, bytes | None]]
BATCH_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Wire:
    """A record. A header's name in bytes goes out as it is."""

    value: bytes | None
    headers: WireHeaders
    key: bytes | None = None
    timestamp: int | None = None
    """Milliseconds since 1970; None: now."""


class _Name(str):
    """A header's name that is encoded as these bytes."""

    __slots__ = ("_bytes",)
    _bytes: bytes

    def encode(self, *_: str) -> bytes:
        """The bytes."""
        return self._bytes


def _names(headers: WireHeaders) -> list[tuple[str, bytes | None]]:
    return [(name if isinstance(name, str) else _named(name), value) for name, value in headers]


def _named(name: bytes) -> str:
    made = _Name("?" * len(name))
    made._bytes = name
    return made


def _builder(compression: int = 0) -> _DefaultRecordBatchBuilderPy:
    # The client's usual one is in C, and takes no name but a str.
    return _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, -1, BATCH_BYTES)


def batch(*records: tuple[bytes | None, Headers], compression: int = 0) -> bytes:
    """The records of a partition as Kafka holds them, each a value and its headers."""
    builder = _builder(compression)
    for offset, (value, headers) in enumerate(records):
        assert builder.append(offset, 1000, None, value, _names(headers))
    return bytes(builder.build())


def publish(kafka: KafkaConfig, topic: str, *records: tuple[bytes | None, Headers]) -> int:
    """Publish records in one batch to partition 0; returns the offset of the first."""
    ((_, _, first),) = publish_batches(kafka, [(topic, 0, [Wire(value, headers) for value, headers in records])])
    return first


def publish_batches(
    kafka: KafkaConfig, batches: Sequence[tuple[str, int, Sequence[Wire]]]
) -> list[tuple[str, int, int]]:
    """Publish batches, each to its topic and partition; returns these with the offset of each one's first record."""
    return asyncio.run(_publish(kafka, batches))


async def _publish(
    kafka: KafkaConfig, batches: Sequence[tuple[str, int, Sequence[Wire]]]
) -> list[tuple[str, int, int]]:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.servers, max_batch_size=BATCH_BYTES, max_request_size=BATCH_BYTES
    )
    await producer.start()
    try:
        sent = []
        for topic, partition, records in batches:
            made = producer.create_batch()
            made._builder = _builder()
            for one in records:
                headers = _names(one.headers)
                assert made.append(timestamp=one.timestamp, key=one.key, value=one.value, headers=headers)
            sent.append(await producer.send_batch(made, topic, partition=partition))
        return [(one.topic, one.partition, one.offset) for one in await asyncio.gather(*sent)]
    finally:
        await producer.stop()
