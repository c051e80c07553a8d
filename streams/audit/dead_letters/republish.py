"""The records that dead letters are retried by: each letter's own original, or the event it is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from streams.adapters.codec import Codec
from streams.adapters.events import ID_HEADER, TIME_HEADER, KafkaRecord
from streams.adapters.topic_reader import TopicReader, record_of
from streams.audit.dead_letters.originals import GoneError, Originals
from streams.audit.dead_letters.table import ENDING, OF_THE_SINK, LetterStatus
from streams.core.errors import UnreadableError
from streams.core.messages import DeadLetter, Origin
from streams.core.topics import BY_NAME

RETRY_HEADER: Final = "escalon-retry-of"
"""The dead letter whose original or event a record is."""
OURS: Final = frozenset({ID_HEADER, TIME_HEADER, RETRY_HEADER})
EVENTS: Final = "events"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AGAIN: Final = "Publish the event again from where it came."


@dataclass(frozen=True, slots=True, kw_only=True)
class Republished:
    """A record that goes to Kafka for a dead letter. `headers` have the id and the time it had the first time."""

    letter: DeadLetter
    topic: str
    partition: int
    key: bytes | None
    headers: list[tuple[str, bytes]]
    value: bytes


Republish = Callable[[DeadLetter], Republished]
"""Makes the record of a dead letter. Raises GoneError when it cannot be had any more."""


def as_it_came(originals: Originals) -> Republish:
    """Retry by the letter's original: it goes back to the topic and the partition it came from."""

    def republish(letter: DeadLetter) -> Republished:
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
class FromEvents:
    """Retry by the event: its record on the topic events goes through all tiers again, under today's pipeline.

    `scan` must not be the one that the letters are read with.
    """

    originals: Originals
    scan: TopicReader
    codec: Codec
    prefix: str
    event: Callable[[KafkaRecord], tuple[str, str]]
    """The id of an event, and the hash of what it says."""

    def __call__(self, letter: DeadLetter) -> Republished:
        """The record. Raises GoneError when the topic does not hold it any more."""
        if letter.topic == self.prefix + EVENTS:
            return as_it_came(self.originals)(letter)
        origin = self._origin(letter)
        found = self.scan.record(origin.topic, origin.partition, origin.offset)
        record = record_of(found) if found is not None else None
        if record is None or not record.value or not self._is(record, origin):
            what = f"{origin.topic} does not hold its event any more ({origin.partition}/{origin.offset})."
            raise GoneError(what, _AGAIN)
        return Republished(
            letter=letter,
            topic=record.topic,
            partition=record.partition,
            key=record.key,
            headers=_named(list(record.headers), letter, record.came_at),
            value=record.value,
        )

    def _is(self, record: KafkaRecord, origin: Origin) -> bool:
        """Whether a record is the event; it may have been read before hashes of contents were kept."""
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
            raise GoneError(f"Which event it is about cannot be read ({error.what}).", _AGAIN) from error
        origin: Origin = getattr(message, "event", message).origin
        return origin


def why_no_event(one: LetterStatus, prefix: str) -> str | None:
    """Why a dead letter cannot be retried by its event; None when it may be."""
    if one.topic.removeprefix(prefix) not in ENDING or one.reason == OF_THE_SINK:
        return "its event does not hang on it; retry it without --from"
    return None


def _named(headers: list[tuple[str, bytes]], letter: DeadLetter, came_at: datetime) -> list[tuple[str, bytes]]:
    """The headers, and those under which the record lands as if it came the first time."""
    milliseconds = (came_at - _EPOCH) // timedelta(milliseconds=1)
    own = {ID_HEADER: letter.event_id, TIME_HEADER: str(milliseconds), RETRY_HEADER: letter.dead_letter_id}
    kept = [(name, value) for name, value in headers if name not in OURS]
    return [*kept, *((name, value.encode()) for name, value in own.items())]
