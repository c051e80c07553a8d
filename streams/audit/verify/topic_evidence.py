"""The records of the topics that `escalon verify` counts, before any deduplication."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Any, Final

from streams.adapters.codec import Codec
from streams.adapters.dead_letters import DeadLetters
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.log_reader import Gap
from streams.adapters.topic_reader import Marks, TopicReader, record_of
from streams.audit.dead_letters.table import BAD_ROW, ENDING
from streams.audit.verify.arrays import (
    EVENT,
    MESSAGE,
    OTHER_RUN,
    OTHER_TOPIC,
    SOURCE_TOPIC,
    THIS_TOPIC,
    Array,
    GrowingArray,
    content_hash,
    digest,
)
from streams.audit.verify.message_identity import IdentityReader, MessageIdentity
from streams.core.errors import UnreadableError
from streams.core.messages import Deferred
from streams.core.topics import BY_NAME, DEFERRED, own_name

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(slots=True)
class TopicEvidence:
    """The contents of a topic: an array of EVENT for events, of MESSAGE for the others."""

    topic: str
    entries: Array
    unreadable: Array
    marks: Marks
    starts: Mapping[int, int]
    begun: Mapping[int, int] = field(default_factory=dict)
    """By partition, the first credible Kafka timestamp, in milliseconds."""
    trimmed: frozenset[int] = frozenset()
    """Partitions whose records before the start were removed, or left out."""
    compacted: bool = False
    runs: frozenset[str] = frozenset()


@dataclass(slots=True)
class DeadLetterEvidence:
    """The dead letters, and what operators did about them."""

    acted: Mapping[str, tuple[str, int]]
    """By dead letter, the last action (`retried` or `dropped`) and its time in milliseconds."""
    opened: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Events that ended in an open dead letter: their ids, and hashes of their content."""
    dropped: list[tuple[bytes, bytes]] = field(default_factory=list)
    retried: dict[bytes, int] = field(default_factory=dict)
    """By event id, the time of the last retry."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Reasons of the open dead letters that ended an event."""
    places: dict[tuple[str, int, int], set[str]] = field(default_factory=dict)
    """By topic, partition and offset, the dead letters about a record at that position."""

    def add(self, letter: str, place: tuple[str, int, int], event: tuple[bytes, bytes], reason: str) -> None:
        """Add a dead letter about the record at a position. Adding it again has no effect."""
        known = self.places.setdefault(place, set())
        if letter in known:
            return
        known.add(letter)
        if place[0] in ENDING and reason != BAD_ROW:
            self._end(letter, event, reason)

    def _end(self, letter: str, event: tuple[bytes, bytes], reason: str) -> None:
        action, at = self.acted.get(letter, ("", 0))
        if action == "retried":
            self.retried[event[0]] = max(at, self.retried.get(event[0], 0))
        elif action == "dropped":
            self.dropped.append(event)
        else:
            self.opened.append(event)
            self.reasons[reason] += 1


@dataclass(slots=True)
class _Reading:
    topic: str
    marks: Marks
    since: int
    entries: GrowingArray
    unreadable: GrowingArray = field(default_factory=lambda: GrowingArray(EVENT))
    starts: dict[int, int] = field(default_factory=dict)
    begun: dict[int, int] = field(default_factory=dict)
    trimmed: set[int] = field(default_factory=set)

    def takes(self, message: Any, latest: int) -> bool:
        """True if the message is in the requested time. All messages of a partition after the first such one are.

        A time after `latest` comes from a producer with a wrong clock.
        """
        partition, at = message.partition(), message.timestamp()[1]
        if partition not in self.starts:
            if at < self.since:
                self.trimmed.add(partition)
                return False
            self.starts[partition] = message.offset()
        if 0 < at <= latest:
            self.begun.setdefault(partition, at)
        return True

    def lost(self, gap: Gap) -> None:
        """Start again after a gap, since the records before it are known only in part."""
        self.starts.pop(gap.partition, None)
        self.begun.pop(gap.partition, None)
        self.trimmed.add(gap.partition)

    def found(self, compacted: bool, runs: frozenset[str] = frozenset()) -> TopicEvidence:
        starts = {number: self.starts.get(number, high) for number, (_, high) in self.marks.items()}
        trimmed = frozenset(self.trimmed | {number for number, (low, _) in self.marks.items() if low > 0})
        return TopicEvidence(
            self.topic,
            self.entries.entries(),
            self.unreadable.entries(),
            self.marks,
            starts,
            self.begun,
            trimmed,
            compacted,
            runs,
        )


