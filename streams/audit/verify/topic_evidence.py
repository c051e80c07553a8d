"""What `escalon verify` counts: every record of the topics as it stands there, before any deduplication."""

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
from streams.adapters.events import EventReader, KafkaRecord
from streams.adapters.log_reader import Gap
from streams.adapters.topic_reader import Marks, TopicReader, record_of
from streams.audit.dead_letters.table import ENDING, OF_THE_SINK
from streams.audit.verify.arrays import ELSEWHERE, LINKED, OTHER_RUN, OURS, PLACE, Array, GrowingArray, digest, said
from streams.audit.verify.message_identity import IdentityReader, MessageIdentity
from streams.core.errors import UnreadableError
from streams.core.messages import Deferred
from streams.core.topics import BY_NAME, DEFERRED

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(slots=True)
class TopicEvidence:
    """What a topic holds. Arrays are of PLACE for events and of LINKED for the others."""

    topic: str
    entries: Array
    unreadable: Array
    marks: Marks
    starts: Mapping[int, int]
    """By partition, the first offset that was read."""
    begun: Mapping[int, int] = field(default_factory=dict)
    """By partition, the Kafka timestamp of the first record that was read and has a credible one, in milliseconds."""
    trimmed: frozenset[int] = frozenset()
    """Partitions of which something before their start is gone, or was left out."""
    compacted: bool = False
    """Whether Kafka may have removed a record for a later one of its key."""
    runs: frozenset[str] = frozenset()


