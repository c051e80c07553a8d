"""RECORD: the sink from Kafka to ClickHouse, a plain batch consumer.

A batch goes through these steps, in this order:

1. Read records until the batch is full or old enough.
2. Insert its rows, one insert a table, and wait until ClickHouse acknowledges them.
3. Publish a dead letter for each record that cannot become a row, and wait until Kafka confirms them.
4. Commit the offsets of this batch, and of no record after it.

A crash before step 4 repeats the batch: its rows have the same sorting keys and replace the first ones. A rebalance
before step 4 drops the batch, and the partitions' next owner reads it again.

A thread inserts one batch while the next one is read. While ClickHouse is unavailable the partitions are paused and the
consumer still polls, so the sink stays in its group and the records wait in Kafka.
"""

from __future__ import annotations

import logging
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters
from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ServiceError
from streams.sink.batch import SINK_TABLES, Batch, BatchBuilder, PrepareRow, sink_group, unchanged
from streams.sink.limits import SinkLimits
from streams.sink.writer import BatchWriter
from streams.telemetry.lag import lag_statistics
from streams.telemetry.skipped_offsets import OffsetTracker, is_partition_end

POLL_MESSAGES = 32
"""Records read at once. A record may have 1 MiB, so more of them could exceed the bytes of a batch."""
FETCH_BYTES = 1 << 20
SWITCH_SECONDS = 0.0003
log = logging.getLogger("escalon.record")


