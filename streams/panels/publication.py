"""Publish a panel's messages to Kafka, with each of them confirmed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from streams.adapters.codec_factory import codec_for
from streams.app.settings import Settings, require_kafka
from streams.core.errors import ServiceError
from streams.core.messages import Call, Judgement, Panel, PanelCase, Reservation
from streams.core.topics import topic_of
from streams.sink.progress import await_stored

PanelMessage = Panel | PanelCase | Judgement | Reservation | Call
PUBLISH_SECONDS: Final = 30.0
RECORDED_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_REMEDY: Final = "Check the broker, then try again: a repeated message changes nothing."


class MessageProducer(Protocol):
    """The part of confluent-kafka's producer that is used here."""

    def produce(self, topic: str, value: bytes, key: str | None, on_delivery: Any) -> None: ...

    def poll(self, timeout: float) -> int: ...

    def purge(self) -> None: ...

    def flush(self, timeout: float) -> int: ...


class MessageWriter:
    """Writes messages to their topics. A context manager; `send` may be called from any thread.

    The producer is idempotent and waits for all replicas (`acks=all`). A message that Kafka has not confirmed after
    `seconds` counts as failed, although it may still arrive.
    """

    def __init__(self, settings: Settings, seconds: float = PUBLISH_SECONDS) -> None:
        self._kafka, self._prefix = require_kafka(settings), settings.topic_prefix
        self._codec = codec_for(settings.schema_registry)
        self._limits = {
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 2,
            "message.timeout.ms": int(seconds * 1000),
            # The in-memory broker may give all messages of a batch one offset.
            "batch.size": max(settings.batch_bytes, 1),
        }
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._producer = self._connect()
        self._poller = threading.Thread(target=self._poll, name="panel-producer", daemon=True)
        self._poller.start()

    def __enter__(self) -> MessageWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self) -> None:
        """Register all schemas now, so that no message waits for the registry. Raises ServiceError."""
        self._codec.prepare()

    def send(self, messages: Sequence[PanelMessage]) -> Future[None]:
        """Return a future that is done when Kafka has confirmed all messages, or has a ServiceError if one failed."""
        confirmed: Future[None] = Future()
        confirmed.set_running_or_notify_cancel()
        if not messages:
            confirmed.set_result(None)
            return confirmed
        encoded = [(topic_of(one), one, self._codec.encode(one)) for one in messages]
        waiting = _Confirmations(len(encoded), confirmed)
        with self._lock:
            for spec, message, value in encoded:
                self._produce(self._prefix + spec.name, value, spec.key(message), waiting)
        return confirmed

    def close(self) -> None:
        """Wait a moment for messages in flight, then stop."""
        self._closing.set()
        self._poller.join()
        self._producer.flush(5)

    def _produce(self, topic: str, value: bytes, key: str | None, waiting: _Confirmations) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key=key, on_delivery=waiting.delivered)
                return
            except BufferError:  # the queue is full
                self._producer.poll(_POLL_SECONDS)
            except KafkaException as error:
                if error.args[0].fatal():
                    # Its messages fail now, and are sent again by another producer.
                    self._producer.purge()
                    self._producer.flush(1)
                    self._producer = self._connect()
                waiting.failed(error.args[0].str())
                return

    def _connect(self) -> MessageProducer:
        made: MessageProducer = Producer(self._kafka.producer(**self._limits))
        return made

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL_SECONDS)


class _Confirmations:
    """Counts the confirmations of the messages that were sent together."""

    def __init__(self, count: int, confirmed: Future[None]) -> None:
        self._left, self._confirmed, self._lock = count, confirmed, threading.Lock()

    def delivered(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self.failed(error.str())
            return
        with self._lock:
            self._left -= 1
            if self._left == 0 and not self._confirmed.done():
                self._confirmed.set_result(None)

    def failed(self, why: str) -> None:
        with self._lock:
            if not self._confirmed.done():
                self._confirmed.set_exception(ServiceError(f"Kafka has not confirmed a message ({why}).", _REMEDY))


def publish(settings: Settings, messages: Sequence[PanelMessage]) -> None:
    """Publish messages to their topics and return when Kafka has confirmed all; raise ServiceError if it does not."""
    with MessageWriter(settings) as writer:
        try:
            writer.send(messages).result(2 * PUBLISH_SECONDS)
        except TimeoutError as error:
            raise ServiceError("Kafka has not confirmed a message in time.", _REMEDY) from error


def await_recorded(settings: Settings, seconds: float = RECORDED_SECONDS) -> None:
    """Wait until RECORD has stored what the topics hold now; raise ServiceError if it has not after `seconds`."""
    await_stored(require_kafka(settings), settings.topic_prefix, seconds)
