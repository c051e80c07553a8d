"""RECORD: the sink from Kafka into ClickHouse. A plain batch consumer.

The order is the guarantee: read a batch, insert it, have ClickHouse acknowledge it, then commit the offsets. While
ClickHouse is away nothing is read, so Kafka does the waiting. What is inserted twice after a crash has the same
sorting key and is replaced.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, DataError
from confluent_kafka import Consumer, KafkaException, Producer

from streams.adapters.clickhouse import TABLES, ClickHouseConfig, insert, row_of
from streams.adapters.codec import Codec
from streams.adapters.events import Received
from streams.adapters.kafka import KafkaConfig
from streams.adapters.tail import received
from streams.adapters.truth import TRUTHS, read_truth
from streams.core.errors import ServiceError, UnreadableError
from streams.core.topics import BY_MESSAGE, BY_NAME
from streams.runtime.dead_letters import DeadLetters

BATCH_ROWS, BATCH_SECONDS = 5_000, 1.0
FIRST_RETRY, LONGEST_RETRY = 0.5, 30.0
log = logging.getLogger("escalon.record")


@dataclass(kw_only=True)
class Recorder:
    """Copies every recorded topic into its table until `stop` is set."""

    kafka: KafkaConfig
    clickhouse: ClickHouseConfig
    codec: Codec
    prefix: str
    dead_letters: DeadLetters
    stop: threading.Event
    _client: Any = None

    def run(self) -> None:
        """Consume, insert, commit, until told to stop."""
        consumer = Consumer(
            self.kafka.confluent(
                **{
                    "group.id": f"escalon-{self.prefix}record",
                    "auto.offset.reset": "earliest",
                    "enable.auto.commit": False,
                    "session.timeout.ms": 10_000,
                    "queued.max.messages.kbytes": 32_768,
                }
            )
        )
        producer = Producer(self.kafka.confluent(**{"enable.idempotence": False, "acks": "all"}))
        consumer.subscribe([self.prefix + BY_MESSAGE[kind].name for kind in TABLES])
        try:
            while not self.stop.is_set():
                batch = _batch(consumer, self.stop)
                if batch:
                    self._store(batch, producer)
                    _commit(consumer)
        finally:
            consumer.close()

    def _store(self, batch: Sequence[Received], producer: Any) -> None:
        rows: dict[str, list[tuple[Received, dict[str, Any]]]] = defaultdict(list)
        for record in batch:
            kind = BY_NAME[record.topic.removeprefix(self.prefix)].message
            try:
                rows[TABLES[kind]].append((record, row_of(self._read(kind, record))))
            except UnreadableError as error:
                self._dead_letter(record, error, producer)
        for table, pairs in rows.items():
            self._insert(table, pairs, producer)
        producer.flush()

    def _read(self, kind: type[Any], record: Received) -> Any:
        if kind in TRUTHS:
            return read_truth(kind, record, self.codec)
        return self.codec.decode(kind, record.value or b"")

    def _insert(self, table: str, pairs: Sequence[tuple[Received, dict[str, Any]]], producer: Any) -> None:
        """Insert until ClickHouse takes the rows; rows it will never take go to the dead letters one by one."""
        wait = FIRST_RETRY
        while True:
            try:
                self._client = self._client or self.clickhouse.connect()
                insert(self._client, table, [row for _, row in pairs])
                return
            except (ServiceError, ClickHouseError, OSError) as error:
                if _is_about_the_rows(error):
                    self._isolate(table, pairs, error, producer)
                    return
                if self.stop.is_set():
                    raise
                log.warning("ClickHouse took no rows, trying again in %.1f s: %s", wait, error)
                self._client = None
                self.stop.wait(wait)
                wait = min(LONGEST_RETRY, wait * 2)

    def _isolate(
        self, table: str, pairs: Sequence[tuple[Received, dict[str, Any]]], error: Exception, producer: Any
    ) -> None:
        if len(pairs) == 1:
            what = f"ClickHouse cannot take the row ({str(error)[:500]})."
            self._dead_letter(pairs[0][0], UnreadableError("bad_row", what), producer)
            return
        half = len(pairs) // 2
        self._insert(table, pairs[:half], producer)
        self._insert(table, pairs[half:], producer)

    def _dead_letter(self, record: Received, error: Exception, producer: Any) -> None:
        if record.topic == f"{self.prefix}dead-letters":
            log.error("a dead letter cannot be recorded, it stays in its topic only: %s", error)
            return
        letter = self.dead_letters.letter(record, error)
        producer.produce(f"{self.prefix}dead-letters", self.codec.encode(letter), key=letter.event_id)


def _batch(consumer: Any, stop: threading.Event) -> list[Received]:
    """As many records as come within the batch's time, or as it may hold; it ends early when nothing more comes."""
    batch: list[Received] = []
    deadline = time.monotonic() + BATCH_SECONDS
    while len(batch) < BATCH_ROWS and (left := deadline - time.monotonic()) > 0 and not stop.is_set():
        for message in consumer.consume(BATCH_ROWS - len(batch), min(left, 0.5)):
            if message.error() is not None:
                log.warning("Kafka says: %s", message.error())
            else:
                batch.append(received(message))
    return batch


def _commit(consumer: Any) -> None:
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as error:
        # The rows are in; at worst they are inserted once more, under the same keys.
        log.warning("offsets not committed: %s", error)


# Codes of ClickHouse that speak of the rows and not of the server: parsing, types, ranges, too large.
_ROW_CODES = ("Code: 6.", "Code: 27.", "Code: 38.", "Code: 53.", "Code: 69.", "Code: 70.", "Code: 117.", "Code: 131.")


def _is_about_the_rows(error: Exception) -> bool:
    if isinstance(error, DataError):
        return True
    return isinstance(error, DatabaseError) and any(code in str(error) for code in _ROW_CODES)
