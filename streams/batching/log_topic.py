"""The log of intents as a compacted topic, partition by partition like the tasks that it is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streams.adapters.confirmed_producer import ConfirmedProducer
from streams.adapters.kafka import KafkaConfig
from streams.adapters.topic_reader import TopicReader
from streams.batching.intent import Intent

LOG_TOPIC = "batch-intents"
GOES_ON = "it goes on where it was"


@dataclass(kw_only=True)
class TopicLog:
    """Is a Log: a write returns once Kafka has confirmed it. Raises ServiceError."""

    kafka: KafkaConfig
    topic: str
    producer: ConfirmedProducer

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
        self.producer.produce(self.topic, value, key=key, partition=intent.partition)
        self.producer.confirm("the log of batches", GOES_ON)
