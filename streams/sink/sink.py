"""RECORD: the sink from Kafka into ClickHouse. A plain batch consumer.

The order is the guarantee: read a batch, insert it, have ClickHouse acknowledge it, have Kafka confirm the dead
letters of what cannot be inserted, then commit just these offsets. What is inserted twice after a crash has the same
sorting key and is replaced. One batch is inserted by a thread while the next one is read; while ClickHouse is away the
partitions are paused and Kafka is still asked, so that the sink stays in its group and Kafka does the waiting.
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
from streams.sink.batch import SINK_TABLES, Batch, BatchBuilder, PrepareRow, unchanged
from streams.sink.limits import SinkLimits
from streams.sink.writer import BatchWriter
from streams.telemetry.lag import lag_statistics
from streams.telemetry.skipped_offsets import OffsetTracker, is_partition_end

POLL_MESSAGES = 32
"""How many records are read at once. They may have 1 MiB each, so more of them would be more than a batch may hold."""
SWITCH_SECONDS = 0.0003
log = logging.getLogger("escalon.record")


@dataclass(kw_only=True)
class Sink:
    """Copies every recorded topic into its table until `stop` is set. `prepare` may change rows; see BatchBuilder."""

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
    """Counts rebalances: what was read before one is not committed after it."""
    _filling: Batch = field(init=False)
    _since: float = 0.0
    _writing: tuple[Batch, Future[bool]] | None = None
    _inbox: deque[Any] = field(default_factory=deque)
    _paused: bool = False
    _follow: OffsetTracker = field(default_factory=OffsetTracker)
    _committed: dict[tuple[str, int], int] = field(default_factory=dict)
    """What is committed since partitions were given."""

    def __post_init__(self) -> None:
        self._filling = Batch(self._generation, self.limits)

    def run(self) -> None:
        """Consume, insert, commit, until told to stop. Raises ServiceError when Kafka gives up for good."""
        self._sorter = BatchBuilder(self.codec, self.prefix, self.prepare)
        self._store = BatchWriter(
            clickhouse=self.clickhouse,
            producer=self.make_producer(self.kafka.confluent(**{"enable.idempotence": False, "acks": "all"})),
            codec=self.codec,
            prefix=self.prefix,
            dead_letters=self.dead_letters,
            sorter=self._sorter,
            stop=self.stop,
            jitter=self.jitter,
            limits=self.limits,
        )
        consumer = self.make_consumer(self._settings())
        topics = [self.prefix + topic for topic in SINK_TABLES]
        consumer.subscribe(topics, on_assign=self._given, on_revoke=self._taken, on_lost=self._lost)
        usual = sys.getswitchinterval()
        # The thread that inserts asks for the interpreter at every piece it sends; at the usual 5 ms each, waiting
        # for it takes half of an insert.
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            while not self.stop.is_set():
                self._step(consumer)
            self._finish(consumer)
        except KafkaException as error:
            what = f"Kafka cannot be read ({error.args[0]})."
            raise ServiceError(what, "Check the broker and start this process again: nothing is lost.") from error
        finally:
            sys.setswitchinterval(usual)
            consumer.close()

    def _settings(self) -> dict[str, Any]:
        return self.kafka.consumer(
            f"escalon-{self.prefix}record",
            **{
                # What is read before a rebalance is dropped whole, which needs all partitions to be given anew.
                "partition.assignment.strategy": "range,roundrobin",
                "session.timeout.ms": 10_000,
                "enable.partition.eof": True,
                "queued.max.messages.kbytes": 32_768,
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
            if self._writing is None and self._filling.rows:  # neither told to stop nor taken away meanwhile
                self._write()
        if self._filling.ends and not self._filling.rows and self._writing is None:
            self._commit(consumer, self._filling)  # nobody is given what lies before these ends
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
        """Add to the batch, however long the schema registry is away; False when it need not be added any more."""
        wait, generation = self.limits.first_retry, self._generation
        while generation == self._generation and not self.stop.is_set():
            try:
                self._sorter.add(self._filling, message)
                return True
            except ServiceError as error:
                log.warning("reading waits %.1f s: %s", wait, error)
                self._idle(consumer, partial(self._is_past, self.clock() + wait))
                wait = min(self.limits.longest_retry, wait * 2)
        return False

    def _is_past(self, until: float) -> bool:
        return self.clock() >= until

    def _read(self, consumer: Any, count: int, seconds: float) -> list[Any]:
        """What Kafka has now. After a rebalance in between, nothing, and reading starts at the committed offsets."""
        generation = self._generation
        found = consumer.consume(max(1, count), seconds)
        if found and generation != self._generation:
            # Some of it may have been read before the rebalance and some after, so none of it is sure to follow on.
            consumer.assign(consumer.committed(consumer.assignment(), timeout=self.limits.stop_seconds))
            return []
        sound = [message for message in found if not _is_error(message)]
        for message in sound:
            self._follow.see(consumer, message)
        return sound

    def _idle(self, consumer: Any, over: Callable[[], bool]) -> None:
        """Stay in the group without reading on."""
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
        # A daemon: an insert that hangs must not keep the process from ending, for nothing of it is committed.
        threading.Thread(target=_settle, args=(done, self._store, batch), name="insert", daemon=True).start()

    def _await_writer(self, consumer: Any) -> None:
        if self._writing is None:
            return
        done = self._writing[1]  # a rebalance while it idles may conclude the batch and forget it
        if not _done(done, self.limits.patience_seconds):
            self._idle(consumer, done.done)
        if done.done():
            self._conclude(consumer)

    def _conclude(self, consumer: Any) -> bool:
        """Commit what the thread has stored, unless its partitions were taken away since; whether it has stored it."""
        if self._writing is None:
            return True
        batch, done = self._writing
        self._writing = None
        if not done.result():  # it was told to stop; what lies behind must not be committed either
            self._drop()
        elif batch.generation == self._generation:
            self._commit(consumer, batch)
            self._count_dead_letters(batch)
        return done.result()

    def _count_dead_letters(self, batch: Batch) -> None:
        """Raise DeadLetterLimitError where too many messages became dead letters; they are committed."""
        limit, letters = self.dead_letters.limit, self._store.published
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
        """Store and commit what is here, if ClickHouse takes it at once, and in its order."""
        if self._finished(consumer) and self._filling.rows:
            self._write()
            self._finished(consumer)

    def _finished(self, consumer: Any) -> bool:
        if self._writing is None:
            return True
        return _done(self._writing[1], self.limits.stop_seconds) and self._conclude(consumer)

    # ---- Rebalances: called while Kafka is asked, in the same thread ----

    def _given(self, consumer: Any, partitions: list[Any]) -> None:
        self._drop()
        consumer.assign(partitions)
        if self._paused:
            consumer.pause(partitions)

    def _taken(self, consumer: Any, _: list[Any]) -> None:
        if self._writing is not None and _done(self._writing[1], self.limits.handover_seconds):
            self._conclude(consumer)
        self._drop()
        consumer.unassign()

    def _lost(self, consumer: Any, _: list[Any]) -> None:
        self._drop()
        consumer.unassign()

    def _drop(self) -> None:
        """Forget what is not stored: it comes again, here or elsewhere."""
        self._generation += 1
        self._filling = Batch(self._generation, self.limits)
        self._inbox.clear()
        self._follow.forget()
        self._committed.clear()


def _settle(done: Future[bool], store: BatchWriter, batch: Batch) -> None:
    try:
        done.set_result(store.store(batch))
    except BaseException as error:  # raised again where the result is asked for
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
        raise ServiceError(f"Kafka says: {error.str()}.", "Start this process again: nothing is lost.")
    log.warning("Kafka says: %s", error)
    return True


def _commit(consumer: Any, ends: Mapping[tuple[str, int], int]) -> bool:
    try:
        offsets = [TopicPartition(*place, offset) for place, offset in ends.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
        return True
    except KafkaException as error:
        # The rows are in; at worst they are inserted once more, under the same keys.
        log.warning("offsets not committed: %s", error)
        return False
