"""RESUME: what was put off goes on when its time has come. A plain consumer that lets Kafka do the waiting.

Each cause of waiting has its topic. All messages of one topic wait equally long, so it is read in its order.

A partition whose next message must wait is paused at that message, so nothing is held in memory and a restart loses
nothing. The order is the guarantee: publish, have Kafka confirm, then commit; what is published twice after a crash is
answered from the store and settled once.
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
from streams.adapters.dead_letters import DeadLetters
from streams.adapters.events import KafkaRecord
from streams.adapters.kafka import KafkaConfig
from streams.adapters.topic_reader import record_of
from streams.core.errors import ServiceError, UnreadableError
from streams.core.messages import Deferred
from streams.core.process_fault import raise_process_fault
from streams.core.topics import DEFERRED, topic_of
from streams.telemetry.lag import lag_statistics
from streams.telemetry.message_metrics import observe
from streams.telemetry.metrics import RESUMED, WAITING, WAITS
from streams.telemetry.skipped import OffsetTracker, is_partition_end
from streams.telemetry.tracing import forwarded_headers

POLL_SECONDS, FLUSH_SECONDS = 0.5, 30.0
BATCH = 500
RETRY_AFTER = timedelta(seconds=1)
"""After how long a service that was not there is asked again."""
LONGEST_WAIT = timedelta(days=31)
"""Nothing of ours waits longer, and what would wait for ever would hold up all that stands behind it."""
log = logging.getLogger("escalon.resume")


@dataclass(kw_only=True)
class Scheduler:
    """Publishes tasks again that were put off, each not before its time, until `stop` is set."""

    kafka: KafkaConfig
    codec: Codec
    prefix: str
    dead_letters: DeadLetters
    now: Callable[[], datetime]
    stop: threading.Event
    _waiting: dict[tuple[str, int], datetime] = field(default_factory=dict)
    """Until when each paused partition waits."""
    _failures: list[str] = field(default_factory=list)
    _follow: OffsetTracker = field(default_factory=OffsetTracker)

    def run(self) -> None:
        """Consume, publish, commit, until told to stop. Raises ServiceError when Kafka confirms nothing any more."""
        consumer = Consumer(
            self.kafka.consumer(
                f"escalon-{self.prefix}resume",
                **{"session.timeout.ms": 10_000, "enable.partition.eof": True, **lag_statistics()},
            )
        )
        # The tiers' own producers share out keys by murmur2, so that a task comes back to its store of answers.
        by_key = {"partitioner": "murmur2_random"}
        producer = Producer(self.kafka.confluent(**{"enable.idempotence": False, "acks": "all"} | by_key))
        consumer.subscribe([self.prefix + spec.name for spec in DEFERRED.values()], on_revoke=self._let_go)
        try:
            while not self.stop.is_set():
                self._wake(consumer)
                self._step(consumer, producer)
        finally:
            consumer.close()

    def _let_go(self, consumer: Any, _: Any) -> None:
        self._follow.forget()
        # The client would keep a partition paused that it is given again.
        self._resume(consumer, list(self._waiting))

    def _wake(self, consumer: Any) -> None:
        self._resume(consumer, [place for place, until in self._waiting.items() if until <= self.now()])

    def _resume(self, consumer: Any, places: list[tuple[str, int]]) -> None:
        if places:
            consumer.resume([TopicPartition(*place) for place in places])
        for place in places:
            del self._waiting[place]
            self._tell_waiting(place[0])

    def _step(self, consumer: Any, producer: Any) -> None:
        done: dict[tuple[str, int], int] = {}
        for message in consumer.consume(BATCH, POLL_SECONDS):
            at_end = is_partition_end(message)
            if message.error() is not None and not at_end:
                log.warning("Kafka says: %s", message.error())
                continue
            place = message.topic(), message.partition()
            if place in self._waiting:
                continue
            following = self._follow.see(consumer, message)
            if at_end or self._goes_on_or_waits(record_of(message), consumer, producer):
                done[place] = following
        if done:
            self._confirm(producer)
            _commit(consumer, done)

    def _goes_on_or_waits(self, record: KafkaRecord, consumer: Any, producer: Any) -> bool:
        """As `_goes_on`; where the schema registry or the blob store is not there, it is tried again in a while."""
        try:
            return self._goes_on(record, consumer, producer)
        except ServiceError as away:
            log.warning("%s/%s waits: %s", record.topic, record.partition, away)
            WAITS.labels(record.topic).inc()
            self._hold(consumer, record, self.now() + RETRY_AFTER)
            return False

    def _goes_on(self, record: KafkaRecord, consumer: Any, producer: Any) -> bool:
        """Publish a task whose time has come; else pause its partition there."""
        try:
            deferred = self.codec.decode(Deferred, record.value or b"")
            task = deferred.task
            _check_wait(deferred, self.now())
        except UnreadableError as error:
            raise_process_fault(error)
            letter = self.dead_letters.letter(record, error)
            self._publish(producer, letter, record)
            observe(letter)
            return True
        if deferred.not_before <= self.now():
            self._publish(producer, task, record)
            RESUMED.labels(self.prefix + topic_of(task).name).inc()
            return True
        self._hold(consumer, record, deferred.not_before)
        return False

    def _hold(self, consumer: Any, record: KafkaRecord, until: datetime) -> None:
        """Pause a partition at a record."""
        place = TopicPartition(record.topic, record.partition, record.offset)
        consumer.pause([place])
        consumer.seek(place)
        self._follow.back(record.topic, record.partition, record.offset)
        self._waiting[record.topic, record.partition] = until
        self._tell_waiting(record.topic)

    def _tell_waiting(self, topic: str) -> None:
        WAITING.labels(topic).set(sum(place[0] == topic for place in self._waiting))

    def _publish(self, producer: Any, message: Any, record: KafkaRecord) -> None:
        """Publish what a record causes, in the record's trace."""
        spec = topic_of(message)
        producer.produce(
            f"{self.prefix}{spec.name}",
            self.codec.encode(message),
            key=spec.key(message),
            headers=forwarded_headers(record, message),
            on_delivery=self._delivered,
        )

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failures.append(error.str())

    def _confirm(self, producer: Any) -> None:
        left = producer.flush(FLUSH_SECONDS)
        if left or self._failures:
            what = f"Kafka did not confirm what was to go on ({', '.join(self._failures[:1]) or 'time ran out'})."
            raise ServiceError(what, "Check the broker and start this process again: nothing was committed.")


def _check_wait(deferred: Deferred, now: datetime) -> None:
    if deferred.not_before - now > LONGEST_WAIT:
        what = f"It must wait until {deferred.not_before.isoformat()}, longer than {LONGEST_WAIT.days} days."
        raise UnreadableError("bad_time", what, "Only a tier defers; check who else writes to this topic.")


def _commit(consumer: Any, done: dict[tuple[str, int], int]) -> None:
    try:
        offsets = [TopicPartition(*place, offset) for place, offset in done.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        log.warning("offsets not committed, at worst these tasks go on twice: %s", error)