@dataclass(slots=True)
class DeadLetterEvidence:
    """What the dead letters say, and what people did about them."""

    acted: Mapping[str, tuple[str, int]]
    """By dead letter, whether it was `retried` or `dropped`, and when, in milliseconds."""
    opened: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Events that ended in one which nobody has done anything about: their ids, and hashes of what they say."""
    dropped: list[tuple[bytes, bytes]] = field(default_factory=list)
    retried: dict[bytes, int] = field(default_factory=dict)
    """By event id, when it was retried last."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Of those that ended an event and are open."""
    places: dict[tuple[str, int, int], set[str]] = field(default_factory=dict)
    """By topic, partition and offset of a record, the dead letters that have stood for one there."""

    def hear(self, letter: str, place: tuple[str, int, int], event: tuple[bytes, bytes], reason: str) -> None:
        """One dead letter, about the record at a place; once, however often it is heard of."""
        heard = self.places.setdefault(place, set())
        if letter in heard:
            return
        heard.add(letter)
        if place[0] in ENDING and reason != OF_THE_SINK:
            self.note(letter, event, reason)

    def note(self, letter: str, event: tuple[bytes, bytes], reason: str) -> None:
        """One that ends its event, unless it was retried."""
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
    """One topic's arrays while they grow."""

    topic: str
    marks: Marks
    since: int
    entries: GrowingArray
    unreadable: GrowingArray = field(default_factory=lambda: GrowingArray(PLACE))
    starts: dict[int, int] = field(default_factory=dict)
    begun: dict[int, int] = field(default_factory=dict)
    trimmed: set[int] = field(default_factory=set)

    def takes(self, message: Any, latest: int) -> bool:
        """Whether the message lies in the time asked for. From the first that does, all of its partition do.

        A time after `latest` is nobody's but a producer's whose clock is wrong.
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
        """Take what follows a gap for the beginning: of what was before only a part is known."""
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
    """Reads topics into arrays. Times are in milliseconds; `tell` hears of every record that was read."""

    scan: TopicReader
    codec: Codec
    prefix: str
    run: str
    letters: DeadLetters
    """Makes the ids of events that have none, and of dead letters."""
    event: Callable[[KafkaRecord], tuple[str, str]]
    """The id of an event, and the hash of what it says."""
    since: int
    tell: Callable[[str, int], None]
    latest: int = 2**63 - 1
    """The latest time that a record may bear credibly."""
    gaps: list[Gap] = field(default_factory=list)
    """What Kafka deleted before it was read."""

    def events(self, marks: Marks) -> TopicEvidence:
        """Every record of the topic events, with the id it has or would have."""
        reading = _Reading("events", marks, self.since, GrowingArray(PLACE))
        for message in self._messages(reading):
            name, content = self.event(record_of(message))
            place = (message.partition(), message.offset(), message.timestamp()[1])
            reading.entries.add(digest(name), *place, said(content))
        return reading.found(self._compacted("events"))

    def messages(
        self, topic: str, kind: type, marks: Marks, letters: DeadLetterEvidence | None = None
    ) -> TopicEvidence:
        """Every record of a topic of ours; what dead letters say goes into `letters`."""
        reading, identify, runs = (
            _Reading(topic, marks, self.since, GrowingArray(LINKED)),
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
            content = said(one.content_digest)
            reading.entries.add(digest(*one.key), *place, content, *self._linked(one, message.value()))
            if letters is not None and one.source is not None:
                self._note(one, letters)
        return reading.found(self._compacted(topic), frozenset(runs))

    def deferred(self, marks: Mapping[str, Marks]) -> dict[bytes, int]:
        """Until when each event waits that was put off, in milliseconds; `marks` by topic."""
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

    def excused(
        self, topic: str, places: Collection[tuple[int, int]], letters: DeadLetterEvidence
    ) -> set[tuple[int, int]]:
        """Of some partitions and offsets those whose record has a dead letter, and not only one that was there once."""
        wanted = {place: ids for place in places if (ids := letters.places.get((topic, *place)))}
        return {
            place
            for record in self._records(topic, wanted)
            if self.letters.letter_id(record) in wanted[place := (record.partition, record.offset)]
        }

    def times(self, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """The own times of the events at some partitions and offsets, by which their rows expire, in milliseconds."""
        reader = EventReader(self.codec, self.letters.cluster_id, self.run, sys.maxsize)
        return {
            (record.partition, record.offset): int(_own_time(reader, record).timestamp() * 1000)
            for record in self._records("events", places)
        }

    def _records(self, topic: str, places: Collection[tuple[int, int]]) -> Iterator[KafkaRecord]:
        """The records at some partitions and offsets."""
        marks: dict[int, tuple[int, int]] = {}
        for partition, offset in places:
            low, high = marks.get(partition, (offset, offset))
            marks[partition] = min(low, offset), max(high, offset + 1)
        records = (record_of(message) for message in self.scan.read(self.prefix + topic, marks, self.gaps.append))
        return (record for record in records if (record.partition, record.offset) in places)

    def names(self, topic: str, partition: int, offset: int) -> dict[str, str]:
        """What a record is about, in words: its event's id and its call's, as far as it can be read."""
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
                self.tell(reading.topic, count)

    def _compacted(self, topic: str) -> bool:
        return self.scan.compacted(self.prefix + topic)

    def _linked(self, one: MessageIdentity, value: bytes | None) -> tuple[Any, ...]:
        topic, partition, offset = one.source or ("", -1, -1)
        here = OURS if topic == f"{self.prefix}events" else ELSEWHERE
        standing = here if one.run == self.run else OTHER_RUN
        call = digest(one.call_id) if one.call_id else b""
        content = md5(value or b"", usedforsecurity=False).digest()[:8]
        born = (one.born - _EPOCH) // _MILLISECOND
        return digest(one.event_id), standing, partition, offset, call, content, born

    def _note(self, one: MessageIdentity, letters: DeadLetterEvidence) -> None:
        if one.source is not None and one.run == self.run:
            topic, event = one.source[0].removeprefix(self.prefix), (digest(one.event_id), said(one.content_digest))
            letters.hear(one.key[0], (topic, *one.source[1:]), event, one.reason)


def _own_time(reader: EventReader, record: KafkaRecord) -> datetime:
    try:
        return reader(record).origin.event_time
    except UnreadableError:
        return record.came_at
