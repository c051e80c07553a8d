"""A script as one would write it by hand: events from Kafka, a call each, a row in ClickHouse, an outcome, a commit.

It reads a batch of a topic, streams the answers, inserts the rows, publishes the outcomes, and commits when Kafka has
confirmed them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from anthropic import AsyncAnthropic

from bench.peers.peer import BATCH, given

COLUMNS = ("event_id", "model", "prompt", "answer", "input_tokens", "output_tokens", "seconds", "started_at")
TABLE = """
    CREATE TABLE IF NOT EXISTS script_calls (event_id String, model String, prompt String, answer String,
    input_tokens UInt32, output_tokens UInt32, seconds Float64, started_at DateTime64(6)) ORDER BY event_id
"""


class Script:
    """The clients, and the calls of a batch."""

    def __init__(self, argument: dict[str, Any]) -> None:
        self.body = argument["body"]
        self.client = AsyncAnthropic(api_key="none", base_url=argument["url"])
        self.clickhouse = clickhouse_connect.get_client(dsn=argument["clickhouse"])
        self.clickhouse.command(TABLE)
        self.slots = asyncio.Semaphore(32)

    async def answer(self, event: dict[str, str]) -> tuple[Any, ...]:
        """Call the model; return the row."""
        async with self.slots:
            started, began = datetime.now(UTC), time.perf_counter()
            prompt = f"{self.body['messages'][0]['content']}\n{event['id']}"
            said, used, read = [], 0, 0
            request = {**self.body, "messages": [{"role": "user", "content": prompt}], "stream": True}
            async for part in await self.client.messages.create(**request):
                if part.type == "message_start":
                    read = part.message.usage.input_tokens
                elif part.type == "content_block_delta":
                    said.append(part.delta.text)
                elif part.type == "message_delta":
                    used = part.usage.output_tokens
            seconds = time.perf_counter() - began
            return event["id"], self.body["model"], prompt, "".join(said), read, used, seconds, started


async def main() -> None:
    argument = given()
    script, calls = Script(argument), argument["calls"]
    servers = argument["kafka"]
    consumer = AIOKafkaConsumer(
        argument["events"], bootstrap_servers=servers, group_id="script", enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=5, acks="all")
    await consumer.start()
    await producer.start()
    done, first, began = 0, 0, 0.0
    while done < calls + BATCH:  # the first batch is the warm-up
        batch = [
            record
            for records in (await consumer.getmany(timeout_ms=500, max_records=BATCH)).values()
            for record in records
        ]
        rows = await asyncio.gather(*(script.answer(json.loads(record.value)) for record in batch))
        if rows:
            await asyncio.to_thread(script.clickhouse.insert, "script_calls", rows, COLUMNS)
            outcomes = [
                await producer.send(argument["outcomes"], json.dumps({"id": row[0], "answer": row[3]}).encode())
                for row in rows
            ]
            await asyncio.gather(*outcomes)
            await consumer.commit()
        done += len(rows)
        if not began and rows:
            first, began = done, time.process_time()
    sys.stdout.write(json.dumps({"cpu_seconds": time.process_time() - began, "calls": done - first}) + "\n")
    await consumer.stop()
    await producer.stop()


if __name__ == "__main__":
    asyncio.run(main())
