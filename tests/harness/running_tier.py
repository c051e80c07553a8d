"""A tier with one stage, on a topic of its own, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, TopicPartition

from streams.adapters.codec import Codec
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_changelogs, create_topics
from streams.adapters.kafka_record import KafkaRecord
from streams.core.tables import TableSpec
from streams.runtime.bind import Binding, StagePublisher
from streams.runtime.faust_app import ProcessConfig, TierApp
from tests.harness.bound_stage import LETTERS

WAIT_SECONDS = 60.0
TAKEN = TableSpec("taken", "listen", "events", key="a message", value="1")


@dataclass
class RunningTier:
    """A deployment's topic `events`, and a tier that takes what is on it and may remember that in a table."""

    kafka: KafkaConfig
    directory: Path
    partitions: int = 1
    drain_seconds: float = 15.0
    remembers: bool = False
    prefix: str = field(default_factory=lambda: f"{uuid4().hex[:8]}.")
    taken: list[bytes] = field(default_factory=list)
    cut_off: list[bytes] = field(default_factory=list)
    goes: asyncio.Event = field(default_factory=asyncio.Event)
    """If cleared, messages remain in flight."""

    def __post_init__(self) -> None:
        self.goes.set()
        create_topics(self.kafka, self.prefix, self.partitions, 1)
        create_changelogs(self.kafka, {TAKEN.changelog(self.prefix): self.partitions}, 1)

    @property
    def topic(self) -> str:
        return f"{self.prefix}events"

    def app(self) -> TierApp:
        """Return a new app of the tier."""
        config = ProcessConfig(directory=self.directory, prefix=self.prefix, drain_seconds=self.drain_seconds)
        app = TierApp("listen", self.kafka, config)
        table = app.table(TAKEN, 3600) if self.remembers else None

        async def take(record: KafkaRecord, _: StagePublisher) -> None:
            value = record.value or b""
            if table is not None:
                table[value] = b"1"
            self.taken.append(value)
            try:
                await self.goes.wait()
            except asyncio.CancelledError:
                self.cut_off.append(value)
                raise

        publisher = StagePublisher(client=app.client, codec=Codec(), prefix=self.prefix)
        app.bind([Binding(topic="events", concurrency=4, handle=take)], publisher, LETTERS)
        return app

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TierApp]:
        """Run the tier until it has stopped cleanly."""
        app = self.app()
        await app.start()
        try:
            yield app
        finally:
            await app.stop()

    async def until(self, is_so: Callable[[], Any]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not await asyncio.to_thread(is_so):  # noqa: ASYNC110 - it happens at a broker
                await asyncio.sleep(0.02)

    def committed(self, partition: int = 0) -> int:
        """Return the committed offset of the tier's group."""
        consumer = Consumer(self.kafka.consumer(f"escalon-{self.prefix}listen"))
        try:
            (place,) = consumer.committed([TopicPartition(self.topic, partition)], WAIT_SECONDS)
        finally:
            consumer.close()
        return int(place.offset)