@dataclass(kw_only=True)
class Sink:
    """Copies each topic of SINK_TABLES to its table until `stop` is set. `prepare` may change its rows."""

    kafka: KafkaConfig
    clickhouse: ClickHouseConfig
    codec: Codec
    prefix: str
    dead_letters: DeadLetters
    stop: threading.Event
    prepare: PrepareRow = unchanged
    limits: SinkLimits = field(default_factory=SinkLimits)
    jitter: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic
    make_consumer: Callable[[dict[str, Any]], Any] = Consumer
    make_producer: Callable[[dict[str, Any]], Any] = Producer
    _generation: int = 0
    """The number of rebalances: records read before one are not committed after it."""
    _filling: Batch = field(init=False)
    _since: float = 0.0
    _writing: tuple[Batch, Future[bool]] | None = None
    _inbox: deque[Any] = field(default_factory=deque)
    _paused: bool = False
    _offsets: OffsetTracker = field(default_factory=OffsetTracker)
    _committed: dict[tuple[str, int], int] = field(default_factory=dict)
    """Offsets committed since partitions were assigned."""

    def __post_init__(self) -> None:
        self._filling = Batch(self._generation, self.limits)

    def run(self) -> None:
        """Consume, insert and commit until `stop` is set. Raises ServiceError after a fatal error of Kafka."""
        self._builder = BatchBuilder(self.codec, self.prefix, self.prepare)
        self._writer = BatchWriter(
            clickhouse=self.clickhouse,
            producer=self.make_producer(self.kafka.producer(**{"enable.idempotence": False, "acks": "all"})),
            codec=self.codec,
            prefix=self.prefix,
            dead_letters=self.dead_letters,
            builder=self._builder,
            stop=self.stop,
            jitter=self.jitter,
            limits=self.limits,
        )
        consumer = self.make_consumer(self._settings())
        topics = [self.prefix + topic for topic in SINK_TABLES]
        consumer.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        usual = sys.getswitchinterval()
        # The inserting thread needs the interpreter lock for each piece it sends; at the usual 5 ms, waiting for it
        # takes half of the time of an insert.
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            while not self.stop.is_set():
                self._step(consumer)
            self._finish(consumer)
        except KafkaException as error:
            what = f"Kafka cannot be read ({error.args[0]})."
            raise ServiceError(what, "Check the broker and start this process again; nothing is lost.") from error
        finally:
            sys.setswitchinterval(usual)
            consumer.close()

    def _settings(self) -> dict[str, Any]:
        return self.kafka.consumer(
            sink_group(self.prefix),
            **{
                # A rebalance drops all records read so far, so all partitions must be assigned again.
                "partition.assignment.strategy": "range,roundrobin",
                "session.timeout.ms": 10_000,
                "enable.partition.eof": True,
                "queued.max.messages.kbytes": 32_768,
                # The broker holds a fetch back until it has so much, or for half a second, which a batch can wait.
                "fetch.min.bytes": FETCH_BYTES,
                **lag_statistics(self.limits.statistics_ms),
            },
        )

    def _step(self, consumer: Any) -> None:
        self._fill(consumer)
        if self._writing is not None and self._writing[1].done():
            self._conclude(consumer)
        waited = self._writing is None and self.clock() - self._since >= self.limits.batch_seconds
        if self._filling.rows and (waited or self._filling.full):
            self._await_writer(consumer)
            if self._writing is None and self._filling.rows:  # neither stopped nor revoked meanwhile
                self._write()
        if self._filling.ends and not self._filling.rows and self._writing is None:
            self._commit(consumer, self._filling)  # no consumer is given the offsets before these ends
            self._filling.ends.clear()

    # ---- Reading ----

    def _fill(self, consumer: Any) -> None:
        if not self._inbox:
            room = self.limits.batch_rows - self._filling.rows
            self._inbox.extend(self._read(consumer, min(POLL_MESSAGES, room), self.limits.poll_seconds))
        while self._inbox and not self._filling.full:
            if is_partition_end(self._inbox[0]):
                message = self._inbox.popleft()
                self._filling.ends[message.topic(), message.partition()] = message.offset()
                continue
            if not self._filling.rows:
                self._since = self.clock()
            if not self._add(consumer, self._inbox[0]):
                return
            self._inbox.popleft()

    def _add(self, consumer: Any, message: Any) -> bool:
        """Add to the batch, waiting for the schema registry; False if the sink stops or rebalances meanwhile."""
        wait, generation = self.limits.first_retry, self._generation
        while generation == self._generation and not self.stop.is_set():
            try:
                self._builder.add(self._filling, message)
                return True
            except ServiceError as error:
                log.warning("reading waits %.1f s: %s", wait, error)
                self._idle(consumer, partial(self._is_past, self.clock() + wait))
                wait = min(self.limits.longest_retry, wait * 2)
        return False

    def _is_past(self, until: float) -> bool:
        return self.clock() >= until

    def _read(self, consumer: Any, count: int, seconds: float) -> list[Any]:
        """Return the next records; none after a rebalance in between, when reading starts at the committed offsets."""
        generation = self._generation
        found = consumer.consume(max(1, count), seconds)
        if found and generation != self._generation:
            # Some records may be from before the rebalance and some from after it, so there may be gaps between them.
            consumer.assign(consumer.committed(consumer.assignment(), timeout=self.limits.stop_seconds))
            return []
        sound = [message for message in found if not _is_error(message)]
        for message in sound:
            self._offsets.see(consumer, message)
        return sound

    def _idle(self, consumer: Any, over: Callable[[], bool]) -> None:
        """Poll with paused partitions, which keeps the sink in its group, until `over` or stopped."""
        self._paused = True
        consumer.pause(consumer.assignment())
        while not over() and not self.stop.is_set():
            self._inbox.extend(self._read(consumer, 1, self.limits.poll_seconds))
        self._paused = False
        consumer.resume(consumer.assignment())

    # ---- Writing ----

    def _write(self) -> None:
        batch, done = self._filling, Future[bool]()
        self._filling = Batch(self._generation, self.limits)
        self._writing = (batch, done)
        # A daemon thread: an insert that hangs must not delay the end of the process, and is not committed.
        threading.Thread(target=_settle, args=(done, self._writer, batch), name="insert", daemon=True).start()

    def _await_writer(self, consumer: Any) -> None:
        if self._writing is None:
            return
        done = self._writing[1]  # a rebalance meanwhile may conclude the batch
        if not _done(done, self.limits.patience_seconds):
            self._idle(consumer, done.done)
        if done.done():
            self._conclude(consumer)

    def _conclude(self, consumer: Any) -> bool:
        """Commit the stored batch unless its partitions were revoked; return False if it was not stored."""
        if self._writing is None:
            return True
        batch, done = self._writing
        self._writing = None
        if not done.result():  # it was stopped; later records must not be committed either
            self._drop()
        elif batch.generation == self._generation:
            self._commit(consumer, batch)
            self._count_dead_letters(batch)
        return done.result()

    def _count_dead_letters(self, batch: Batch) -> None:
        """Raise DeadLetterLimitError if too many messages became dead letters; they are committed."""
        limit, letters = self.dead_letters.limit, self._writer.published
        if not letters and not limit.counting():
            return
        refused = {(letter.topic, letter.partition, letter.offset): letter for letter in letters}
        for place in sorted({*batch.offsets(), *refused}):
            if (letter := refused.get(place)) is None:
                limit.succeeded(*place)
            else:
                limit.add(letter)

    def _commit(self, consumer: Any, batch: Batch) -> None:
        ends = {place: end for place, end in batch.ends.items() if self._committed.get(place) != end}
        if ends and _commit(consumer, ends):
            self._committed |= ends

    def _finish(self, consumer: Any) -> None:
        """Store and commit the batches that were read, in order, unless ClickHouse takes too long."""
        if self._finished(consumer) and self._filling.rows:
            self._write()
            self._finished(consumer)

    def _finished(self, consumer: Any) -> bool:
        if self._writing is None:
            return True
        return _done(self._writing[1], self.limits.stop_seconds) and self._conclude(consumer)

    # ---- Rebalances: called by the consumer while it polls, in the same thread ----

    def _on_assign(self, consumer: Any, partitions: list[Any]) -> None:
        self._drop()
        consumer.assign(partitions)
        if self._paused:
            consumer.pause(partitions)

    def _on_revoke(self, consumer: Any, _: list[Any]) -> None:
        if self._writing is not None and _done(self._writing[1], self.limits.handover_seconds):
            self._conclude(consumer)
        self._drop()
        consumer.unassign()

    def _on_lost(self, consumer: Any, _: list[Any]) -> None:
        self._drop()
        consumer.unassign()

    def _drop(self) -> None:
        """Forget the records that are not stored: this consumer or another one reads them again."""
        self._generation += 1
        self._filling = Batch(self._generation, self.limits)
        self._inbox.clear()
        self._offsets.forget()
        self._committed.clear()


def _settle(done: Future[bool], writer: BatchWriter, batch: Batch) -> None:
    try:
        done.set_result(writer.store(batch))
    except BaseException as error:  # raised again by the thread that reads the result
        done.set_exception(error)


def _done(future: Future[bool], seconds: float) -> bool:
    try:
        future.exception(seconds)
    except TimeoutError:
        return False
    return True


def _is_error(message: Any) -> bool:
    error = message.error()
    if error is None or is_partition_end(message):
        return False
    if error.fatal():
        raise ServiceError(f"Kafka reports a fatal error: {error.str()}.", "Start this process again; nothing is lost.")
    log.warning("Kafka reports: %s", error)
    return True


def _commit(consumer: Any, ends: Mapping[tuple[str, int], int]) -> bool:
    try:
        offsets = [TopicPartition(*place, offset) for place, offset in ends.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
        return True
    except KafkaException as error:
        # The rows are stored; at worst they are inserted again, under the same keys.
        log.warning("offsets not committed: %s", error)
        return False