@dataclass(frozen=True, kw_only=True)
class EvidenceReader:
    """Reads topics into arrays. Times are in milliseconds."""

    scan: TopicReader
    codec: Codec
    prefix: str
    run: str
    letters: DeadLetters
    event: Callable[[KafkaRecord], tuple[str, str]]
    """Returns the id of an event and the hash of its content."""
    since: int
    on_progress: Callable[[str, int], None]
    """Called with a topic and the number of its records that were read."""
    latest: int = 2**63 - 1
    gaps: list[Gap] = field(default_factory=list)
    """Offsets that Kafka deleted before they were read."""
    sources: set[str] = field(default_factory=set)
    """The user's own topics that events were made of."""

    def events(self, marks: Marks) -> TopicEvidence:
        """Read the topic events, each record with the id that it has or would have."""
        reading = _Reading("events", marks, self.since, GrowingArray(EVENT))
        for message in self._messages(reading):
            record = record_of(message)
            name, content = self.event(record)
            if (source := record.source) is not None:
                self.sources.add(source[0])
            place = (message.partition(), message.offset(), message.timestamp()[1])
            reading.entries.add(digest(name), *place, content_hash(content))
        return reading.found(self._compacted("events"))

    def messages(
        self, topic: str, kind: type, marks: Marks, letters: DeadLetterEvidence | None = None
    ) -> TopicEvidence:
        """Read a topic of messages; dead letters are added to `letters`."""
        reading, identify, runs = (
            _Reading(topic, marks, self.since, GrowingArray(MESSAGE)),
            IdentityReader(self.codec),
            set[str](),
        )
        for message in self._messages(reading):
            place = (message.partition(), message.offset(), message.timestamp()[1])
            try:
                one = identify(kind, message)
            except UnreadableError:
                reading.unreadable.add(b"", *place, b"")
                continue
            runs.add(one.run)
            content = content_hash(one.content_digest)
            reading.entries.add(digest(*one.key), *place, content, *self._linked(one, message.value()))
            if letters is not None and one.source is not None:
                self._note(one, letters)
        return reading.found(self._compacted(topic), frozenset(runs))

    def deferred(self, marks: Mapping[str, Marks]) -> dict[bytes, int]:
        """Return the time until which each deferred event waits, in milliseconds; `marks` by topic."""
        waiting: dict[bytes, int] = {}
        for topic in (spec.name for spec in DEFERRED.values()):
            for message in self.scan.read(self.prefix + topic, marks[topic], self.gaps.append):
                try:
                    one = self.codec.decode(Deferred, message.value() or b"")
                    name = digest(one.task.event.origin.event_id)
                except UnreadableError:
                    continue
                waiting[name] = max(waiting.get(name, 0), int(one.not_before.timestamp() * 1000))
        return waiting

    def with_dead_letter(
        self, topic: str, places: Collection[tuple[int, int]], letters: DeadLetterEvidence
    ) -> set[tuple[int, int]]:
        """Return the positions whose present record has a dead letter; an earlier record there does not count."""
        wanted = {place: ids for place in places if (ids := letters.places.get((topic, *place)))}
        return {
            place
            for record in self._records(topic, wanted)
            if self.letters.letter_id(record) in wanted[place := (record.partition, record.offset)]
        }

    def event_times(self, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """Return the times of the events at some positions, by which their rows expire, in milliseconds."""
        reader = EventReader(self.codec, self.letters.cluster_id, self.run, sys.maxsize)
        return {
            (record.partition, record.offset): int(_own_time(reader, record).timestamp() * 1000)
            for record in self._records("events", places)
        }

    def _records(self, topic: str, places: Collection[tuple[int, int]]) -> Iterator[KafkaRecord]:
        marks: dict[int, tuple[int, int]] = {}
        for partition, offset in places:
            low, high = marks.get(partition, (offset, offset))
            marks[partition] = min(low, offset), max(high, offset + 1)
        records = (record_of(message) for message in self.scan.read(self.prefix + topic, marks, self.gaps.append))
        return (record for record in records if (record.partition, record.offset) in places)

    def describe(self, topic: str, partition: int, offset: int) -> dict[str, str]:
        """Return the ids of a record's event and call, as far as it can be read."""
        message = self.scan.record(self.prefix + topic, partition, offset)
        if message is None:
            return {}
        if topic == "events":
            return {"event_id": self.event(record_of(message))[0]}
        try:
            one = IdentityReader(self.codec)(BY_NAME[topic].message, message)
        except UnreadableError as error:
            return {"why": error.what}
        call = {"call_id": one.call_id} if one.call_id else {}
        return {"event_id": one.event_id} | call

    def _messages(self, reading: _Reading) -> Any:
        def on_gap(gap: Gap) -> None:
            self.gaps.append(gap)
            reading.lost(gap)

        messages = self.scan.read(self.prefix + reading.topic, reading.marks, on_gap)
        for count, message in enumerate(messages, 1):
            if reading.takes(message, self.latest):
                yield message
            if count % 1000 == 0:
                self.on_progress(reading.topic, count)

    def _compacted(self, topic: str) -> bool:
        return self.scan.compacted(self.prefix + topic)

    def _linked(self, one: MessageIdentity, value: bytes | None) -> tuple[Any, ...]:
        topic, partition, offset = one.source or ("", -1, -1)
        name = own_name(topic, self.prefix)
        this_run = THIS_TOPIC if name == "events" else SOURCE_TOPIC if topic and name is None else OTHER_TOPIC
        scope = this_run if one.run == self.run else OTHER_RUN
        call = digest(one.call_id) if one.call_id else b""
        body = md5(value or b"", usedforsecurity=False).digest()[:8]
        event_time = (one.event_time - _EPOCH) // _MILLISECOND
        return digest(one.event_id), scope, partition, offset, call, body, event_time

    def _note(self, one: MessageIdentity, letters: DeadLetterEvidence) -> None:
        if one.source is not None and one.run == self.run:
            topic, event = (
                one.source[0].removeprefix(self.prefix),
                (digest(one.event_id), content_hash(one.content_digest)),
            )
            letters.add(one.key[0], (topic, *one.source[1:]), event, one.reason)


def _own_time(reader: EventReader, record: KafkaRecord) -> datetime:
    try:
        return reader(record).origin.event_time
    except UnreadableError:
        return record.came_at
