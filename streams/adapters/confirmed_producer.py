"""Messages whose confirmations a process waits for together, before it commits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import Producer

from streams.core.errors import ServiceError

CONFIRM_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class ConfirmedProducer:
    """One user of a producer; others may share the producer, and each learns of its own messages."""

    producer: Producer
    _failures: list[str] = field(default_factory=list)

    def produce(self, topic: str, value: bytes | None, **place: Any) -> None:
        """Hand a message to the producer; `place` is its key, partition and headers."""
        self.producer.produce(topic, value, on_delivery=self._delivered, **place)

    def confirm(self, what: str, afterwards: str) -> None:
        """Return when Kafka has confirmed all messages so far.

        Raises ServiceError, which names `what` is not confirmed and what is true `afterwards`.
        """
        if self.producer.flush(CONFIRM_SECONDS) or self._failures:
            said = f"Kafka did not confirm {what} ({', '.join(self._failures[:1]) or 'time ran out'})."
            raise ServiceError(said, f"Check the broker, then restart this process; {afterwards}.")

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failures.append(error.str())
