"""Dead letters: messages that cannot be read or handled, with their bytes, their position and the reason."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streams.adapters.codec import Codec
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka_record import KafkaRecord
from streams.core.dead_letter_limit import DeadLetterLimit
from streams.core.errors import EscalonError, ServiceError, UnreadableError
from streams.core.messages import DeadLetter, Header, Origin
from streams.core.process_fault import raise_process_fault
from streams.core.topics import BY_NAME, own_name

if TYPE_CHECKING:
    from streams.adapters.source_reader import SourceReader

KEPT_BYTES = 64 * 1024
MAX_DETAIL = 2000
MAX_KEY_BYTES, MAX_HEADERS_BYTES = 4096, 64 * 1024
BYTES_A_HEADER = 6
"""The most bytes of a letter per header, besides its name and value."""


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """Makes dead letters.

    `keep_whole` puts a larger message into the blob store and returns its place; `event_id` returns the id that the
    event has or would have had, `content_digest` the hash of its content, empty if unknown.
    """

    run: str
    cluster_id: str
    keep_whole: Callable[[bytes], str]
    event_id: Callable[[KafkaRecord], str]
    content_digest: Callable[[KafkaRecord], str] = lambda _: ""
    limit: DeadLetterLimit = field(default_factory=DeadLetterLimit)
    """Counts the letters that Kafka has confirmed; off by default."""

    def letter(self, record: KafkaRecord, error: Exception) -> DeadLetter:
        """Return the dead letter of a record that led to an error."""
        value = record.value or b""
        headers = tuple(_within(record.headers, MAX_HEADERS_BYTES))
        return DeadLetter(
            dead_letter_id=self.letter_id(record),
            run=self.run,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key[:MAX_KEY_BYTES] if record.key is not None else None,
            headers=headers,
            payload=value[:KEPT_BYTES],
            payload_size=len(value),
            payload_sha256=hashlib.sha256(value).hexdigest(),
            reference=self.keep_whole(value) if len(value) > KEPT_BYTES else None,
            reason=_reason(error),
            detail=_detail(error, len(record.headers) - len(headers)),
            error_class=type(error).__name__,
            event_id=self.event_id(record),
            event_time=record.came_at,
            content_digest=self.content_digest(record),
        )

    def letter_id(self, record: KafkaRecord) -> str:
        """Return the id of a record's dead letter, which does not depend on the error."""
        return record.identity("dead", self.run, self.cluster_id)

    def smallest(self, record: KafkaRecord, letter: DeadLetter) -> DeadLetter:
        """Return a record's letter without headers, and with all of the original in the blob store."""
        value = record.value or b""
        reference = self.keep_whole(value) if value else None
        return dataclasses.replace(letter, headers=(), payload=b"", reference=reference)


def _within(headers: Sequence[tuple[str, bytes]], room: int) -> Iterator[Header]:
    """Yield headers, in order, as long as they fit into some bytes."""
    for key, value in headers:
        room -= len(key.encode()) + len(value) + BYTES_A_HEADER
        if room < 0:
            return
        yield Header(key=key, value=value)


def _detail(error: Exception, left_out: int) -> str:
    """Return the reason in valid UTF-8, and the number of headers that are left out."""
    text = str(error)[:MAX_DETAIL].encode("utf-8", "backslashreplace").decode()
    return f"{text} {left_out} of its headers are left out." if left_out else text


def _reason(error: Exception) -> str:
    if isinstance(error, UnreadableError):
        return error.reason
    return f"{error.fault}_error" if isinstance(error, EscalonError) else "defect"


@dataclass(frozen=True)
class EventIds:
    """The id of a record's event, as far as the record can be read; else the record's own identity."""

    reader: EventReader
    codec: Codec
    prefix: str
    source: SourceReader | None = None
    """Reads the records of the user's own topics; None if none are read."""

    def __call__(self, record: KafkaRecord) -> str:
        """Return the id. Raises ServiceError if a registry is unavailable, and nothing for a bad record."""
        try:
            if self._is_event(record):
                return self.reader.event_id(record, self.reader.read(record.value, record.schema_id).id)
            if self._of_source(record):
                return self.source.event_id(record) if self.source is not None else self._by_record(record)
            return self._origin(record).event_id
        except ServiceError:  # the id may be readable in a moment
            raise
        except Exception as error:  # the fault that made it a dead letter may hide its id as well
            raise_process_fault(error)
            return self._by_record(record)

    def event(self, record: KafkaRecord) -> tuple[str, str]:
        """Return an event's id and content hash; the hash is empty if unreadable. Raises only ServiceError."""
        try:
            origin = self.reader(record).origin
            return origin.event_id, origin.content_digest
        except ServiceError:
            raise
        except Exception as error:
            raise_process_fault(error)
            return self(record), ""

    def content_digest(self, record: KafkaRecord) -> str:
        """Return the hash of the event's content; empty if unreadable or no event yet. Raises only ServiceError."""
        if self._of_source(record):
            return ""
        try:
            return (self.reader(record).origin if self._is_event(record) else self._origin(record)).content_digest
        except ServiceError:
            raise
        except Exception as error:
            raise_process_fault(error)
            return ""

    def _is_event(self, record: KafkaRecord) -> bool:
        return record.topic == f"{self.prefix}events"

    def _of_source(self, record: KafkaRecord) -> bool:
        return own_name(record.topic, self.prefix) is None

    def _origin(self, record: KafkaRecord) -> Origin:
        kind = BY_NAME[record.topic.removeprefix(self.prefix)].message
        message: Any = self.codec.decode(kind, record.value or b"")
        message = getattr(message, "task", message)
        origin: Origin = getattr(message, "event", message).origin
        return origin

    def _by_record(self, record: KafkaRecord) -> str:
        """Return the id in the record's header, else the record's identity."""
        try:
            return self.reader.event_id(record)
        except UnreadableError:
            return self.reader.event_id(dataclasses.replace(record, headers=()))
