"""The log of intents as a compacted topic, partition by partition like the tasks that it is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Producer

from streams.adapters.kafka import KafkaConfig
from streams.adapters.topic_reader import TopicReader
from streams.batching.intent import Intent
from streams.core.errors import ServiceError

LOG_TOPIC = "batch-intents"
CONFIRM_SECONDS = 30.0


@dataclass(kw_only=True)
class TopicLog:
    """Is a Log: a write returns once Kafka has confirmed it. Raises ServiceError."""

    kafka: KafkaConfig
    topic: str
    producer: Producer
    _failures: list[str] = field(default_factory=list)

    def write(self, intent: Intent) -> None:
        """Store an intent."""
        self._put(intent, intent.encode())

    def erase(self, intent: Intent) -> None:
        """Remove an intent."""
        self._put(intent, None)

    def read(self) -> Iterator[Intent]:
        """Yield all intents of all partitions."""
        found: dict[bytes, bytes | None] = {}
        with TopicReader(self.kafka, [self.topic]) as reader:
            for record in reader.to_end():
                found[record.key or b""] = record.value
        return (Intent.decode(value) for value in found.values() if value)

    def _put(self, intent: Intent, value: bytes | None) -> None:
        key = intent.intent_id.encode()
        self.producer.produce(self.topic, value, key=key, partition=intent.partition, on_delivery=self._delivered)
        confirm(self.producer, self._failures, "the log of batches")

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failures.append(error.str())


def confirm(producer: Producer, failures: list[str], what: str) -> None:
    """Return when Kafka has confirmed all that was produced. Raises ServiceError."""
    if producer.flush(CONFIRM_SECONDS) or failures:
        said = f"Kafka did not confirm {what} ({', '.join(failures[:1]) or 'time ran out'})."
        raise ServiceError(said, "Check the broker, then restart this process; it goes on where it was.")
