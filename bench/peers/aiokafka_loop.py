"""A bare loop of aiokafka's consumer and producer."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.peers.loop import loop


async def main() -> None:
    own = loop()
    consumer = AIOKafkaConsumer(
        own.source, bootstrap_servers=own.servers, group_id=own.source, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=own.servers, linger_ms=5, acks="all")
    await consumer.start()
    await producer.start()
    while True:
        for records in (await consumer.getmany(timeout_ms=500, max_records=1000)).values():
            for record in records:
                for value in own.values:
                    await producer.send(own.target, value, key=record.key)


if __name__ == "__main__":
    asyncio.run(main())
