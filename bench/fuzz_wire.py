"""Records whose headers have names that are no UTF-8: Kafka takes them, and no client here makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from fuzz_messages import Fuzzed

from streams.adapters.kafka import KafkaConfig
from tests.fakes.strange_headers import BATCH_BYTES, wire_name


def publish_as_it_is(
    kafka: KafkaConfig, records: Sequence[Fuzzed], partitions: Mapping[str, int]
) -> list[tuple[str, int, int]]:
    """Publish records, each in a batch of its own; returns their topics, partitions and offsets."""
    return asyncio.run(_publish(kafka, records, partitions))


async def _publish(
    kafka: KafkaConfig, records: Sequence[Fuzzed], partitions: Mapping[str, int]
) -> list[tuple[str, int, int]]:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.servers, max_batch_size=BATCH_BYTES, max_request_size=BATCH_BYTES
    )
    await producer.start()
    try:
        sent = []
        for number, record in enumerate(records):
            batch = producer.create_batch()
            # The client's usual builder is in C, and takes no name but a str.
            batch._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, BATCH_BYTES)
            headers = [(wire_name(name), value) for name, value in record.headers]
            assert batch.append(timestamp=record.timestamp, key=record.key, value=record.value, headers=headers)
            partition = number % partitions[record.topic]
            sent.append(await producer.send_batch(batch, record.topic, partition=partition))
        return [(one.topic, one.partition, one.offset) for one in await asyncio.gather(*sent)]
    finally:
        await producer.stop()
