"""Bind a stage to a Faust agent so that no message is lost: it is done, or it is a dead letter, or it comes again.

The commit order of one message:

1. The stage handles it. What it publishes and writes into tables is handed to the producer.
2. If the message itself is at fault, its claims on table entries are withdrawn and a dead letter is published instead.
3. The agent takes the next message, at which Faust's stream gives up its reference to this one. The binding holds a
   reference of its own, because the stream also gives up that of a message whose handling was cut off.
4. Kafka confirms all that the message caused. What it refuses as too large turns the message into a dead letter (2).
5. The binding acknowledges the message, which is now done. This must come after 3: an acknowledgement by the stream
   itself does not pass through our consumer.
6. A dead letter is counted. At its limit on dead letters the process ends.
7. The consumer commits up to the first message that is not done.

No exception leaves the agent, because Faust would count the message as done. While a service is unavailable, the
message waits. If this process lacks what it needs (room on its disk, file handles, memory), it ends and leaves the
message to the next process. Only a fault of the message itself makes it a dead letter.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import faust

from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters
from streams.adapters.kafka_record import KafkaRecord, kafka_time
from streams.core.errors import DeadLetterLimitError, EscalonError, ProcessError, ServiceError, UnreadableError
from streams.core.messages import DeadLetter
from streams.core.process_fault import process_fault, raise_process_fault
from streams.core.topics import topic_of
from streams.runtime.confirm import PENDING, RETRY_SECONDS, PendingDeliveries, hand_over
from streams.runtime.drain import Drain
from streams.telemetry.message_metrics import handled, handling, observe
from streams.telemetry.metrics import WAITS
from streams.telemetry.tracing import OFF, Handling, Tracing

UNCONFIRMED = 1000
"""Messages of one topic that may wait for Kafka's confirmation in a process."""
log = logging.getLogger("escalon.runtime")


@dataclass(frozen=True, kw_only=True)
class StagePublisher:
    """Publishes messages to their topics, with the keys of the table of topics and in the trace of their event."""

    app: faust.App
    codec: Codec
    prefix: str
    tracing: Tracing = OFF
    handling: Handling | None = None
    """The message whose handling publishes."""
    pending: PendingDeliveries = field(default_factory=PendingDeliveries)
    topics: dict[str, Any] = field(default_factory=dict)
    """Faust's topics by name; Faust itself would build one for every message."""

    async def publish(self, messages: Sequence[Any]) -> None:
        """Hand messages to the producer, waiting while the broker is unavailable.

        Raises UnreadableError only for a message that is too large.
        """
        for message in messages:
            spec = topic_of(message)
            key = spec.key(message)
            await self.send(spec.name, key.encode() if key is not None else None, self.codec.encode(message), message)
            observe(message)
            if self.handling is not None:
                self.handling.caused(message)

    async def send(self, topic: str, key: bytes | None, value: bytes, about: Any) -> None:
        """Hand bytes to the producer, in the trace of the event that the message `about` belongs to."""
        headers = self.handling.headers(about) if self.handling is not None else []
        name = f"{self.prefix}{topic}"
        if name not in self.topics:
            self.topics[name] = self.app.topic(name, key_serializer="raw", value_serializer="raw")

        async def send() -> Any:
            return await self.topics[name].send(key=key, value=value, headers=headers)

        await hand_over(name, send, self.pending)


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One stage on one topic. `handle` takes the record and publishes what it causes through `publisher`."""

    topic: str
    concurrency: int
    handle: Callable[[KafkaRecord, StagePublisher], Awaitable[None]]
    partitions: int | None = None
    """Partitions of the topic and of its tier's tables; None to accept any."""


def bind(binding: Binding, publisher: StagePublisher, dead_letters: DeadLetters, drain: Drain) -> None:
    """Create an agent that runs the binding's stage and reports messages in flight to `drain`."""
    topic = publisher.app.topic(
        f"{publisher.prefix}{binding.topic}",
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        internal=False,
        allow_empty=True,
    )

    work = Work(binding, publisher, dead_letters, drain)

    async def run(stream: Any) -> None:
        events: AsyncIterator[Any] = stream.events()
        async for event in events:
            await work.handle(event)

    publisher.app.agent(topic, name=f"escalon.{binding.topic}", concurrency=binding.concurrency)(run)


