"""Records of Kafka, from any client, and the headers that escalon reads and writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from streams.core.fingerprint import digest
from streams.core.time_range import EARLIEST, LATEST

ID_HEADER, TRACE_HEADER, SUBJECT_HEADER = "escalon-event-id", "traceparent", "escalon-data-subject"
SCHEMA_HEADER = "__value_schema_id"
"""The id of the value's schema, where Confluent's clients write it into headers."""
TIME_HEADER = "escalon-event-time"
"""Milliseconds since 1970 at which a record that was published again first came."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MILLISECONDS = re.compile(r"-?[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    """A Kafka record, from any client."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: datetime
    headers: Sequence[tuple[str, bytes]] = ()

    def header(self, name: str) -> str | None:
        """Return the last header of a name as text; None if it is absent or empty."""
        for key, value in reversed(self.headers):
            if key == name:
                return value.decode("utf-8", "ignore") or None
        return None

    @property
    def schema_id(self) -> bytes | None:
        """The last header with the id of the value's schema, as it is; None without one."""
        return next((value for key, value in reversed(self.headers) if key == SCHEMA_HEADER), None)

    def identity(self, *scope: str) -> str:
        """Return an id within a scope that this record has each time it is read, and no other record has.

        A position alone is not unique: a topic that is created again, or that lost its end, gives the same offsets to
        other records. So the record's Kafka timestamp and bytes are part of the id.
        """
        at = (self.timestamp - _EPOCH) // _MILLISECOND
        return digest(*scope, self.topic, self.partition, self.offset, at, self.key, self.value)

    @property
    def came_at(self) -> datetime:
        """The time at which the record first came: its timestamp, or the original one of a republished record."""
        named = self.header(TIME_HEADER)
        return kafka_time(int(named)) if named is not None and _MILLISECONDS.fullmatch(named) else self.timestamp


def kafka_time(milliseconds: float | None) -> datetime:
    """Return a record's timestamp in whole milliseconds since 1970.

    A producer may send any number: one outside of YEARS becomes the nearest time in them, and so does a missing one,
    which clients write as -1.
    """
    first, last = (EARLIEST - _EPOCH) // _MILLISECOND, (LATEST - _EPOCH) // _MILLISECOND - 1
    return _EPOCH + min(max(-1 if milliseconds is None else round(milliseconds), first), last) * _MILLISECOND


def deadline_after(timestamp: datetime, seconds: float) -> datetime:
    """Return a deadline some seconds after a record's timestamp, at most the end of YEARS."""
    return min(timestamp, LATEST - timedelta(seconds=seconds)) + timedelta(seconds=seconds)
