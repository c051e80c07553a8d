"""Insert a batch into ClickHouse, trying again until it succeeds; rows that it refuses become dead letters."""

from __future__ import annotations

import logging
import re
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, DataError
from confluent_kafka import KafkaException

from streams.adapters.clickhouse import ClickHouseConfig, insert
from streams.adapters.clickhouse_connection import ClickHouseClient
from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters
from streams.adapters.kafka_record import KafkaRecord
from streams.core.errors import ServiceError, UnreadableError
from streams.core.messages import DeadLetter
from streams.sink.batch import Batch, BatchBuilder, DecodedRows, ForwardedRows
from streams.sink.limits import SinkLimits
from streams.telemetry.message_metrics import observe, observe_insert
from streams.telemetry.metrics import observe_insert_retry
from streams.telemetry.tracing import trace_headers

FLUSH_SECONDS = 30.0
log = logging.getLogger("escalon.record")

# ClickHouse's error codes about rows and not about the server: parsing, types, ranges, sizes, constraints.
ROW_CODES: Final = frozenset({6, 26, 27, 32, 33, 38, 41, 53, 69, 70, 72, 117, 131, 349, 407, 469})
_CODE = re.compile(r"\bCode: (\d+)")
_CLIENT_ERRORS: Final = (DataError, TypeError, ValueError, KeyError, OverflowError, struct.error)
_UNAVAILABLE: Final = (ServiceError, ClickHouseError, KafkaException, OSError)


class LetterProducer(Protocol):
    """The part of confluent-kafka's producer that publishes dead letters."""

    def produce(self, topic: str, value: bytes, **options: Any) -> None: ...
    def flush(self, timeout: float) -> int: ...


@dataclass(kw_only=True)
class BatchWriter:
    """Stores one batch at a time, in one thread. `jitter` returns a number from 0 to 1."""

    clickhouse: ClickHouseConfig
    producer: LetterProducer
    codec: Codec
    prefix: str
    dead_letters: DeadLetters
    builder: BatchBuilder
    stop: threading.Event
    jitter: Callable[[], float]
    limits: SinkLimits = field(default_factory=SinkLimits)
    published: list[DeadLetter] = field(default_factory=list)
    """The dead letters of the last batch that was stored."""
    _client: ClickHouseClient | None = None
    _letters: list[tuple[KafkaRecord, Exception]] = field(default_factory=list)
    _failures: list[str] = field(default_factory=list)

    def store(self, batch: Batch) -> bool:
        """Insert a batch; return True once ClickHouse and Kafka have acknowledged it.

        Return False if `stop` was set first. Some rows may then be stored, and the whole batch must be read again.
        """
        todo: list[Any] = list(batch.parts.values())
        self._letters = list(batch.unreadable)
        wait = self.limits.first_retry
        while True:
            try:
                self._put_all(todo)
                self._confirm()
                return True
            except _UNAVAILABLE as error:
                self._client = None
                pause = wait * (0.5 + self.jitter() / 2)
                log.warning(
                    "this batch waits %.1f s and is then inserted again; nothing is lost: %s", pause, str(error)[:500]
                )
                if self.stop.wait(pause):
                    return False
                wait = min(self.limits.longest_retry, wait * 2)

    def _put_all(self, todo: list[Any]) -> None:
        """Insert each part, and replace a refused one by smaller parts."""
        while todo:
            part = todo[0]
            try:
                self._put(part)
            except (*_CLIENT_ERRORS, *_UNAVAILABLE) as error:
                if not is_about_the_rows(error, isinstance(part, ForwardedRows)):
                    observe_insert_retry(part.table)
                    raise
                todo[0:1] = self._smaller(part, error)
            else:
                del todo[0]

    def _put(self, part: ForwardedRows | DecodedRows) -> None:
        if self._client is None:
            self._client = self.clickhouse.connect()
        if isinstance(part, ForwardedRows):
            block = part.form.container(part.bodies)
            with observe_insert(part.table, len(part.bodies)):
                self._client.raw_insert(part.table, part.form.columns, block, fmt="Avro")
        else:
            with observe_insert(part.table, len(part.pairs)):
                insert(self._client, part.table, [row for _, row in part.pairs])

    def _smaller(self, part: ForwardedRows | DecodedRows, error: Exception) -> list[Any]:
        """Return the parts that replace a refused one: decoded, then halves, down to the row at fault."""
        if isinstance(part, ForwardedRows):
            log.warning(
                "%d rows of %s are decoded and inserted again: %s", len(part.bodies), part.table, str(error)[:300]
            )
            decoded = self.builder.decode_all(part)
            self._letters += decoded.unreadable
            return list(decoded.parts.values())
        if len(part.pairs) == 1:
            what = f"ClickHouse refuses the row ({str(error)[:500]})."
            self._letters.append((part.pairs[0][0], UnreadableError("bad_row", what)))
            return []
        half = len(part.pairs) // 2
        return [DecodedRows(part.table, part.pairs[:half]), DecodedRows(part.table, part.pairs[half:])]

    def _confirm(self) -> None:
        """Publish the dead letters of this batch, and wait until Kafka confirms them."""
        self._failures.clear()
        published = []
        for record, error in self._letters:
            if record.topic == f"{self.prefix}dead-letters":
                log.error("a dead letter could not be stored and remains in its topic only: %s", error)
            else:
                published.append(self._publish(record, error))
        left = self.producer.flush(FLUSH_SECONDS)
        if left or self._failures:
            why = self._failures[0] if self._failures else "no answer in time"
            raise ServiceError(f"Kafka did not confirm the dead letters of a batch ({why}).", "Check the broker.")
        for letter in published:
            observe(letter)
        self.published = published

    def _publish(self, record: KafkaRecord, error: Exception) -> DeadLetter:
        letter = self.dead_letters.letter(record, error)
        value = self.codec.encode(letter)
        trace = {"headers": headers} if (headers := trace_headers(record)) else {}
        try:
            self._produce(value, letter.event_id, trace)
        except BufferError:  # the producer's queue is full: wait until it is empty, then try again
            self.producer.flush(FLUSH_SECONDS)
            self._produce(value, letter.event_id, trace)
        return letter

    def _produce(self, value: bytes, key: str, trace: dict[str, Any]) -> None:
        self.producer.produce(f"{self.prefix}dead-letters", value, key=key, on_delivery=self._delivered, **trace)

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failures.append(error.str())


def is_about_the_rows(error: Exception, undecoded: bool) -> bool:
    """True if any server would refuse the same rows again. ClickHouse's Avro reader may refuse `undecoded` ones."""
    if isinstance(error, DatabaseError) and not isinstance(error, DataError):
        text = str(error)
        return (undecoded and "avro" in text.lower()) or any(int(code) in ROW_CODES for code in _CODE.findall(text))
    return isinstance(error, _CLIENT_ERRORS) and not isinstance(error, OSError)
