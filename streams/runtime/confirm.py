"""Hand bytes to Kafka and know when it has them.

A message is done when Kafka has confirmed everything that it caused: what it published, and what it wrote into tables.
Faust forgets both: a producer that gives up says so to nobody, and the changelog's writes wait in a buffer of which a
flush sees only a tenth of a second. So neither the flush before a commit nor the commit itself can be relied upon.
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
"""Hands bytes to the producer; what it returns can be awaited again, for the confirmation."""


class PendingDeliveries:
    """What one message has caused and Kafka may not have confirmed yet."""

    def __init__(self) -> None:
        self._confirmations: list[asyncio.Task[None]] = []
        self._claims: list[Callable[[], None]] = []

    def claim(self, withdraw: Callable[[], None]) -> None:
        """Note a table entry that holds only if the message does not end as a dead letter; `withdraw` removes it."""
        self._claims.append(withdraw)

    def withdraw(self) -> None:
        """Remove the entries that the message claimed, the last one first: it becomes a dead letter."""
        while self._claims:
            self._claims.pop()()

    def add(self, confirmation: Coroutine[Any, Any, None]) -> None:
        """One thing more."""
        self._confirmations.append(asyncio.create_task(confirmation))

    async def confirmed(self) -> None:
        """Wait for all. Raises UnreadableError when the broker will never take one of them."""
        while self._confirmations:
            await self._confirmations.pop(0)


PENDING: ContextVar[PendingDeliveries | None] = ContextVar("pending", default=None)
"""What the message that is being handled has caused."""


def claim(withdraw: Callable[[], None]) -> None:
    """Note that what the message being handled writes holds only if it does not end as a dead letter."""
    pending = PENDING.get()
    if pending is not None:
        pending.claim(withdraw)


async def hand_over(topic: str, send: Send, pending: PendingDeliveries) -> None:
    """Hand bytes to the producer, waiting while the broker is away; `pending` waits for the confirmation.

    Raises UnreadableError when they are more than the producer may send.
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
    """The result of `send`, trying again while the broker is away. Raises UnreadableError for what is too large."""
    while True:
        try:
            return await send()
        except (KafkaError, ProducerSendError) as error:
            await wait_or_raise(topic, error)


async def wait_or_raise(topic: str, error: Exception) -> None:
    """Wait before the next try. Raises UnreadableError where the broker will never take the message."""
    reason = error.__cause__ if isinstance(error, ProducerSendError) else error
    if isinstance(reason, MessageSizeTooLargeError):
        what = f"A message for the topic {topic} is over the broker's limit ({reason})."
        raise UnreadableError("too_large", what, "Publish large content by reference.") from error
    log.warning("cannot publish to %s, trying again: %r", topic, error)
    PUBLISH_WAITS.labels(topic).inc()
    await asyncio.sleep(RETRY_SECONDS)
