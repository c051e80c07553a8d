"""Publish deferred tasks again when they are due: the tier `resume`.

Each cause of such a deferral has its topic. All messages of a topic wait equally long, so it is read in order. A
partition whose next message is not due is paused at that message: nothing is held in memory, and a restart loses
nothing.

The order is the guarantee: 1. publish, 2. wait until Kafka has confirmed, 3. commit. A task that is published twice
after a crash is answered from the store and settled once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from streams.adapters.codec import Codec
from streams.adapters.confirmed_producer import ConfirmedProducer
from streams.adapters.dead_letters import DeadLetters
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.topic_reader import record_of
from streams.core.errors import ServiceError, UnreadableError
from streams.core.messages import DeadLetter, Deferred
from streams.core.process_fault import raise_process_fault
from streams.core.topics import TIMED, topic_of
from streams.telemetry.lag import STATISTICS_MS, lag_statistics
from streams.telemetry.message_metrics import observe
from streams.telemetry.metrics import RESUMED, WAITING, WAITS
from streams.telemetry.skipped_offsets import OffsetTracker, is_partition_end
from streams.telemetry.tracing import forwarded_headers

POLL_SECONDS = 0.5
BATCH = 500
RETRY_AFTER = timedelta(seconds=1)
"""The pause before an unavailable service is asked again."""
LONGEST_WAIT = timedelta(days=31)
"""The longest deferral; a later `not_before` is an error that would block the partition."""
log = logging.getLogger("escalon.resume")


@dataclass(kw_only=True)
class Scheduler:
    """Publishes each deferred task again when it is due, until `stop` is set."""

    kafka: KafkaConfig
    codec: Codec
    prefix: str
    dead_letters: DeadLetters
    now: Callable[[], datetime]
    stop: threading.Event
    statistics_ms: int = STATISTICS_MS
    _waiting: dict[tuple[str, int], datetime] = field(default_factory=dict)
    """The time until which each paused partition waits."""
    _ended: list[tuple[KafkaRecord, DeadLetter | None]] = field(default_factory=list)
    """The records of this step that went on (None) or became a dead letter."""
    _follow: OffsetTracker = field(default_factory=OffsetTracker)

    def run(self) -> None:
        """Consume, publish and commit until `stop` is set. Raises ServiceError if Kafka confirms nothing."""
        consumer = Consumer(
            self.kafka.consumer(
                f"escalon-{self.prefix}resume",
                **{"session.timeout.ms": 10_000, "enable.partition.eof": True, **lag_statistics(self.statistics_ms)},
            )
        )
        # The tiers' producers partition by murmur2; with the same partitioner a task returns to its store of answers.
        by_key = {"partitioner": "murmur2_random"}
        settings = self.kafka.producer(**{"enable.idempotence": False, "acks": "all"} | by_key)
        producer = ConfirmedProducer(Producer(settings))
        consumer.subscribe([self.prefix + spec.name for spec in TIMED], on_revoke=self._on_revoke)
        try:
            while not self.stop.is_set():
                self._wake(consumer)
                self._step(consumer, producer)
        finally:
            consumer.close()

    def _on_revoke(self, consumer: Any, _: Any) -> None:
        self._follow.forget()
        # The client would keep a partition paused if it were assigned again.
        self._resume(consumer, list(self._waiting))

    def _wake(self, consumer: Any) -> None:
        self._resume(consumer, [place for place, until in self._waiting.items() if until <= self.now()])

    def _resume(self, consumer: Any, places: list[tuple[str, int]]) -> None:
        if places:
            consumer.resume([TopicPartition(*place) for place in places])
        for place in places:
            del self._waiting[place]
            self._observe_waiting(place[0])

    def _step(self, consumer: Any, producer: ConfirmedProducer) -> None:
        done: dict[tuple[str, int], int] = {}
        self._ended.clear()
        for message in consumer.consume(BATCH, POLL_SECONDS):
            at_end = is_partition_end(message)
            if message.error() is not None and not at_end:
                log.warning("Kafka error: %s", message.error())
                continue
            place = message.topic(), message.partition()
            if place in self._waiting:
                continue
            following = self._follow.see(consumer, message)
            if at_end or self._handle_or_wait(record_of(message), consumer, producer):
                done[place] = following
        if done:
            producer.confirm("the deferred tasks", "nothing was committed")
            _commit(consumer, done)
            self._count_dead_letters()

    def _count_dead_letters(self) -> None:
        """Raise DeadLetterLimitError where too many messages became dead letters; they are committed."""
        for record, letter in self._ended:
            if letter is None:
                self.dead_letters.limit.succeeded(record.topic, record.partition, record.offset)
            else:
                self.dead_letters.limit.add(letter)

    def _handle_or_wait(self, record: KafkaRecord, consumer: Any, producer: ConfirmedProducer) -> bool:
        """Call `_handle`; if the schema registry or the blob store is unavailable, retry after RETRY_AFTER."""
        try:
            return self._handle(record, consumer, producer)
        except ServiceError as error:
            log.warning("%s/%s waits: %s", record.topic, record.partition, error)
            WAITS.labels(record.topic).inc()
            self._hold(consumer, record, self.now() + RETRY_AFTER)
            return False

    def _handle(self, record: KafkaRecord, consumer: Any, producer: ConfirmedProducer) -> bool:
        """Publish a task that is due, or pause its partition there; return whether the record is done."""
        try:
            deferred = self.codec.decode(Deferred, record.value or b"")
            task = deferred.task
            _check_wait(deferred, self.now())
        except UnreadableError as error:
            raise_process_fault(error)
            letter = self.dead_letters.letter(record, error)
            self._publish(producer, letter, record)
            observe(letter)
            self._ended.append((record, letter))
            return True
        if deferred.not_before <= self.now():
            self._publish(producer, task, record)
            RESUMED.labels(self.prefix + topic_of(task).name).inc()
            self._ended.append((record, None))
            return True
        self._hold(consumer, record, deferred.not_before)
        return False

    def _hold(self, consumer: Any, record: KafkaRecord, until: datetime) -> None:
        place = TopicPartition(record.topic, record.partition, record.offset)
        consumer.pause([place])
        consumer.seek(place)
        self._follow.back(record.topic, record.partition, record.offset)
        self._waiting[record.topic, record.partition] = until
        self._observe_waiting(record.topic)

    def _observe_waiting(self, topic: str) -> None:
        WAITING.labels(topic).set(sum(place[0] == topic for place in self._waiting))

    def _publish(self, producer: ConfirmedProducer, message: Any, record: KafkaRecord) -> None:
        """Publish a message in the trace of its record."""
        spec = topic_of(message)
        producer.produce(
            f"{self.prefix}{spec.name}",
            self.codec.encode(message),
            key=spec.key(message),
            headers=forwarded_headers(record, message),
        )


def _check_wait(deferred: Deferred, now: datetime) -> None:
    if deferred.not_before - now > LONGEST_WAIT:
        what = f"It must wait until {deferred.not_before.isoformat()}, longer than {LONGEST_WAIT.days} days."
        raise UnreadableError(
            "bad_time", what, "Only escalon's tiers may write to this topic; check for other producers."
        )


def _commit(consumer: Any, done: dict[tuple[str, int], int]) -> None:
    try:
        offsets = [TopicPartition(*place, offset) for place, offset in done.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        log.warning("offsets not committed; these tasks may be published twice: %s", error)
