"""Hand bytes to Kafka, and learn when Kafka has confirmed all that one message caused.

A message is done when everything that it caused is confirmed: what it published, and what it wrote into tables. The
client sends in order and without duplicates (an idempotent producer), and waits for an unavailable broker as long as
that takes. So there are two outcomes of a delivery: it is confirmed, or the broker will never accept it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ProcessError, UnreadableError
from streams.runtime.partition import Partition
from streams.telemetry.metrics import PUBLISH_WAITS

RETRY_SECONDS = 1.0
POLL_SECONDS: Final = 0.02
"""The time between two looks for confirmations, while some are missing."""
LINGER_MS: Final = 1
PATIENT_LINGER_MS: Final = 50
"""For records that no tier waits for, such as those of the audit: fewer and larger batches cost the broker less."""
PATIENT_TOPICS: Final = frozenset({"calls"})
MAX_MESSAGE_BYTES: Final = 1_000_000
BATCH_BYTES: Final = 16_384
log = logging.getLogger("escalon.runtime")


class Deliveries:
    """The deliveries of one message that Kafka has not confirmed, and the message's claims on table entries."""

    __slots__ = ("_claims", "_left", "_refusal", "_then", "partition")

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        """That of the message; its table entries are written there."""
        self._left = 0
        self._refusal: UnreadableError | None = None
        self._then: Callable[[UnreadableError | None], None] | None = None
        self._claims: list[Callable[[], None]] = []

    def claim(self, withdraw: Callable[[], None]) -> None:
        """Register a table entry that `withdraw` removes if the message becomes a dead letter."""
        self._claims.append(withdraw)

    def withdraw(self) -> None:
        """Remove the claimed entries, the last one first, because the message becomes a dead letter."""
        while self._claims:
            self._claims.pop()()

    def expect(self) -> None:
        self._left += 1

    def settle(self, refusal: UnreadableError | None = None) -> None:
        """Note the end of one delivery; `refusal` says why the broker will never accept it."""
        self._left -= 1
        self._refusal = self._refusal or refusal
        if not self._left and self._then is not None:
            self._conclude(self._then)

    def when_settled(self, then: Callable[[UnreadableError | None], None]) -> None:
        """Call `then`, perhaps at once, when no delivery is left; with the first refusal, if there was one."""
        if self._left:
            self._then = then
        else:
            self._conclude(then)

    def _conclude(self, then: Callable[[UnreadableError | None], None]) -> None:
        refusal, self._refusal, self._then = self._refusal, None, None
        then(refusal)


HANDLED: ContextVar[Deliveries | None] = ContextVar("handled", default=None)
"""The deliveries of the message that is being handled in this context."""


def claim(withdraw: Callable[[], None]) -> None:
    """Register a claim of the message that is being handled, if there is one."""
    handled = HANDLED.get()
    if handled is not None:
        handled.claim(withdraw)


class TableChange(Protocol):
    """A change of a table that is sent to its changelog."""

    def superseded(self) -> bool:
        """Return True if a later change of the key was sent: this one must not be sent again after it."""
        ...

    def confirmed(self, offset: int) -> None:
        """Note that Kafka has it."""
        ...

    def refused(self, refusal: UnreadableError) -> None:
        """Note that the broker will never accept it. That is not the message's fault."""
        ...


