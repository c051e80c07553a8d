"""The Python client: publish events, and the truth about them, with delivery confirmed."""

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
from streams.adapters.events import recorded_event_id
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
    """Where Kafka has confirmed an event or a label to stand, and the event's id."""

    event_id: str
    topic: str
    partition: int
    offset: int


class Publisher:
    """Publishes events and labels; `flush` returns once Kafka has confirmed all of them.

        with Publisher("localhost:9092") as publisher:
            publisher.publish("Where is my order 1234?", id="mail-77")
            deliveries = publisher.flush()

    Without arguments it takes what the environment says (ESCALON_KAFKA and so on). Delivery is idempotent within one
    Publisher; an event with an id of its own may be published again and still ends in one outcome.
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
            raise ConfigError("no broker is named.", "Pass host:port, or set it.", "ESCALON_KAFKA")
        self.topic = topic or f"{settings.topic_prefix}events"
        self._labels = f"{settings.topic_prefix}labels"
        self._now = settings.now
        self._codec = codec_for(settings.schema_registry)
        self._blobs = BlobStore(blobs or settings.blobs)
        self._cluster_id = describe_cluster(config).cluster_id
        self._deliveries: list[Delivery] = []
        self._failures: list[str] = []
        self._trouble = "time ran out"
        limits = {"queue.buffering.max.messages": MAX_QUEUED, "linger.ms": 5, "acks": "all", "error_cb": self._on_error}
        self._producer = Producer(config.confluent(**{"enable.idempotence": idempotent} | limits))

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
        """Queue one event. Order is kept among events with the same key; without one the content decides.

        `data_subject` names whom it is about, so that `escalon erase` finds it; rows hold only a hash of the name.
        Where the program traces with OpenTelemetry, the event goes on in its current trace.
        """
        dumped = json.dumps(data, ensure_ascii=False, sort_keys=True) if data else None
        self.publish_raw(
            RawEvent(id=id, time=time, text=text, data=dumped, data_subject=data_subject), image=image, key=key
        )

    def publish_raw(self, event: RawEvent, *, image: bytes | Path | None = None, key: str | None = None) -> None:
        """Queue an event as it stands on the topic; an image is put into the blob store first."""
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
        """Queue the truth about an event: what its answer should have been, as text or as any JSON value.

        `source` says who says so, `time` when (now, unless given). Raises UnreadableError for what is no label.
        """
        said_at = time or self._now()
        text = label_text(label)
        self.publish_label(
            Label(event_id=event_id, run=run, label=text, aspect=aspect, source=source, labelled_at=said_at)
        )

    def publish_label(self, label: Label) -> None:
        """Queue a label as it stands on the topic."""
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
        """Wait until every queued event and label is confirmed; returns them in the order Kafka confirmed them.

        Raises ServiceError when one was not, within `timeout` seconds.
        """
        left = self._producer.flush(timeout)
        failures, self._failures = self._failures, []
        deliveries, self._deliveries = self._deliveries, []
        if left or failures:
            why = failures[0] if failures else self._trouble
            what = f"{left + len(failures)} messages were not confirmed ({why})."
            raise ServiceError(what, "Check the broker, then publish them again under the same ids.")
        return deliveries

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()

    def _on_error(self, error: KafkaError) -> None:
        """What is wrong between client and broker; nothing was given up yet."""
        self._trouble = error.str()

    def _on_delivery(self, event_id: str | None) -> Any:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failures.append(error.str())
                return
            record = record_of(message)
            known = event_id or recorded_event_id(record, self._cluster_id)
            self._deliveries.append(Delivery(known, record.topic, record.partition, record.offset))

        return report
