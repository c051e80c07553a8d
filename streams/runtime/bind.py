"""Bind a stage to a topic so that no message is lost: it is done, or it is a dead letter, or it comes again.

The commit order of one message:

1. The stage handles it. What it publishes and writes into tables is handed to the producer.
2. If the message itself is at fault, its claims on table entries are withdrawn and a dead letter is published instead.
3. The next message is handled. Kafka confirms all that this one caused. What it refuses as too large turns the message
   into a dead letter (2).
4. The message is done. A dead letter is counted. At its limit on dead letters the process ends.
5. The group's member commits up to the first message that is not done.

While a service is unavailable, the message waits. If this process lacks what it needs (room on its disk, file handles,
memory), it ends and leaves the message to the next process. Only a fault of the message itself makes it a dead letter.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters
from streams.adapters.kafka_record import KafkaRecord
from streams.core.errors import DeadLetterLimitError, EscalonError, ProcessError, ServiceError, UnreadableError
from streams.core.messages import DeadLetter
from streams.core.process_fault import process_fault, raise_process_fault
from streams.core.topics import headers_of, is_for, topic_of
from streams.runtime.deliveries import HANDLED, PATIENT_TOPICS, RETRY_SECONDS, Deliveries, DeliveryClient
from streams.runtime.partition import Partition
from streams.telemetry.message_metrics import handled, handling, observe
from streams.telemetry.metrics import WAITS
from streams.telemetry.tracing import OFF, Handling, Tracing

log = logging.getLogger("escalon.runtime")


Headers = Sequence[tuple[str, bytes]]


class Process(Protocol):
    """The process that messages are handled in."""

    ending: ProcessError | None
    """The reason why it ends by itself; once it is set, no message is started."""

    def end(self, error: ProcessError) -> None:
        """End it."""
        ...

    def doubt_seconds(self) -> float:
        """Return the time to wait until it is certain which partitions this process still has; 0 if it is certain."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePublisher:
    """Publishes messages to their topics, with the keys of the table of topics and in the trace of their event."""

    client: DeliveryClient
    codec: Codec
    prefix: str
    tracing: Tracing = OFF
    handling: Handling | None = None
    """The message whose handling publishes."""
    deliveries: Deliveries | None = None
    """Those of that message."""

    def publish(self, messages: Sequence[Any], headers: Headers = ()) -> None:
        """Hand messages to the producer, with some headers. Raises UnreadableError for one that is too large."""
        for message in messages:
            spec = topic_of(message)
            key, value = spec.key(message), self.codec.encode(message)
            self.send(spec.name, key.encode() if key is not None else None, value, message, headers)
            observe(message)
            if self.handling is not None:
                self.handling.caused(message)

    def send(self, topic: str, key: bytes | None, value: bytes, about: Any, headers: Headers = ()) -> None:
        """Hand bytes to the producer, in the trace of the event that the message `about` belongs to."""
        assert self.deliveries is not None, "a message is published while another is handled"  # noqa: S101
        every = [*headers, *headers_of(about)]
        if self.handling is not None:
            every += self.handling.headers(about)
        name, patient = f"{self.prefix}{topic}", topic in PATIENT_TOPICS
        self.client.send(name, key, value, self.deliveries, headers=every, patient=patient)


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One stage on one topic. `handle` takes the record and publishes what it causes through `publisher`."""

    topic: str
    concurrency: int
    handle: Callable[[KafkaRecord, StagePublisher], Awaitable[None]]
    partitions: int | None = None
    """Partitions of the topic and of its tier's tables; None to accept any."""
    find: Callable[[], Sequence[str]] | None = None
    """Finds the user's own topics that the stage reads instead of `topic`, again and again, because more may come.
    It blocks, and raises ServiceError. A tier has at most one such stage, and no table follows its topics."""


