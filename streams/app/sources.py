"""LISTEN's second stage: a record of the user's own topic in, the event that `[source]` makes of it out.

Events go to escalon's topic `events`, under the id that the record gives them: a record that is read twice makes the
same event, and how the user's topic is partitioned and keyed does not matter. The user's topics are only read.
"""

from __future__ import annotations

import logging

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import ADMIN_TIMEOUT
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.source_reader import Skipped, SourceReader, source_headers
from streams.adapters.source_topics import SourceTopics
from streams.core.errors import ServiceError
from streams.runtime.bind import Binding, StagePublisher
from streams.telemetry.metrics import SOURCE_SKIPPED

log = logging.getLogger("escalon.source")


def source_binding(kafka: KafkaConfig, reader: SourceReader) -> Binding:
    """Return the stage that makes events of records. One at a time, so each partition keeps its order."""

    async def on_record(record: KafkaRecord, publisher: StagePublisher) -> None:
        found = reader(record)
        if isinstance(found, Skipped):
            SOURCE_SKIPPED.labels(record.topic, found.reason).inc()
        else:
            publisher.publish([found], source_headers(record))

    return Binding(topic="source", concurrency=1, handle=on_record, find=TopicFinder(kafka, reader.topics))


class TopicFinder:
    """Finds which of the user's topics exist, and logs once which ones are waited for."""

    def __init__(self, kafka: KafkaConfig, topics: SourceTopics) -> None:
        self._kafka, self._topics = kafka, topics
        self._admin: AdminClient | None = None
        self._found: list[str] = []
        self._waits_for = ""

    def __call__(self) -> list[str]:
        """Return the topics that exist, or have existed. Raises ServiceError if the broker does not answer."""
        if self._admin is None:
            self._admin = AdminClient(self._kafka.confluent(log_level=0))
        if self._topics.open_ended or len(self._found) < len(self._topics.named):
            try:
                existing = self._admin.list_topics(timeout=ADMIN_TIMEOUT).topics
            except KafkaException as error:
                what = f"Kafka does not list its topics ({error.args[0].str()})."
                raise ServiceError(what, "Check the broker.") from error
            self._found = sorted({*self._found, *self._topics.among(existing)})
            self._report()
        return self._found

    def _report(self) -> None:
        missing = [topic for topic in self._topics.named if topic not in self._found]
        waits_for = ", ".join(missing) if self._found or missing else str(self._topics)
        if waits_for and waits_for != self._waits_for:
            log.warning(
                "[source]: Kafka has no topic %s, or this user may not describe it. It is read once it exists.",
                waits_for,
            )
        self._waits_for = waits_for
