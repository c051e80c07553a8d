"""A batch of the sink: records by table, and the offsets they reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.adapters.clickhouse import TABLES, row_of
from streams.adapters.codec import Codec
from streams.adapters.ground_truth import TRUTHS, read_ground_truth
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.topic_reader import record_of
from streams.core.errors import ServiceError
from streams.core.messages import Call
from streams.core.process_fault import raise_process_fault
from streams.core.topics import BY_MESSAGE, BY_NAME
from streams.sink.avro_forwarding import AvroRowLayout
from streams.sink.limits import SinkLimits

SINK_TABLES: Mapping[str, str] = {BY_MESSAGE[kind].name: table for kind, table in TABLES.items() if kind in BY_MESSAGE}
"""The table of each topic that the sink stores."""

Place = tuple[str, int, int]

PrepareRow = Callable[[str, dict[str, Any]], dict[str, Any]]


def sink_group(prefix: str) -> str:
    """Return the name of the sink's consumer group."""
    return f"escalon-{prefix}record"


def unchanged(_: str, row: dict[str, Any]) -> dict[str, Any]:
    return row


@dataclass(frozen=True, slots=True)
class ForwardedRows:
    """Messages of one table whose bytes are inserted undecoded."""

    table: str
    form: AvroRowLayout
    messages: list[Any] = field(default_factory=list)
    bodies: list[memoryview] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DecodedRows:
    """Records of one table, each with its row."""

    table: str
    pairs: list[tuple[KafkaRecord, dict[str, Any]]] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """Records read since one rebalance, in their order."""

    generation: int
    limits: SinkLimits = field(default_factory=SinkLimits)
    parts: dict[tuple[str, type], Any] = field(default_factory=dict)
    unreadable: list[tuple[KafkaRecord, Exception]] = field(default_factory=list)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    """The offset after the last record of each partition."""
    rows: int = 0
    size: int = 0
    """Bytes of the records' values."""

    def offsets(self) -> Iterator[Place]:
        """Yield the topic, partition and offset of every record that has a row."""
        for part in self.parts.values():
            if isinstance(part, ForwardedRows):
                yield from ((message.topic(), message.partition(), message.offset()) for message in part.messages)
            else:
                yield from ((record.topic, record.partition, record.offset) for record, _ in part.pairs)

    @property
    def full(self) -> bool:
        return self.rows >= self.limits.batch_rows or self.size >= self.limits.batch_bytes


class BatchBuilder:
    """Adds messages to batches. `prepare` may change the rows of every table but calls, which are already redacted."""

    def __init__(self, codec: Codec, prefix: str, prepare: PrepareRow = unchanged) -> None:
        self._codec = codec
        self._prefix = prefix
        self._prepare = prepare
        self._forms = {BY_MESSAGE[Call].name: AvroRowLayout(Call, codec)}

    def add(self, batch: Batch, message: Any) -> None:
        """Add a message. Raises ServiceError, and adds nothing, if the schema registry does not answer."""
        topic, value = message.topic().removeprefix(self._prefix), message.value()
        form = self._forms.get(topic)
        body = form.body(value) if form is not None and value else None
        if form is not None and body is not None:
            table = SINK_TABLES[topic]
            part = batch.parts.setdefault((table, ForwardedRows), ForwardedRows(table, form))
            part.messages.append(message)
            part.bodies.append(body)
        else:
            self._decode(batch, topic, record_of(message))
        batch.ends[message.topic(), message.partition()] = message.offset() + 1
        batch.rows += 1
        batch.size += len(value or b"")

    def decode_all(self, forwarded: ForwardedRows) -> Batch:
        """Return a batch of the same messages, decoded."""
        batch = Batch(0)
        for message in forwarded.messages:
            self._decode(batch, message.topic().removeprefix(self._prefix), record_of(message))
        return batch

    def _decode(self, batch: Batch, topic: str, record: KafkaRecord) -> None:
        try:
            table, row = SINK_TABLES[topic], self._row(topic, record)
        except ServiceError:
            raise
        except Exception as error:
            raise_process_fault(error)
            batch.unreadable.append((record, error))
            return
        batch.parts.setdefault((table, DecodedRows), DecodedRows(table)).pairs.append((record, row))

    def _row(self, topic: str, record: KafkaRecord) -> dict[str, Any]:
        kind = BY_NAME[topic].message
        if kind in TRUTHS:
            message = read_ground_truth(kind, record, self._codec)
        else:
            message = self._codec.decode(kind, record.value or b"")
        row = row_of(message)
        return row if kind is Call else self._prepare(SINK_TABLES[topic], row)
