"""The tier `batch`: reads the tasks that wait for a batch, and runs the desk of each of its partitions."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from streams.adapters.codec import Codec
from streams.adapters.committed_offsets import committed_offsets
from streams.adapters.confirmed_producer import ConfirmedProducer
from streams.adapters.dead_letters import DeadLetters
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.topic_reader import record_of
from streams.batching.desk import POLL, Desk
from streams.batching.log_topic import GOES_ON, LOG_TOPIC, TopicLog
from streams.batching.search import Search
from streams.batching.waiting import BatchQuestion, Waiting
from streams.core.errors import UnreadableError
from streams.core.messages import BatchReply, Deferred, Escalation, Verdict
from streams.core.process_fault import raise_process_fault
from streams.core.topics import DEFERRED, topic_of
from streams.models.providers.batches import BatchAPI
from streams.telemetry.lag import STATISTICS_MS, lag_statistics
from streams.telemetry.message_metrics import observe
from streams.telemetry.metrics import BATCH_TASKS, RESUMED
from streams.telemetry.tracing import forwarded_headers

POLL_SECONDS, STEP_SECONDS = 0.5, 1.0
BATCH = 500
MOST_WAITING, MOST_BYTES_WAITING = 50_000, 256_000_000
"""Tasks in memory, of all partitions, and bytes of their requests; while there are more, no further ones are read."""
POLL_INTERVAL_MS = 900_000
"""The most between two polls: a step may create several batches of 64 MB."""
log = logging.getLogger("escalon.batch")


@dataclass(kw_only=True)
class BatchProcess:
    """Runs until `stop` is set. Is the Outbox of its desks."""

    kafka: KafkaConfig
    codec: Codec
    prefix: str
    dead_letters: DeadLetters
    question: Callable[[Verdict | Escalation], BatchQuestion | None]
    """Returns the question of a task; None if it cannot wait for a batch."""
    apis: Callable[[str], BatchAPI]
    now: Callable[[], datetime]
    stop: threading.Event
    statistics_ms: int = STATISTICS_MS
    _desks: dict[int, Desk] = field(default_factory=dict)
    _batch_ids: tuple[float, frozenset[str]] = (-60.0, frozenset())
    _paused: set[int] = field(default_factory=set)

    def run(self) -> None:
        """Read, gather and give back until `stop` is set. Raises ServiceError if Kafka confirms nothing."""
        own = {"partition.assignment.strategy": "cooperative-sticky", "max.poll.interval.ms": POLL_INTERVAL_MS}
        group = f"escalon-{self.prefix}batch"
        self._consumer = Consumer(self.kafka.consumer(group, **own, **lag_statistics(self.statistics_ms)))
        # In order, because a task that an identical one's answer serves must arrive after that one.
        ordered = {"acks": "all", "max.in.flight.requests.per.connection": 1, "partitioner": "murmur2_random"}
        producer = Producer(self.kafka.producer(**ordered))
        self._producer = ConfirmedProducer(producer)
        self._log = TopicLog(kafka=self.kafka, topic=self.prefix + LOG_TOPIC, producer=ConfirmedProducer(producer))
        topic = self.prefix + DEFERRED["batch"].name
        self._consumer.subscribe([topic], on_assign=self._on_assign, on_revoke=self._drop, on_lost=self._drop)
        try:
            while not self.stop.is_set():
                self._turn()
        finally:
            self._consumer.close()

    def _turn(self) -> None:
        until = time.monotonic() + STEP_SECONDS
        while time.monotonic() < until and not self.stop.is_set():
            for message in self._consumer.consume(BATCH, POLL_SECONDS):
                if message.error() is not None:
                    log.warning("Kafka error: %s", message.error())
                elif (desk := self._desks.get(message.partition())) is not None:
                    self._take(desk, record_of(message))
        for desk in [*self._desks.values()]:
            desk.step()
        self._watch_room()

    def _take(self, desk: Desk, record: KafkaRecord) -> None:
        """Give a record to its desk; one that cannot be read becomes a dead letter."""
        try:
            task = self.codec.decode(Deferred, record.value or b"").task
        except UnreadableError as error:
            raise_process_fault(error)
            self._bury(desk, record, error)
            return
        waiting = Waiting(
            offset=record.offset,
            task=task,
            queued_at=record.timestamp,
            question=self.question(task),
            record=record,
        )
        self.dead_letters.limit.succeeded(record.topic, record.partition, record.offset)
        desk.add(waiting)

    def _bury(self, desk: Desk, record: KafkaRecord, error: UnreadableError) -> None:
        """Publish a dead letter, once; the log keeps that it was, while tasks before it wait."""
        done = desk.is_done(record.offset)
        letter = self.dead_letters.letter(record, error)
        if not done:
            self._send(letter, record)
            self.flush()
            observe(letter)
        desk.skip(record.offset)
        if not done:
            self.dead_letters.limit.add(letter)

    def _watch_room(self) -> None:
        waiting, batched = (
            sum(getattr(one, name) for one in self._desks.values()) for name in ("waiting", "in_batches")
        )
        BATCH_TASKS.labels("gathered").set(waiting - batched)
        BATCH_TASKS.labels("in a batch").set(batched)
        full = waiting >= MOST_WAITING or sum(one.size for one in self._desks.values()) >= MOST_BYTES_WAITING
        # Never before the tasks of its batches were read: without them a partition would not go on.
        paused = {number for number, one in self._desks.items() if full and one.caught_up}
        self._change(self._consumer.pause, paused - self._paused)
        self._change(self._consumer.resume, self._paused - paused)
        self._paused = paused

    def _change(self, change: Callable[[list[TopicPartition]], None], partitions: set[int]) -> None:
        if partitions:
            change([TopicPartition(self.prefix + DEFERRED["batch"].name, number) for number in partitions])

    # Partitions come and go.

    def _on_assign(self, consumer: Any, places: list[TopicPartition]) -> None:
        intents = [*self._log.read()]
        for place in committed_offsets(consumer, places):
            low, _ = consumer.get_watermark_offsets(place, 30.0)
            self._desks[place.partition] = desk = Desk(
                partition=place.partition,
                apis=self.apis,
                log=self._log,
                outbox=self,
                now=self.now,
                new_id=lambda: uuid.uuid4().hex,
                search=Search(is_known=self._is_known),
            )
            own = (intent for intent in intents if intent.partition == place.partition)
            desk.restore(own, max(low, place.offset))

    def _drop(self, _: Any, places: list[TopicPartition]) -> None:
        """Forget partitions: their next owner finds all in the log."""
        # The client would keep a partition paused if it were assigned again.
        self._change(self._consumer.resume, self._paused & {place.partition for place in places})
        for place in places:
            self._desks.pop(place.partition, None)
            self._paused.discard(place.partition)

    def _is_known(self, batch_id: str) -> bool:
        """True for a batch that some partition's log has; the logs are read again after a while."""
        read_at, known = self._batch_ids
        if time.monotonic() - read_at > POLL.total_seconds():
            known = frozenset(one.batch_id for one in self._log.read() if one.batch_id is not None)
            self._batch_ids = time.monotonic(), known
        return batch_id in known

    # The way back.

    def publish(self, waiting: Waiting, reply: BatchReply) -> None:
        """Send a task to its tier."""
        task = dataclasses.replace(waiting.task, batch_reply=reply)
        assert waiting.record is not None  # noqa: S101 - every task was read here
        self._send(task, waiting.record)
        RESUMED.labels(self.prefix + topic_of(task).name).inc()

    def flush(self) -> None:
        """Return when Kafka has confirmed all."""
        self._producer.confirm("tasks from batches", GOES_ON)

    def commit(self, partition: int, offset: int) -> None:
        """Commit; if that fails, the next one makes up for it."""
        place = TopicPartition(self.prefix + DEFERRED["batch"].name, partition, offset)
        try:
            self._consumer.commit(offsets=[place], asynchronous=False)
        except KafkaException as error:
            log.warning("offsets not committed; these tasks may be published twice: %s", error)

    def _send(self, message: Any, record: KafkaRecord) -> None:
        spec = topic_of(message)
        self._producer.produce(
            f"{self.prefix}{spec.name}",
            self.codec.encode(message),
            key=spec.key(message),
            headers=forwarded_headers(record, message),
        )