class Work:
    """Handles a binding's messages and acknowledges each once Kafka has confirmed all that it caused."""

    def __init__(self, binding: Binding, publisher: StagePublisher, dead_letters: DeadLetters, drain: Drain) -> None:
        self._binding, self._publisher, self._dead_letters, self._drain = binding, publisher, dead_letters, drain
        self._slots = asyncio.Semaphore(UNCONFIRMED)
        self._confirming: set[asyncio.Task[None]] = set()
        self._letters: set[asyncio.Task[None]] = set()
        """Dead letters that Kafka has not confirmed yet."""

    async def handle(self, event: Any) -> None:
        """Handle one message; a task of its own waits for its confirmation while the agent takes the next."""
        event.message.incref()
        record, publisher = received(event.message), replace(self._publisher, pending=PendingDeliveries())
        letter: DeadLetter | None = None
        PENDING.set(publisher.pending)
        with ExitStack() as held:
            held.enter_context(self._drain.handling())
            if self._letters:  # once they are counted, the tier may be at its limit
                await asyncio.wait(self._letters)
            if self._publisher.app.ending is not None:  # the message stays uncommitted, for the next process
                return
            await self._slots.acquire()
            held.callback(self._slots.release)
            try:
                self._check_partition(record)
                letter = await _observed(self._binding, record, publisher, self._dead_letters)
            except Exception as error:  # nothing leaves the agent: Faust would count the message as done
                self._end(record, error)
                finishing = self._leave(record, publisher, held.pop_all())
            else:
                finishing = self._confirm(event, record, publisher, letter, held.pop_all())
        confirming = asyncio.create_task(finishing)
        self._confirming.add(confirming)
        confirming.add_done_callback(self._confirming.discard)
        if letter is not None:
            self._letters.add(confirming)
            confirming.add_done_callback(self._letters.discard)

    def _check_partition(self, record: KafkaRecord) -> None:
        """Raise ProcessError for a partition that was added after this process had opened its tables."""
        known = self._binding.partitions
        if known is not None and record.partition >= known:
            what = f"The topic {record.topic} has more than the {known} partitions it had when this process started."
            raise ProcessError(what, "Restart the tier: it then reports what to do.")

    def _end(self, record: KafkaRecord, error: Exception) -> None:
        """End the process, which can neither handle a message nor turn it into a dead letter."""
        if (own := process_fault(error)) is None:
            log.error("%s/%s/%s can be neither handled nor dead-lettered", *place_of(record), exc_info=error)
            what = f"A message cannot be finished ({type(error).__name__}: {error})."
            own = ProcessError(what, "Report this as a defect.")
        self._publisher.app.end(own)

    async def _leave(self, record: KafkaRecord, publisher: StagePublisher, held: ExitStack) -> None:
        """Leave a message to the next process, once Kafka has confirmed what it caused, such as a paid answer."""
        with held:
            try:
                await publisher.pending.confirmed()
            except Exception:  # the message is handled again in any case
                log.exception("Kafka has not confirmed all that %s/%s/%s caused", *place_of(record))

    async def _confirm(
        self, event: Any, record: KafkaRecord, publisher: StagePublisher, letter: DeadLetter | None, held: ExitStack
    ) -> None:
        with held:
            try:
                letter = await self._until_confirmed(record, publisher, letter)
            except Exception as error:  # no later offset can be committed, so a new process begins with it
                self._end(record, error)
                return
            event.ack()
            try:
                self._count(record, letter)
            except DeadLetterLimitError as error:
                self._end(record, error)

    def _count(self, record: KafkaRecord, letter: DeadLetter | None) -> None:
        limit = self._dead_letters.limit
        limit.succeeded(*place_of(record)) if letter is None else limit.add(letter)

    async def _until_confirmed(
        self, record: KafkaRecord, publisher: StagePublisher, letter: DeadLetter | None
    ) -> DeadLetter | None:
        """Wait until Kafka has confirmed all that the message caused, and return its dead letter if it became one.

        A broker may accept less than the producer may send: then the message becomes a dead letter, and if that is too
        large as well, the smallest possible one.
        """
        smallest = False
        while True:
            try:
                await publisher.pending.confirmed()
                return letter
            except UnreadableError as refusal:
                publisher.pending.withdraw()
                if letter is None:
                    letter = await _letter(record, refusal, self._dead_letters)
                elif not smallest:
                    letter, smallest = await _smallest(record, letter, self._dead_letters), True
                else:  # until the broker's limit is raised, all later messages wait
                    log.error("no dead letter can be published, trying again: %s", refusal)
                    await asyncio.sleep(RETRY_SECONDS)
            await publisher.publish([letter])


def place_of(record: KafkaRecord) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


def received(message: Any) -> KafkaRecord:
    """Return a Faust message as a record."""
    headers = message.headers
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    return KafkaRecord(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        timestamp=kafka_time(None if message.timestamp is None else message.timestamp * 1000),
        headers=[(str(key), bytes(value)) for key, value in pairs if value is not None],
    )


async def _observed(
    binding: Binding, record: KafkaRecord, publisher: StagePublisher, dead_letters: DeadLetters
) -> DeadLetter | None:
    """Handle a message, counted and traced. One that is cut off is neither, because it comes again."""
    way = publisher.tracing.begin(record)
    with handling(record.topic):
        letter = await _handle(binding, record, replace(publisher, handling=way), dead_letters)
    error = letter.reason if letter is not None else None
    handled(record.topic, error)
    way.end(error)
    return letter


async def _handle(
    binding: Binding, record: KafkaRecord, publisher: StagePublisher, dead_letters: DeadLetters
) -> DeadLetter | None:
    """Handle a message; return its dead letter if it became one."""
    while True:
        try:
            await binding.handle(record, publisher)
            return None
        except ServiceError as error:  # the message is not at fault, and other messages would fail as well
            log.warning("%s waits: %s", binding.topic, error)
            WAITS.labels(record.topic).inc()
            await asyncio.sleep(RETRY_SECONDS)
        except Exception as error:
            raise_process_fault(error)
            if not isinstance(error, EscalonError):
                if (ending := publisher.app.ending) is not None:  # a failure now may be a consequence of that
                    raise ending from error
                log.exception("%s failed on %s/%s/%s", binding.topic, *place_of(record))
            publisher.pending.withdraw()
            letter = await _letter(record, error, dead_letters)
            await publisher.publish([letter])
            return letter


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
