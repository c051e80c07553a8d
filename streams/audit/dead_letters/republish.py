"""The records that a retry publishes: the original of each dead letter, or the event that it is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from streams.adapters.codec import Codec
from streams.adapters.kafka_record import ID_HEADER, RETRY_HEADER, TIME_HEADER, KafkaRecord
from streams.adapters.topic_reader import TopicReader, record_of
from streams.audit.dead_letters.originals import GoneError, Originals
from streams.audit.dead_letters.sources import MapAgain, source_record
from streams.audit.dead_letters.table import BAD_ROW, ENDING, LetterStatus
from streams.core.errors import UnreadableError
from streams.core.messages import DeadLetter, Origin
from streams.core.topics import BY_NAME, own_name

OURS: Final = frozenset({ID_HEADER, TIME_HEADER, RETRY_HEADER})
EVENTS: Final = "events"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AGAIN: Final = "Publish the event again from its source."


@dataclass(frozen=True, slots=True, kw_only=True)
class Republished:
    """A record that is published for a dead letter. Its headers carry the original id and time."""

    letter: DeadLetter
    topic: str
    partition: int | None
    """None if the key decides."""
    key: bytes | None
    headers: list[tuple[str, bytes]]
    value: bytes


Republish = Callable[[DeadLetter], Republished]
"""Makes the record of a dead letter. Raises GoneError if it no longer exists."""


def republish_original(originals: Originals, again: MapAgain) -> Republish:
    """Return a function that publishes a letter's original to the topic and partition that it came from.

    Of a record of the user's own topics it publishes the event.
    """

    def republish(letter: DeadLetter) -> Republished:
        if own_name(letter.topic, originals.prefix) is None:
            return _event(letter, again(source_record(letter, originals), letter))
        headers = [(one.key, one.value) for one in letter.headers]
        return Republished(
            letter=letter,
            topic=letter.topic,
            partition=letter.partition,
            key=letter.key,
            headers=_named(headers, letter, letter.event_time),
            value=originals.whole(letter),
        )

    return republish


@dataclass(frozen=True, kw_only=True)
class RepublishEvent:
    """Publishes the event of a dead letter: it goes through all tiers again, under the present pipeline.

    `scan` must not be the reader of the letters.
    """

    originals: Originals
    again: MapAgain
    scan: TopicReader
    codec: Codec
    prefix: str
    event: Callable[[KafkaRecord], tuple[str, str]]
    """Returns the id of an event and the hash of its content."""

    def __call__(self, letter: DeadLetter) -> Republished:
        """Return the record. Raises GoneError if the topic no longer holds it."""
        if own_name(letter.topic, self.prefix) in (EVENTS, None):
            return republish_original(self.originals, self.again)(letter)
        origin = self._origin(letter)
        found = self.scan.record(origin.topic, origin.partition, origin.offset)
        record = record_of(found) if found is not None else None
        mapped = own_name(origin.topic, self.prefix) is None
        if record is not None and mapped:
            record = self.again(record, letter)
        if record is None or not record.value or not self._is(record, origin):
            what = f"{origin.topic} no longer holds its event ({origin.partition}/{origin.offset})."
            raise GoneError(what, _AGAIN)
        if mapped:
            return _event(letter, record)
        return Republished(
            letter=letter,
            topic=record.topic,
            partition=record.partition,
            key=record.key,
            headers=_named(list(record.headers), letter, record.came_at),
            value=record.value,
        )

    def _is(self, record: KafkaRecord, origin: Origin) -> bool:
        """True if a record is the event. Old events have no hash of their content, which then is not compared."""
        event_id, content = self.event(record)
        return event_id == origin.event_id and (
            not content or not origin.content_digest or content == origin.content_digest
        )

    def _origin(self, letter: DeadLetter) -> Origin:
        kind, value = BY_NAME[letter.topic.removeprefix(self.prefix)].message, self.originals.whole(letter)
        try:
            message: Any = self.codec.decode(kind, value)
            message = getattr(message, "task", message)
        except UnreadableError as error:
            raise GoneError(f"The event it is about cannot be read ({error.what}).", _AGAIN) from error
        origin: Origin = getattr(message, "event", message).origin
        return origin


def why_no_event(one: LetterStatus, prefix: str) -> str | None:
    """Return the reason why a dead letter cannot be retried by its event; None if it can."""
    name = own_name(one.topic, prefix)
    if name is not None and (name not in ENDING or one.reason == BAD_ROW):
        return "it does not block its event; retry it without --from"
    return None


def _event(letter: DeadLetter, record: KafkaRecord) -> Republished:
    return Republished(
        letter=letter,
        topic=record.topic,
        partition=None,
        key=record.key,
        headers=list(record.headers),
        value=record.value or b"",
    )


def _named(headers: list[tuple[str, bytes]], letter: DeadLetter, came_at: datetime) -> list[tuple[str, bytes]]:
    """Return the headers with those that give the record its original id and time."""
    milliseconds = (came_at - _EPOCH) // timedelta(milliseconds=1)
    own = {ID_HEADER: letter.event_id, TIME_HEADER: str(milliseconds), RETRY_HEADER: letter.dead_letter_id}
    kept = [(name, value) for name, value in headers if name not in OURS]
    return [*kept, *((name, value.encode()) for name, value in own.items())]
