"""The Python client: publish events and labels, with delivery confirmed by Kafka."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from confluent_kafka import KafkaError, Message, Producer

from streams.adapters.blobs import BlobStore
from streams.adapters.codec_factory import codec_for
from streams.adapters.event_reader import derived_event_id
from streams.adapters.ground_truth import checked, label_text
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import describe_cluster
from streams.adapters.topic_reader import record_of
from streams.app.settings import read_settings
from streams.core.errors import ConfigError, ServiceError
from streams.core.fingerprint import canonical, digest
from streams.core.messages import Label, RawEvent
from streams.telemetry.otlp import current_headers

FLUSH_SECONDS = 30.0
MAX_QUEUED = 100_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event or a label that Kafka has confirmed, with the event's id."""

    event_id: str
    topic: str
    partition: int
    offset: int


class Publisher:
    """Publishes events and labels; `flush` returns once Kafka has confirmed all of them.

        with Publisher("localhost:9092") as publisher:
            publisher.publish("Where is my order 1234?", id="mail-77")
            deliveries = publisher.flush()

    Without arguments it uses the environment (ESCALON_KAFKA and others). Delivery is idempotent within one Publisher;
    an event with its own id may be published again and still ends in one outcome.
    """

    def __init__(
        self,
        kafka: str | KafkaConfig | None = None,
        *,
        blobs: str | None = None,
        topic: str | None = None,
        idempotent: bool = True,
    ) -> None:
        settings = read_settings()
        config = KafkaConfig(servers=kafka) if isinstance(kafka, str) else kafka or settings.kafka
        if config is None:
            raise ConfigError("no broker is given.", "Pass host:port, or set the variable.", "ESCALON_KAFKA")
        self.topic = topic or f"{settings.topic_prefix}events"
        self._labels = f"{settings.topic_prefix}labels"
        self._now = settings.now
        self._codec = codec_for(settings.schema_registry)
        self._blobs = BlobStore(blobs or settings.blobs)
        self._cluster_id = describe_cluster(config).cluster_id
        self._deliveries: list[Delivery] = []
        self._failures: list[str] = []
        self._last_error = "time ran out"
        limits = {"queue.buffering.max.messages": MAX_QUEUED, "linger.ms": 1, "acks": "all", "error_cb": self._on_error}
        self._producer = Producer(config.producer(**{"enable.idempotence": idempotent} | limits))

    def publish(
        self,
        text: str = "",
        *,
        id: str | None = None,  # noqa: A002  the field's name everywhere else
        time: datetime | None = None,
        data: Mapping[str, Any] | None = None,
        image: bytes | Path | None = None,
        key: str | None = None,
        data_subject: str | None = None,
    ) -> None:
        """Queue one event. Order is kept among events with the same key: by default the id, else a content hash.

        `data_subject` names the person it is about, so that `escalon erase` finds it; rows hold only a hash of the
        name. If the program uses OpenTelemetry, the event continues its current trace.
        """
        dumped = json.dumps(data, ensure_ascii=False, sort_keys=True) if data else None
        self.publish_raw(
            RawEvent(id=id, time=time, text=text, data=dumped, data_subject=data_subject), image=image, key=key
        )

    def publish_raw(self, event: RawEvent, *, image: bytes | Path | None = None, key: str | None = None) -> None:
        """Queue an event in the form of the topic; put its image into the blob store first."""
        if image is not None:
            content = image.read_bytes() if isinstance(image, Path) else image
            event = replace(event, image=self._blobs.put(content))
        key = key or event.id or digest(canonical([event.text, event.data, event.image]))
        self._queue(self.topic, event, key, event.id)

    def label(
        self,
        event_id: str,
        label: Any,
        *,
        aspect: Literal["intent", "answer"] = "answer",
        source: str = "",
        run: str = "live",
        time: datetime | None = None,
    ) -> None:
        """Queue the correct answer to an event, as text or as any JSON value.

        `source` names its author, `time` is its date (default: now). Raises UnreadableError if it is not valid.
        """
        said_at = time or self._now()
        text = label_text(label)
        self.publish_label(
            Label(event_id=event_id, run=run, label=text, aspect=aspect, source=source, labelled_at=said_at)
        )

    def publish_label(self, label: Label) -> None:
        label = checked(label, self._now())
        self._queue(self._labels, label, label.event_id, label.event_id)

    def _queue(self, topic: str, message: RawEvent | Label, key: str, event_id: str | None) -> None:
        value, headers = self._codec.encode(message), current_headers()
        while True:
            try:
                self._producer.produce(topic, value, key=key, headers=headers, on_delivery=self._on_delivery(event_id))
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)

    def flush(self, timeout: float = FLUSH_SECONDS) -> list[Delivery]:
        """Wait until Kafka has confirmed every queued event and label; return them in the order of confirmation.

        Raises ServiceError if one is not confirmed within `timeout` seconds.
        """
        left = self._producer.flush(timeout)
        failures, self._failures = self._failures, []
        deliveries, self._deliveries = self._deliveries, []
        if left or failures:
            why = failures[0] if failures else self._last_error
            what = f"{left + len(failures)} messages were not confirmed ({why})."
            raise ServiceError(what, "Check the broker, then publish them again with the same ids.")
        return deliveries

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()

    def _on_error(self, error: KafkaError) -> None:
        """Remember a client error; the client still retries."""
        self._last_error = error.str()

    def _on_delivery(self, event_id: str | None) -> Any:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failures.append(error.str())
                return
            record = record_of(message)
            known = event_id or derived_event_id(record, self._cluster_id)
            self._deliveries.append(Delivery(known, record.topic, record.partition, record.offset))

        return report
