"""Records of Kafka, from any client, and the headers that escalon reads and writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from streams.core.fingerprint import digest
from streams.core.time_range import EARLIEST, LATEST

ID_HEADER, TRACE_HEADER, SUBJECT_HEADER = "escalon-event-id", "traceparent", "escalon-data-subject"
SCHEMA_HEADER, KEY_SCHEMA_HEADER = "__value_schema_id", "__key_schema_id"
"""The ids of the schemas of value and key, where Confluent's clients write them into headers."""
TIME_HEADER = "escalon-event-time"
"""Milliseconds since 1970 at which a record that was published again first came."""
SOURCE_HEADER = "escalon-source"
"""On an event made of a record of the user's own topic: that record's `topic/partition/offset`."""
RETRY_HEADER = "escalon-retry-of"
"""Names the dead letter that a record was published for."""
_PLACE = re.compile(r"(?P<topic>[a-zA-Z0-9._-]{1,249})/(?P<partition>[0-9]{1,9})/(?P<offset>[0-9]{1,18})")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
        value = self._last(name)
        return value.decode("utf-8", "ignore") or None if value is not None else None

    def _last(self, name: str) -> bytes | None:
        return next((value for key, value in reversed(self.headers) if key == name), None)

    @property
    def schema_id(self) -> bytes | None:
        """The last header with the id of the value's schema, as it is; None without one."""
        return self._last(SCHEMA_HEADER)

    @property
    def key_schema_id(self) -> bytes | None:
        """The last header with the id of the key's schema, as it is; None without one."""
        return self._last(KEY_SCHEMA_HEADER)

    def identity(self, *scope: str) -> str:
        """Return an id within a scope that this record has each time it is read, and no other record has.

        A position alone is not unique: a topic that is created again, or that lost its end, gives the same offsets to
        other records. So the record's Kafka timestamp and bytes are part of the id.
        """
        at = (self.timestamp - EPOCH) // _MILLISECOND
        return digest(*scope, self.topic, self.partition, self.offset, at, self.key, self.value)

    @property
    def source(self) -> tuple[str, int, int] | None:
        """The place of the record that this one was made of; None if it was not made of another one."""
        made_of = _PLACE.fullmatch(self.header(SOURCE_HEADER) or "")
        return (made_of["topic"], int(made_of["partition"]), int(made_of["offset"])) if made_of else None

    @property
    def deadline_from(self) -> datetime:
        """The time that deadlines count from: its timestamp, or that of its source, unless it was published again."""
        return self.came_at if self.source and self.header(RETRY_HEADER) is None else self.timestamp

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
    first, last = (EARLIEST - EPOCH) // _MILLISECOND, (LATEST - EPOCH) // _MILLISECOND - 1
    return EPOCH + min(max(-1 if milliseconds is None else round(milliseconds), first), last) * _MILLISECOND


def deadline_after(timestamp: datetime, seconds: float) -> datetime:
    """Return a deadline some seconds after a record's timestamp, at most the end of YEARS."""
    return min(timestamp, LATEST - timedelta(seconds=seconds)) + timedelta(seconds=seconds)