@dataclass(kw_only=True)
class BoundStage:
    """Handles a binding's messages and ends each once Kafka has confirmed all that it caused."""

    binding: Binding
    publisher: StagePublisher
    dead_letters: DeadLetters
    process: Process
    ended: Callable[[], None]
    """Called for each message that this process will not handle any further."""
    _slots: asyncio.Semaphore = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _letters: int = 0
    """Dead letters that Kafka has not confirmed yet."""
    _no_letters: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.binding.concurrency)
        self._no_letters.set()

    async def handle(self, batch: Sequence[tuple[Partition, KafkaRecord]]) -> None:
        """Handle messages, as many at the same time as the binding allows; return once the last one has begun."""
        for partition, record in batch:
            if not is_for(self.binding.topic, record.headers):
                self._skip(partition, record)
            elif self.binding.concurrency == 1:
                await self._handle(partition, record)
            else:
                await self._slots.acquire()
                task = asyncio.create_task(self._handle(partition, record))
                self._tasks.add(task)
                task.add_done_callback(self._finished)

    def cancel(self) -> None:
        """Cut off the messages in flight: they come again."""
        for task in self._tasks:
            task.cancel()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()

    def _skip(self, partition: Partition, record: KafkaRecord) -> None:
        """End a message that is another stage's, without decoding it."""
        if partition.begin():
            handled(record.topic, None)
            partition.end(record.offset)
        self.ended()

    async def _handle(self, partition: Partition, record: KafkaRecord) -> None:
        await self._no_letters.wait()  # once they are counted, the tier may be at its limit
        while doubt := self.process.doubt_seconds():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(doubt)
        if self.process.ending is not None or not partition.begin():  # it comes again, here or in the next process
            self.ended()
            return
        deliveries = Deliveries(partition)
        HANDLED.set(deliveries)
        letter: DeadLetter | None = None
        try:
            letter = await self._observed(record, deliveries)
        except Exception as error:  # the message stays uncommitted
            self._end_process(record, error)
            deliveries.when_settled(lambda _: self._end(partition, None))
            return
        if letter is not None:
            self._letter_waits(1)
        deliveries.when_settled(partial(self._settled, record, deliveries, letter, smallest=False))

    def _letter_waits(self, more: int) -> None:
        self._letters += more
        self._no_letters.clear() if self._letters else self._no_letters.set()

    def _settled(
        self,
        record: KafkaRecord,
        deliveries: Deliveries,
        letter: DeadLetter | None,
        refusal: UnreadableError | None,
        *,
        smallest: bool,
    ) -> None:
        """End a message that Kafka has confirmed, or publish the dead letter that a refusal makes of it."""
        if refusal is not None:
            task = asyncio.ensure_future(self._refused(record, deliveries, letter, refusal, smallest=smallest))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        self._end(deliveries.partition, record.offset)
        try:
            limit = self.dead_letters.limit
            limit.succeeded(*place_of(record)) if letter is None else limit.add(letter)
        except DeadLetterLimitError as error:
            self._end_process(record, error)
        if letter is not None:
            self._letter_waits(-1)

    async def _refused(
        self,
        record: KafkaRecord,
        deliveries: Deliveries,
        letter: DeadLetter | None,
        refusal: UnreadableError,
        *,
        smallest: bool,
    ) -> None:
        """Publish a dead letter instead of what the broker refuses as too large.

        If it refuses the letter as well, the smallest possible one follows; until the broker's limit is raised, that
        one is tried again and again.
        """
        HANDLED.set(deliveries)
        try:
            deliveries.withdraw()
            if letter is None:
                self._letter_waits(1)
                letter = await _letter(record, refusal, self.dead_letters)
            elif not smallest:
                letter, smallest = await _smallest(record, letter, self.dead_letters), True
            else:
                log.error("no dead letter can be published, trying again: %s", refusal)
                await asyncio.sleep(RETRY_SECONDS)
            replace(self.publisher, deliveries=deliveries).publish([letter])
        except Exception as error:
            self._end_process(record, error)
            self._end(deliveries.partition, None)
            return
        deliveries.when_settled(partial(self._settled, record, deliveries, letter, smallest=smallest))

    def _end(self, partition: Partition, offset: int | None) -> None:
        partition.end(offset)
        self.ended()

    def _end_process(self, record: KafkaRecord, error: Exception) -> None:
        """End the process, which can neither handle a message nor turn it into a dead letter."""
        if (own := process_fault(error)) is None:
            log.error("%s/%s/%s can be neither handled nor dead-lettered", *place_of(record), exc_info=error)
            what = f"A message cannot be finished ({type(error).__name__}: {error})."
            own = ProcessError(what, "Report this as a defect.")
        self.process.end(own)

    async def _observed(self, record: KafkaRecord, deliveries: Deliveries) -> DeadLetter | None:
        """Handle a message, counted and traced. One that is cut off is neither, because it comes again."""
        way = self.publisher.tracing.begin(record)
        with handling(record.topic):
            letter = await self._until_handled(record, replace(self.publisher, handling=way, deliveries=deliveries))
        error = letter.reason if letter is not None else None
        handled(record.topic, error)
        way.end(error)
        return letter

    async def _until_handled(self, record: KafkaRecord, publisher: StagePublisher) -> DeadLetter | None:
        """Handle a message; return its dead letter if it became one."""
        while True:
            try:
                await self.binding.handle(record, publisher)
                return None
            except ServiceError as error:  # the message is not at fault, and other messages would fail as well
                log.warning("%s waits: %s", self.binding.topic, error)
                WAITS.labels(record.topic).inc()
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:
                raise_process_fault(error)
                if not isinstance(error, EscalonError):
                    if (ending := self.process.ending) is not None:  # a failure now may be a consequence of that
                        raise ending from error
                    log.exception("%s failed on %s/%s/%s", self.binding.topic, *place_of(record))
                assert publisher.deliveries is not None  # noqa: S101
                publisher.deliveries.withdraw()
                letter = await _letter(record, error, self.dead_letters)
                publisher.publish([letter])
                return letter


def place_of(record: KafkaRecord) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


async def _letter(record: KafkaRecord, error: Exception, dead_letters: DeadLetters) -> DeadLetter:
    return await _kept(lambda: dead_letters.letter(record, error))


async def _smallest(record: KafkaRecord, letter: DeadLetter, dead_letters: DeadLetters) -> DeadLetter:
    return await _kept(lambda: dead_letters.smallest(record, letter))


async def _kept(make: Callable[[], DeadLetter]) -> DeadLetter:
    """Return a dead letter, waiting while the blob store for large originals is unavailable."""
    while True:
        try:
            return make()
        except ServiceError as error:
            log.warning("cannot keep a dead letter's original, trying again: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
