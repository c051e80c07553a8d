"""Erasure in the tiers' tables, through the changelog topics behind them.

A running process keeps its own copy of a table, so its entry is erased when the process restarts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

from confluent_kafka import Producer

from streams.adapters.codec import Codec
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import ADMIN_TIMEOUT
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.topic_reader import table_entries
from streams.core.errors import ServiceError, UnreadableError
from streams.core.fingerprint import digest
from streams.core.messages import Outcome
from streams.core.tables import ANSWERS, SEEN_IMAGES, SETTLED, TableSpec


@dataclass(frozen=True, slots=True)
class TaskKey:
    """A task that a model was asked about an event."""

    run: str
    event_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TableEntry:
    """One entry of a tier's table, with its partition of the changelog."""

    tier: str
    topic: str
    partition: int
    key: bytes
    value: bytes
    """Its new value; empty to delete it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierTables:
    """The tables of the pipeline with this topic prefix. A tier that never ran has none."""

    kafka: KafkaConfig
    prefix: str
    codec: Codec
    read_changelogs: Callable[[KafkaConfig, Sequence[str]], Iterable[KafkaRecord]] = table_entries

    def find(self, asked: Iterable[TaskKey], event_ids: Set[str]) -> list[TableEntry]:
        """Return the entries about these events, after reading the changelogs from their beginning."""
        keys = {key.encode() for one in asked for key in _keys(one)}
        ids = {event_id.encode() for event_id in event_ids}
        becomes: dict[TableSpec, Callable[[bytes, bytes], bytes | None]] = {
            **dict.fromkeys(ANSWERS.values(), lambda key, _: b"" if key in keys else None),
            SEEN_IMAGES: lambda key, _: b"" if key in ids else None,
            SETTLED: lambda key, value: self._settled(key, value, ids),
        }
        tables = {table.changelog(self.prefix): table for table in becomes}
        found: dict[tuple[str, int, bytes], TableEntry] = {}
        for record in self.read_changelogs(self.kafka, list(tables)):
            key = record.key or b""
            table = tables[record.topic]
            found.pop((record.topic, record.partition, key), None)
            value = becomes[table](key, record.value) if record.value else None
            if value is not None and value != record.value:
                entry = TableEntry(table.tier, record.topic, record.partition, key, value)
                found[record.topic, record.partition, key] = entry
        return list(found.values())

    def _settled(self, key: bytes, value: bytes, ids: Set[bytes]) -> bytes | None:
        """Return the entry without its answer. The entry itself stays, or its event could end twice."""
        if key.partition(b"\0")[2] not in ids:
            return None
        try:
            outcome = self.codec.decode(Outcome, value[SETTLED.head.size :])
        except UnreadableError:
            return b""
        origin = dataclasses.replace(outcome.origin, data_subject=None)
        return value[: SETTLED.head.size] + self.codec.encode(
            dataclasses.replace(outcome, origin=origin, answer=None, reasons=())
        )

    def erase(self, found: Iterable[TableEntry]) -> None:
        """Write the new values; return when Kafka has confirmed them. Raises ServiceError if it does not."""
        failures: list[str] = []
        # An in-memory broker may number the messages of one batch alike, and recovery would then miss some.
        producer = Producer(self.kafka.producer(**{"acks": "all", "batch.num.messages": 1}))
        for entry in found:
            producer.produce(
                entry.topic,
                key=entry.key,
                value=entry.value or None,
                partition=entry.partition,
                on_delivery=lambda error, _: failures.append(error.str()) if error is not None else None,
            )
            producer.poll(0)
        if producer.flush(ADMIN_TIMEOUT) or failures:
            what = f"Kafka did not confirm the erasure in tables ({failures[0] if failures else 'time ran out'})."
            raise ServiceError(what, "Check the broker and run the same command again.")


def _keys(one: TaskKey) -> tuple[str, str]:
    return one.fingerprint, digest(one.fingerprint, one.run, one.event_id)
