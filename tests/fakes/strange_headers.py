"""A producer of headers whose names are no UTF-8, which Kafka takes and no client here can make."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from streams.adapters.kafka import KafkaConfig

Headers = Sequence[tuple[str | bytes, bytes]]
BATCH_BYTES = 2_000_000


class _Name(str):
    """A header's name that is encoded as these bytes."""

    __slots__ = ("_bytes",)
    _bytes: bytes

    def encode(self, *_: str) -> bytes:
        """The bytes."""
        return self._bytes


def wire_name(name: str | bytes) -> str:
    """A name for the client's builder in Python, which encodes it as the bytes it is given."""
    if isinstance(name, str):
        return name
    made = _Name("?" * len(name))
    made._bytes = name
    return made


def batch(*records: tuple[bytes | None, Headers], compression: int = 0) -> bytes:
    """The records of a partition as Kafka holds them, each a value and its headers."""
    builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, -1, BATCH_BYTES)
    for offset, (value, headers) in enumerate(records):
        assert builder.append(offset, 1000, None, value, [(wire_name(name), of) for name, of in headers])
    return bytes(builder.build())


def publish(kafka: KafkaConfig, topic: str, *records: tuple[bytes | None, Headers]) -> int:
    """Publish records in one batch to partition 0; returns the offset of the first."""

    async def send() -> int:
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka.servers, max_batch_size=BATCH_BYTES, max_request_size=BATCH_BYTES
        )
        await producer.start()
        try:
            made = producer.create_batch()
            for value, headers in records:
                pairs = [(wire_name(name), of) for name, of in headers]
                assert made.append(key=None, value=value, timestamp=None, headers=pairs)
            sent = await producer.send_batch(made, topic, partition=0)
            return int((await sent).offset)
        finally:
            await producer.stop()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(message_accumulator, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
        return asyncio.run(send())
