"""The chosen events of a topic, read twice: first to choose, then to replay.

Kafka orders a partition by arrival, and producers give events times of their own, so only reading all of it finds
exactly the events of an hour. A chosen event takes 16 bytes of memory while the others are read, then 8.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streams.adapters.dead_letters import DeadLetters
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import TopicIds
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.source_reader import SKIPPED
from streams.adapters.topic_reader import Offsets, TopicReader
from streams.core.errors import ServiceError, UnreadableError
from streams.core.messages import Event
from streams.replay.selection import EventSelection


@dataclass(frozen=True, slots=True)
class Chosen:
    """The positions of the chosen events: by partition their offsets, sorted."""

    offsets: dict[int, NDArray[np.int64]]
    unreadable: int = 0
    """Records that hold no readable event; these ended as dead letters and are not replayed."""
    skipped: int = 0
    """Records of one of the user's own topics that `[source]` skips."""
    begins: dict[int, int] = field(default_factory=dict)
    """The first offset the topic still holds, of partitions whose beginning is gone."""
    topic_id: str = ""
    """Kafka's own id of the topic. One that is made again has other events at these offsets."""

    def __len__(self) -> int:
        return sum(map(len, self.offsets.values()))


@dataclass(frozen=True, slots=True)
class Source:
    """Events of one topic. `topic` is its whole name."""

    kafka: KafkaConfig
    topic: str
    reader: Callable[[KafkaRecord], Event]
    dead_letters: DeadLetters

    def choose(self, selection: EventSelection) -> Chosen:
        """Find the events; of several with the earliest times, those of lower partitions and offsets come first."""
        times: dict[int, array[float]] = defaultdict(lambda: array("d"))
        offsets: dict[int, array[int]] = defaultdict(lambda: array("q"))
        unread, topic_id = Counter[bool](), self._topic_id()
        with closing(self._tail(self._first(selection))) as tail:
            held = tail.held()
            for record in tail.to_end(held):
                if not selection.holds_position(record.partition, record.offset):
                    continue
                try:
                    origin = self.reader(record).origin
                except UnreadableError as error:
                    unread[error.reason == SKIPPED] += 1
                    continue
                if selection.takes(origin.event_id, origin.event_time):
                    times[record.partition].append(origin.event_time.timestamp())
                    offsets[record.partition].append(record.offset)
        wanted = selection.offsets or {}
        gone = {number: low for (_, number), (low, _) in held.items() if low > wanted.get(number, (0, 0))[0]}
        return Chosen(_earliest(times, offsets, selection.limit), unread[False], unread[True], gone, topic_id)

    def _first(self, selection: EventSelection) -> Offsets | None:
        """Return the first offsets to read; None for all from the beginning."""
        if selection.offsets is None:
            return None
        return {(self.topic, partition): first for partition, (first, _) in selection.offsets.items()}

    def events(self, chosen: Chosen) -> Iterator[tuple[KafkaRecord, Event]]:
        """Yield the chosen events and their records, each partition in its order."""
        left = Counter({partition: len(offsets) for partition, offsets in chosen.offsets.items()})
        start = {(self.topic, partition): int(offsets[0]) for partition, offsets in chosen.offsets.items()}
        with closing(self._tail(start)) as tail:
            held = tail.held()
            if self._topic_id() != chosen.topic_id:
                what = f"The topic {self.topic} was deleted and made again since its events were chosen."
                raise ServiceError(what, "Run it again under another name: its events are others now.")
            for record in tail.to_end(held):
                if record.partition in left and _holds(chosen.offsets[record.partition], record.offset):
                    yield record, self.reader(record)
                    left[record.partition] -= 1
                    left += Counter()  # forget the partitions that are done
                if not left:
                    return
        if left:
            what = f"Kafka no longer gives {sum(left.values())} of the chosen events."
            raise ServiceError(what, "Run it again: what is left of them will be chosen.")

    def _topic_id(self) -> str:
        return TopicIds(self.kafka).required([self.topic])[self.topic]

    def _tail(self, start: Offsets | None) -> TopicReader:
        return TopicReader(self.kafka, [self.topic], start, only_started=start is not None)


def _earliest(
    times: Mapping[int, array[float]], offsets: Mapping[int, array[int]], limit: int | None
) -> dict[int, NDArray[np.int64]]:
    """Return the offsets by partition, sorted; with a limit those of the earliest events alone."""
    found = {partition: np.array(offsets[partition], dtype=np.int64) for partition in sorted(offsets)}
    if limit is not None:
        order = np.argsort(np.concatenate([np.array(times[one]) for one in found] or [np.array([])]), kind="stable")
        taken = np.zeros(len(order), dtype=np.bool_)
        taken[order[:limit]] = True
        parts = np.split(taken, np.cumsum([len(of) for of in found.values()])[:-1]) if found else []
        found = {one: found[one][part] for one, part in zip(found, parts, strict=True)}
    return {partition: np.sort(of) for partition, of in found.items() if len(of)}


def _holds(offsets: NDArray[np.int64], offset: int) -> bool:
    place = int(np.searchsorted(offsets, offset))
    return place < len(offsets) and int(offsets[place]) == offset
