"""Hand bytes to Kafka and wait for their confirmation.

A message is done when Kafka has confirmed everything that it caused: what it published, and what it wrote into tables.
Faust tracks neither: it does not report a producer that gives up, and changelog writes wait in a buffer of which a
flush covers only a tenth of a second. So neither the flush before a commit nor the commit itself proves anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faust.exceptions import ProducerSendError

from streams.core.errors import UnreadableError
from streams.telemetry.metrics import PUBLISH_WAITS

RETRY_SECONDS = 1.0
log = logging.getLogger("escalon.runtime")

Send = Callable[[], Awaitable[Any]]
"""Hands bytes to the producer; its result is awaited for the confirmation."""


class PendingDeliveries:
    """The deliveries of one message that Kafka may not have confirmed yet, and its claims on table entries."""

    def __init__(self) -> None:
        self._confirmations: list[asyncio.Task[None]] = []
        self._claims: list[Callable[[], None]] = []

    def claim(self, withdraw: Callable[[], None]) -> None:
        """Register a table entry that `withdraw` removes if the message becomes a dead letter."""
        self._claims.append(withdraw)

    def withdraw(self) -> None:
        """Remove the claimed entries, the last one first, because the message becomes a dead letter."""
        while self._claims:
            self._claims.pop()()

    def add(self, confirmation: Coroutine[Any, Any, None]) -> None:
        self._confirmations.append(asyncio.create_task(confirmation))

    async def confirmed(self) -> None:
        """Wait for all. Raises UnreadableError if the broker will never accept one of them."""
        while self._confirmations:
            await self._confirmations.pop(0)


PENDING: ContextVar[PendingDeliveries | None] = ContextVar("pending", default=None)
"""Those of the message that is being handled in this context."""


def claim(withdraw: Callable[[], None]) -> None:
    """Register a claim of the message that is being handled, if there is one."""
    pending = PENDING.get()
    if pending is not None:
        pending.claim(withdraw)


async def hand_over(topic: str, send: Send, pending: PendingDeliveries) -> None:
    """Hand bytes to the producer, waiting while the broker is unavailable; `pending` waits for the confirmation.

    Raises UnreadableError if they are more than the producer may send.
    """
    sent = await until_taken(topic, send)

    async def confirm() -> None:
        waiting = sent
        while True:
            try:
                await waiting
                return
            except (KafkaError, ProducerSendError) as error:
                await wait_or_raise(topic, error)
                waiting = await until_taken(topic, send)

    pending.add(confirm())


async def until_taken(topic: str, send: Send) -> Any:
    """Return the result of `send`, retrying while the broker is unavailable.

    Raises UnreadableError for a message that is too large.
    """
    while True:
        try:
            return await send()
        except (KafkaError, ProducerSendError) as error:
            await wait_or_raise(topic, error)


async def wait_or_raise(topic: str, error: Exception) -> None:
    """Wait before the next try. Raises UnreadableError if the broker will never accept the message."""
    reason = error.__cause__ if isinstance(error, ProducerSendError) else error
    if isinstance(reason, MessageSizeTooLargeError):
        what = f"A message for the topic {topic} is over the broker's limit ({reason})."
        raise UnreadableError("too_large", what, "Publish large content by reference.") from error
    log.warning("cannot publish to %s, trying again: %r", topic, error)
    PUBLISH_WAITS.labels(topic).inc()
    await asyncio.sleep(RETRY_SECONDS)
