"""Bind a stage to a Faust agent: decode, handle, publish with the right key, dead-letter what cannot be done.

Four rules keep every event. An exception never leaves the agent, for Faust would count the event as done. A message
is acknowledged only after all it causes has been handed to the producer, which Faust flushes before it commits. A
message whose handling is cut off by a shutdown or a rebalance stays unacknowledged: Faust's stream acknowledges
even then, so the binding holds a reference of its own until the work is done. While a service
is away the message waits; only what is wrong with the message itself makes it a dead letter.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import faust
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from streams.adapters.codec import Codec
from streams.adapters.events import Received
from streams.core.errors import EscalonError, ServiceError, UnreadableError
from streams.core.messages import DeadLetter
from streams.core.topics import BY_MESSAGE
from streams.runtime.dead_letters import DeadLetters

M = TypeVar("M")
RETRY_SECONDS = 1.0
log = logging.getLogger("escalon.runtime")


@dataclass(frozen=True, kw_only=True)
class Outbox:
    """Publishes messages to their topics, keyed as the table of topics says."""

    app: faust.App
    codec: Codec
    prefix: str

    async def publish(self, messages: Sequence[Any]) -> None:
        """Hand messages to the producer, waiting while the broker is away. Raises only for one that is too large."""
        for message in messages:
            spec = BY_MESSAGE[type(message)]
            key = spec.key(message)
            await self.send(spec.name, key.encode() if key is not None else None, self.codec.encode(message))

    async def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Hand bytes to the producer."""
        while True:
            try:
                await self.app.send(
                    f"{self.prefix}{topic}", key=key, value=value, key_serializer="raw", value_serializer="raw"
                )
                return
            except MessageSizeTooLargeError as error:
                what = f"A message of {len(value)} bytes for the topic {topic} is over the broker's limit."
                raise UnreadableError("too_large", what, "Publish large content by reference.") from error
            except KafkaError as error:
                log.warning("cannot publish to %s, trying again: %r", topic, error)
                await asyncio.sleep(RETRY_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One stage on one topic. `handle` takes the record and publishes what it causes through `outbox`."""

    topic: str
    concurrency: int
    handle: Callable[[Received, Outbox], Awaitable[None]]


def bind(binding: Binding, outbox: Outbox, dead_letters: DeadLetters) -> None:
    """Make an agent of the outbox's app that runs the binding's stage."""
    topic = outbox.app.topic(
        f"{outbox.prefix}{binding.topic}",
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        internal=False,
        allow_empty=True,
    )

    async def run(stream: Any) -> None:
        events: AsyncIterator[Any] = stream.events()
        async for event in events:
            event.message.incref()
            await _handle(binding, received(event.message), outbox, dead_letters)
            event.ack()

    outbox.app.agent(topic, name=f"escalon.{binding.topic}", concurrency=binding.concurrency)(run)


def received(message: Any) -> Received:
    """A Faust message as a record."""
    headers = message.headers
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    return Received(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        timestamp=datetime.fromtimestamp(message.timestamp, UTC),
        headers=[(str(key), bytes(value)) for key, value in pairs if value is not None],
    )


async def _handle(binding: Binding, record: Received, outbox: Outbox, dead_letters: DeadLetters) -> None:
    while True:
        try:
            return await binding.handle(record, outbox)
        except ServiceError as away:  # the message is not at fault, and its neighbours would fare no better
            log.warning("%s waits: %s", binding.topic, away)
            await asyncio.sleep(RETRY_SECONDS)
        except Exception as error:
            if not isinstance(error, EscalonError):
                log.exception("%s failed on %s/%s/%s", binding.topic, record.topic, record.partition, record.offset)
            return await outbox.publish([await _letter(record, error, dead_letters)])


async def _letter(record: Received, error: Exception, dead_letters: DeadLetters) -> DeadLetter:
    """The dead letter, waiting while the blob store that keeps a large original is away."""
    while True:
        try:
            return dead_letters.letter(record, error)
        except ServiceError as away:
            log.warning("cannot keep a dead letter's original, trying again: %s", away)
            await asyncio.sleep(RETRY_SECONDS)
