"""The records of the user's own topics, each compared with what it must have become.

A record that LISTEN has committed is an event, was skipped, or is a dead letter. The committed offsets are read before
the ends of `events`, so the events of these records are among those that are read. The present `[source]` decides what
a record should have become.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.adapters.committed_offsets import committed_offsets
from streams.adapters.dead_letters import DeadLetters
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import describe_cluster
from streams.adapters.log_reader import Gap
from streams.adapters.source_reader import Skipped, SourceReader
from streams.adapters.topic_reader import Marks, TopicReader, record_of
from streams.audit.verify.arrays import Array, GrowingArray, digest
from streams.audit.verify.discrepancies import missing_from
from streams.audit.verify.topic_evidence import DeadLetterEvidence
from streams.core.errors import ServiceError, UnreadableError

EXAMPLES: Final = 10
_RECORD: Final = np.dtype([("id", "S16"), ("partition", "<i4"), ("offset", "<i8")])


@dataclass(frozen=True, slots=True)
class SourceEnds:
    """The contents of the user's topics, and the offsets that LISTEN had committed, by topic and partition."""

    marks: Mapping[str, Marks]
    committed: Mapping[tuple[str, int], int]


@dataclass(slots=True)
class SourceFindings:
    """The records of one topic, counted by what they became, and the places of those that became nothing."""

    counts: Counter[str] = field(default_factory=Counter)
    lost: list[tuple[int, int]] = field(default_factory=list)
    unreadable: list[tuple[int, int]] = field(default_factory=list)
    """Records that make no event, and have no dead letter."""


@dataclass(kw_only=True)
class SourceCheck:
    """Reads the user's topics, up to the committed offsets of the group that reads them."""

    scan: TopicReader
    kafka: KafkaConfig
    group: str
    reader: SourceReader
    letters: DeadLetters
    prefix: str
    since: int
    """Milliseconds; records with an earlier timestamp are left out."""
    on_progress: Callable[[str, int], None]
    gaps: list[Gap] = field(default_factory=list)

    def ends(self) -> SourceEnds:
        """Return what the topics hold now. Raises ServiceError."""
        topics = self.reader.topics.among(describe_cluster(self.kafka).partitions)
        marks = {topic: self.scan.marks(topic) for topic in topics}
        return SourceEnds(marks, self._committed([(topic, number) for topic in topics for number in marks[topic]]))

    def _committed(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        consumer = Consumer(self.kafka.consumer(self.group))
        try:
            found = committed_offsets(consumer, [TopicPartition(*place) for place in places])
        except KafkaException as error:
            what = f"Kafka does not report how far {self.group} has read ({error.args[0].str()})."
            raise ServiceError(what, "Check the broker, then try again.") from error
        finally:
            consumer.close()
        return {(one.topic, one.partition): max(0, one.offset) for one in found}

    def run(self, topic: str, ends: SourceEnds, known: Array, letters: DeadLetterEvidence) -> SourceFindings:
        """Compare one topic with the ids of all events that are known. Raises ServiceError."""
        found, events = SourceFindings(), GrowingArray(_RECORD)
        for count, message in enumerate(self.scan.read(topic, ends.marks[topic], self.gaps.append), 1):
            self._read(message, ends, letters, found, events)
            if count % 1000 == 0:
                self.on_progress(topic, count)
        entries = events.entries()
        places = missing_from(entries["id"], known)
        found.lost = [(int(entries["partition"][place]), int(entries["offset"][place])) for place in places]
        found.counts["events"] += len(entries) - len(places)
        return found

    def _read(
        self, message: Any, ends: SourceEnds, letters: DeadLetterEvidence, found: SourceFindings, events: GrowingArray
    ) -> None:
        record = record_of(message)
        place = record.topic, record.partition, record.offset
        if message.timestamp()[1] < self.since:
            return
        found.counts["records"] += 1
        if record.offset >= ends.committed.get(place[:2], 0):
            found.counts["waiting"] += 1
            return
        noted = letters.places.get((record.topic.removeprefix(self.prefix), *place[1:]), ())
        if noted and self.letters.letter_id(record) in noted:
            found.counts["dead_letters"] += 1
            return
        try:
            made = self.reader(record)
        except UnreadableError:
            found.unreadable.append(place[1:])
            return
        if isinstance(made, Skipped):
            found.counts[made.reason] += 1
        else:
            events.add(digest(made.id or ""), *place[1:])
