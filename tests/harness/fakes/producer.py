"""A fake of confluent-kafka's producer, for outcomes of deliveries that no broker can be made to report in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from confluent_kafka import KafkaError

from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ProcessError
from streams.runtime import deliveries
from streams.runtime.deliveries import BATCH_BYTES, DeliveryClient

TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "Broker: Message size too large")
FOR_A_WHILE = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "Broker: Topic authorization failed")


@dataclass(frozen=True)
class Sent:
    """A record that was produced, and then a confirmed message."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int
    headers: list[tuple[str, bytes]] | None
    at: int

    def offset(self) -> int:
        return self.at


@dataclass
class FakeProducer:
    """Keeps what is produced. When polled, it confirms all of that, or reports the next of `errors` instead."""

    errors: Iterable[KafkaError] = ()
    raised: list[Exception] = field(default_factory=list)
    """Raised by `produce`, one for each call."""
    fatal: list[Exception] = field(default_factory=list)
    """Raised by `poll`, one for each call."""
    silent: bool = False
    """True to report nothing."""
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._errors = iter(self.errors)
        self._reports: list[tuple[Callable[[KafkaError | None, Sent], None], Sent]] = []

    def produce(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int, report: Any, *, headers: Any = None
    ) -> None:
        if self.raised:
            raise self.raised.pop(0)
        self.sent.append(Sent(topic, key, value, partition, headers, len(self.sent)))
        self._reports.append((report, self.sent[-1]))

    def poll(self, _: float) -> None:
        if self.fatal:
            raise self.fatal.pop(0)
        while self._reports and not self.silent:
            report, sent = self._reports.pop(0)
            report(next(self._errors, None), sent)


@dataclass
class FakeProcess:
    """Keeps the reason why the process should end."""

    ending: ProcessError | None = None
    doubts: list[float] = field(default_factory=list)
    """The times to wait that it will name, the last one first."""

    def doubt_seconds(self) -> float:
        return self.doubts.pop() if self.doubts else 0.0

    def end(self, error: ProcessError) -> None:
        self.ending = self.ending or error


def delivery_client(producer: FakeProducer, process: FakeProcess) -> DeliveryClient:
    """Return a client that has this producer in place of both of its own."""
    with patch.object(deliveries, "Producer", lambda _: producer):
        return DeliveryClient(KafkaConfig(servers="none:1"), BATCH_BYTES, process.end)
