"""What `escalon verify` counts: every record of the topics as it stands there, before any deduplication."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

from streams.adapters.codec import Codec
from streams.adapters.events import Received
from streams.adapters.scan import Marks, Scan
from streams.adapters.tail import received
from streams.audit.identity import Identifier, Identity
from streams.audit.ledger import ELSEWHERE, LINKED, OTHER_RUN, OURS, PLACE, Array, Ledger, digest, said
from streams.audit.letters import ENDING, OF_THE_SINK
from streams.core.errors import UnreadableError
from streams.core.messages import Deferred, Postponed
from streams.core.topics import BY_MESSAGE, BY_NAME
from streams.runtime.dead_letters import DeadLetters


@dataclass(slots=True)
class Found:
    """What a topic holds. Arrays are of PLACE for events and of LINKED for the others."""

    topic: str
    entries: Array
    unreadable: Array
    marks: Marks
    starts: Mapping[int, int]
    """By partition, the first offset that was read."""
    trimmed: bool
    """Whether something before that is gone, or was left out."""
    earliest: int | None
    """The least Kafka timestamp, in milliseconds; of a trimmed topic the greatest of the partitions' first ones."""
    runs: frozenset[str] = frozenset()


@dataclass(slots=True)
class Said:
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
    entries: Ledger
    unreadable: Ledger = field(default_factory=lambda: Ledger(PLACE))
    starts: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By partition, the first offset and its timestamp."""
    earliest: int | None = None
    skipped: bool = False

    def takes(self, message: Any) -> bool:
        """Whether the message lies in the time asked for. From the first that does, all of its partition do."""
        partition, at = message.partition(), message.timestamp()[1]
        if partition not in self.starts:
            if at < self.since:
                self.skipped = True
                return False
            self.starts[partition] = (message.offset(), at)
        self.earliest = at if self.earliest is None else min(at, self.earliest)
        return True

    def found(self, runs: frozenset[str] = frozenset()) -> Found:
        starts = {number: self.starts.get(number, (high, 0))[0] for number, (_, high) in self.marks.items()}
        trimmed = self.skipped or any(low > 0 for low, _ in self.marks.values())
        firsts = [at for _, at in self.starts.values()]
        earliest = max(firsts, default=None) if trimmed else self.earliest
        entries, unreadable = self.entries.entries(), self.unreadable.entries()
        return Found(self.topic, entries, unreadable, self.marks, starts, trimmed, earliest, runs)


@dataclass(frozen=True, kw_only=True)
class Collector:
    """Reads topics into arrays. `since` is in milliseconds; `tell` hears of every record that was read."""

    scan: Scan
    codec: Codec
    prefix: str
    run: str
    letters: DeadLetters
    """Makes the ids of events that have none, and of dead letters."""
    event: Callable[[Received], tuple[str, str]]
    """The id of an event, and the hash of what it says."""
    since: int
    tell: Callable[[str, int], None]

    def events(self, marks: Marks) -> Found:
        """Every record of the topic events, with the id it has or would have."""
        reading = _Reading("events", marks, self.since, Ledger(PLACE))
        for message in self._messages(reading):
            name, content = self.event(received(message))
            place = (message.partition(), message.offset(), message.timestamp()[1])
            reading.entries.add(digest(name), *place, said(content))
        return reading.found()

    def messages(self, topic: str, kind: type, marks: Marks, letters: Said | None = None) -> Found:
        """Every record of a topic of ours; what dead letters say goes into `letters`."""
        reading, identify, runs = _Reading(topic, marks, self.since, Ledger(LINKED)), Identifier(self.codec), set[str]()
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
        return reading.found(frozenset(runs))

    def deferred(self, marks: Mapping[str, Marks]) -> dict[bytes, int]:
        """Until when each event waits that was put off, in milliseconds; `marks` by topic."""
        waiting: dict[bytes, int] = {}
        for kind in (Deferred, Postponed):
            topic = BY_MESSAGE[kind].name
            for message in self.scan.read(self.prefix + topic, marks[topic]):
                try:
                    one: Any = self.codec.decode(kind, message.value() or b"")
                    name = digest(one.task.event.origin.event_id)
                except UnreadableError:
                    continue
                waiting[name] = max(waiting.get(name, 0), int(one.not_before.timestamp() * 1000))
        return waiting

    def excused(self, topic: str, places: Collection[tuple[int, int]], letters: Said) -> set[tuple[int, int]]:
        """Of some partitions and offsets those whose record has a dead letter, and not only one that was there once."""
        wanted = {place: ids for place in places if (ids := letters.places.get((topic, *place)))}
        marks: dict[int, tuple[int, int]] = {}
        for partition, offset in wanted:
            low, high = marks.get(partition, (offset, offset))
            marks[partition] = min(low, offset), max(high, offset + 1)
        records = (received(message) for message in self.scan.read(self.prefix + topic, marks))
        return {
            place
            for record in records
            if (ids := wanted.get(place := (record.partition, record.offset))) and self.letters.letter_id(record) in ids
        }

    def names(self, topic: str, partition: int, offset: int) -> dict[str, str]:
        """What a record is about, in words: its event's id and its call's, as far as it can be read."""
        message = self.scan.record(self.prefix + topic, partition, offset)
        if message is None:
            return {}
        if topic == "events":
            return {"event_id": self.event(received(message))[0]}
        try:
            one = Identifier(self.codec)(BY_NAME[topic].message, message)
        except UnreadableError as error:
            return {"why": error.what}
        call = {"call_id": one.call_id} if one.call_id else {}
        return {"event_id": one.event_id} | call

    def _messages(self, reading: _Reading) -> Any:
        for count, message in enumerate(self.scan.read(self.prefix + reading.topic, reading.marks), 1):
            if reading.takes(message):
                yield message
            if count % 1000 == 0:
                self.tell(reading.topic, count)

    def _linked(self, one: Identity, value: bytes | None) -> tuple[Any, ...]:
        topic, partition, offset = one.source or ("", -1, -1)
        here = OURS if topic == f"{self.prefix}events" else ELSEWHERE
        standing = here if one.run == self.run else OTHER_RUN
        call = digest(one.call_id) if one.call_id else b""
        content = md5(value or b"", usedforsecurity=False).digest()[:8]
        return digest(one.event_id), standing, partition, offset, call, content

    def _note(self, one: Identity, letters: Said) -> None:
        if one.source is None or one.run != self.run:
            return
        topic = one.source[0].removeprefix(self.prefix)
        letters.places.setdefault((topic, *one.source[1:]), set()).add(one.key[0])
        if topic in ENDING and one.reason != OF_THE_SINK:
            letters.note(one.key[0], (digest(one.event_id), said(one.content_digest)), one.reason)