class DeliveryClient:
    """Two producers: one that sends at once, and a patient one. `fail` receives an error that ends the process.

    Their callbacks run in the event loop, which polls them while confirmations are missing.
    """

    def __init__(self, kafka: KafkaConfig, batch_bytes: int, fail: Callable[[ProcessError], None]) -> None:
        self.fail = fail
        self._now, self._patient = (_producer(kafka, batch_bytes, linger) for linger in (LINGER_MS, PATIENT_LINGER_MS))
        self._unsettled = 0
        self._settled = asyncio.Event()
        """Set while no confirmation is missing."""
        self._settled.set()
        self._timer: asyncio.TimerHandle | None = None

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        deliveries: Deliveries,
        *,
        headers: list[tuple[str, bytes]] | None = None,
        partition: int = -1,
        patient: bool = False,
        change: TableChange | None = None,
    ) -> None:
        """Hand a record over, as one of a message's deliveries; a table's `change` hears what becomes of it.

        Raises UnreadableError if it is more than the producer may send.
        """
        producer = self._patient if patient else self._now
        record = Record(self, producer, topic, key, value, partition, headers, deliveries, change)
        deliveries.expect()
        try:
            record.hand_over()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                deliveries.settle()
                raise _ending(error) from error
            refusal = record.refused(error.args[0])
            deliveries.settle()
            if refusal is not None:
                raise refusal from error

    def missing(self, more: int) -> None:
        """Note that more confirmations are missing, or fewer."""
        self._unsettled += more
        if not self._unsettled:
            self._settled.set()
            return
        self._settled.clear()
        self._watch()

    def _watch(self) -> None:
        if self._timer is None and self._unsettled:
            self._timer = asyncio.get_running_loop().call_later(POLL_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        for producer in (self._now, self._patient):
            try:
                producer.poll(0)
            except KafkaException as error:  # an error that is fatal to the producer, and is raised once
                self.fail(_ending(error))
        self._watch()

    async def close(self, seconds: float) -> None:
        """Wait some seconds for the last confirmations."""
        async with asyncio.timeout(seconds):
            await self._settled.wait()


@dataclass(slots=True, eq=False)
class Record:
    """A record that was handed to a producer, and is handed over again while the broker refuses it for a while."""

    client: DeliveryClient
    producer: Producer
    topic: str
    key: bytes | None
    value: bytes | None
    partition: int
    headers: list[tuple[str, bytes]] | None
    deliveries: Deliveries
    change: TableChange | None

    def hand_over(self) -> None:
        """Give the record to the client. Raises KafkaException."""
        if self.change is not None and self.change.superseded():
            self.deliveries.settle()
            return
        try:
            self.producer.produce(self.topic, self.value, self.key, self.partition, self._settled, headers=self.headers)
        except BufferError:  # the client's buffer is full
            asyncio.get_running_loop().call_later(POLL_SECONDS, self._again)
        else:
            self.client.missing(1)

    def _again(self) -> None:
        try:
            self.hand_over()
        except KafkaException as error:
            self.client.fail(_ending(error))

    def _settled(self, error: KafkaError | None, message: Any) -> None:
        self.client.missing(-1)
        if error is None:
            if self.change is not None:
                self.change.confirmed(message.offset())
            self.deliveries.settle()
        elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self.deliveries.settle(self.refused(error))
        else:
            log.warning("cannot publish to %s, trying again: %s", self.topic, error.str())
            PUBLISH_WAITS.labels(self.topic).inc()
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._again)

    def refused(self, error: KafkaError) -> UnreadableError | None:
        """Return the refusal of a record that is too large; None for a table's change, which hears of it."""
        what = f"A message for the topic {self.topic} is over the broker's limit ({error.str()})."
        refusal = UnreadableError("too_large", what, "Publish large content by reference.")
        if self.change is None:
            return refusal
        self.change.refused(refusal)
        return None


def _producer(kafka: KafkaConfig, batch_bytes: int, linger_ms: int) -> Producer:
    one_by_one = {"batch.num.messages": 1} if batch_bytes == 1 else {"batch.size": batch_bytes}
    return Producer(
        kafka.producer(
            **one_by_one,
            **{
                "acks": "all",
                "enable.idempotence": True,
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "message.timeout.ms": 0,  # no limit
                "partitioner": "murmur2_random",
                "linger.ms": linger_ms,
                "reconnect.backoff.max.ms": 1000,
            },
        )
    )


def _ending(error: KafkaException) -> ProcessError:
    what = f"Kafka's client sends no more ({error.args[0].str()})."
    return ProcessError(what, "Nothing is lost: the next process publishes it again.")
