"""A stage that is bound to the topic `pre.events`, on fakes of the producer and of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime

from confluent_kafka import KafkaError

from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters
from streams.adapters.kafka_record import KafkaRecord
from streams.core.messages import DeadLetter
from streams.runtime.bind import Binding, BoundStage, StagePublisher
from streams.runtime.partition import Partition
from streams.telemetry.tracing import OFF, Tracing
from tests.harness.fakes.producer import FakeProcess, FakeProducer, delivery_client

CODEC = Codec()
AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
LETTERS = DeadLetters(
    run="live", cluster_id="cluster", keep_whole=lambda _: "sha", event_id=lambda record: f"e{record.offset}"
)
WAIT_SECONDS = 10.0


def record(offset: int = 17, value: bytes = b"x", headers: Iterable[tuple[str, bytes]] = ()) -> KafkaRecord:
    return KafkaRecord("pre.events", 3, offset, b"k", value, AT, list(headers))


class StageOnFakes:
    """Hands records to a bound stage, as its agent does."""

    def __init__(
        self,
        handle: Callable[[KafkaRecord, StagePublisher], Awaitable[None]],
        *,
        errors: Iterable[KafkaError] = (),
        letters: DeadLetters = LETTERS,
        tracing: Tracing = OFF,
        partition: int = 3,
        topic: str = "events",
        concurrency: int = 1,
    ) -> None:
        self.producer, self.process = FakeProducer(errors), FakeProcess()
        self.partition, self.ended = Partition("pre.events", partition, None), 0
        self.client = delivery_client(self.producer, self.process)
        self.stage = BoundStage(
            binding=Binding(topic=topic, concurrency=concurrency, handle=handle),
            publisher=StagePublisher(client=self.client, codec=CODEC, prefix="pre.", tracing=tracing),
            dead_letters=letters,
            process=self.process,
            ended=self._count,
        )

    def _count(self) -> None:
        self.ended += 1

    async def begin(self, *records: KafkaRecord) -> asyncio.Task[None]:
        """Hand records over, and let the stage do what it can do at once."""
        for one in records:
            self.partition.read(one.offset)
        task = asyncio.create_task(self.stage.handle([(self.partition, one) for one in records]))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), 0.03)
        return task

    async def handle(self, *records: KafkaRecord) -> None:
        """Hand records over, and wait until each has ended."""
        until = self.ended + len(records)
        task = await self.begin(*records)
        async with asyncio.timeout(WAIT_SECONDS):
            await task
            while self.ended < until:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.002)

    @property
    def committable(self) -> int | None:
        """The offset of the first record that is not done."""
        return self.partition.committable()

    def topics(self) -> list[str]:
        return [sent.topic for sent in self.producer.sent]

    def letters(self) -> list[DeadLetter]:
        """The dead letters that were published."""
        sent = [one.value for one in self.producer.sent if one.topic == "pre.dead-letters"]
        return [CODEC.decode(DeadLetter, value) for value in sent if value is not None]
