"""Read partitions between fixed offsets, without a consumer group, and account for every offset in between.

A log may have holes that no reader gets: transaction markers, aborted records, records removed by compaction. So
records are not counted. Instead each partition must be read from its first offset to its end, and a log that
moves its start past the reader, or ends before the fixed end, leaves a gap that must be handled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import ADMIN_TIMEOUT
from streams.core.errors import ServiceError

BATCH, POLL_SECONDS, END_SECONDS = 2000, 0.5, 10.0
SILENT_SECONDS = 60.0
LEADERLESS = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError._UNKNOWN_PARTITION,  # the client has not heard of it yet
)
Place = tuple[str, int]
Bounds = Mapping[Place, tuple[int, int]]
"""By topic and partition: the first offset to read, and the one after the last."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets of a partition that the log no longer holds; `end` is excluded."""

    topic: str
    partition: int
    first: int
    end: int

    def __str__(self) -> str:
        return f"offsets {self.first} to {self.end - 1} of {self.topic}/{self.partition}"


OnGap = Callable[[Gap], None]
"""Called for a gap. If it does not raise, reading continues behind the gap."""


def refuse(gap: Gap) -> None:
    """Raise ServiceError, for readers that need every record."""
    what = f"Kafka lost {gap} while they were being read (retention, a deletion of records, or a new topic)."
    raise ServiceError(what, "Run it again: it begins with the records that the topic then holds.")


class LogReader:
    """Reads partitions of one cluster. Every method raises ServiceError if Kafka cannot be read or goes silent."""

    def __init__(self, config: KafkaConfig, group: str) -> None:
        self._consumer = Consumer(config.accounting_consumer(group, **{"fetch.wait.max.ms": 50}))
        self._next: dict[Place, int] = {}
        """By partition, the next offset."""
        self._stopped = False
        """True if the client has given up a partition, so that it must be started again."""

    def held(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        """Return the first offset that each partition holds now, and the one after its last record."""
        marks = {place: self.watermarks(place) for place in places}
        ends = self._ends({place: high for place, (low, high) in marks.items() if low < high})
        return {place: (low, ends.get(place, high)) for place, (low, high) in marks.items()}

    def watermarks(self, place: Place) -> tuple[int, int]:
        """Return a partition's first offset and the one after its last, by the broker.

        A partition that is new, or whose broker has just gone, may have no leader for a while: it is asked again.
        """
        deadline = time.monotonic() + ADMIN_TIMEOUT
        while True:
            try:
                low, high = self._consumer.get_watermark_offsets(
                    TopicPartition(*place), timeout=ADMIN_TIMEOUT, cached=False
                )
                return low, high
            except KafkaException as error:
                if error.args[0].code() not in LEADERLESS or time.monotonic() > deadline:
                    what = f"Kafka does not report the offsets of {place[0]}/{place[1]} ({error.args[0].str()})."
                    remedy = "Check that the topic exists and that this partition has a leader."
                    raise ServiceError(what, remedy) from error
            time.sleep(POLL_SECONDS)

    def start(self, offsets: Mapping[Place, int]) -> None:
        """Begin to read partitions at these offsets."""
        self._next, self._stopped = dict(offsets), False
        partitions = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        self._consumer.assign(partitions)
        self._consumer.resume(partitions)  # the client keeps one paused that was paused in an earlier reading

    def read(self, bounds: Bounds, on_gap: OnGap = refuse) -> Iterator[Any]:
        """Yield every message between the bounds, as confluent-kafka returns it."""
        left = {place: end for place, (first, end) in bounds.items() if first < end}
        self.start({place: bounds[place][0] for place in left})
        ahead, silent = sum(end - bounds[place][0] for place, end in left.items()), 0.0
        try:
            while left:
                began = time.monotonic()
                # Not more than exist, or it would wait for more.
                found = self._consumer.consume(max(1, min(BATCH, ahead)), POLL_SECONDS)
                silent += time.monotonic() - began
                ahead -= len(found)
                for message in found:
                    end = left.get(_place(message))
                    if end is not None and self._advance(message, end, on_gap):
                        silent = 0.0
                        if message.error() is None and message.offset() < end:
                            yield message
                self._leave(left)
                if silent > SILENT_SECONDS:
                    raise _silence(left)
        finally:
            self._consumer.unassign()

    def poll(self, seconds: float, most: int, on_gap: OnGap = refuse) -> list[Any]:
        """Return the messages that arrive within some seconds from the partitions given to `start`."""
        found = self._consumer.consume(most, seconds)
        came = [message for message in found if self._advance(message, None, on_gap) and message.error() is None]
        if self._stopped:
            self.start(self._next)
        return came

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def _advance(self, message: Any, end: int | None, on_gap: OnGap) -> bool:
        """Note a message's offset; True if reading advances. Without `end` the partition is read indefinitely."""
        place, error, offset = _place(message), message.error(), message.offset()
        if error is None:
            self._next[place] = offset + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            self._next[place] = max(self._next[place], offset)
            if end is not None and self._next[place] < end:
                self._skip(place, end, end, on_gap)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._go_on(place, end, on_gap)
            return False
        else:
            what = f"{place[0]}/{place[1]} cannot be read ({error.str()})."
            raise ServiceError(what, "Check the broker, then try again.")
        return True

    def _go_on(self, place: Place, end: int | None, on_gap: OnGap) -> None:
        """Continue at the log's beginning, if the broker does not hold the next offset; stop if the log is shorter."""
        self._stopped, after = True, self._next[place]
        if after < 0:  # reading was to begin at the log's beginning
            return
        low, high = self.watermarks(place)
        if low > after:
            self._skip(place, low, end, on_gap)
        elif high < after:  # a new log, or one that was cut off
            self._skip(place, low if end is None else end, end, on_gap)

    def _leave(self, left: dict[Place, int]) -> None:
        """Drop the partitions that are read to their ends, and start the others again if needed."""
        done = [place for place, end in left.items() if self._next[place] >= end]
        for place in done:
            del left[place]
        if self._stopped:
            self.start({place: self._next[place] for place in left})
        elif done:
            self._consumer.pause([TopicPartition(*place) for place in done])

    def _skip(self, place: Place, to: int, end: int | None, on_gap: OnGap) -> None:
        first, self._next[place] = self._next[place], to
        on_gap(Gap(*place, first, max(first, to) if end is None else min(to, end)))

    def _ends(self, known: dict[Place, int]) -> dict[Place, int]:
        """Return the offsets after the last records.

        The in-memory broker reports too low an end: it counts only some records of a batch. A fetch
        from there finds the true end. On another broker the known ends are right, so a busy topic may stop the search.
        """
        if not known:
            return known
        left, deadline = set(known), time.monotonic() + END_SECONDS
        self.start(known)
        while left and time.monotonic() < deadline:
            for message in self._consumer.consume(len(left), POLL_SECONDS):
                self._advance(message, None, refuse)
                left -= {_place(message)} if message.error() is not None else set()
        self._consumer.unassign()
        return dict(self._next)


def _place(message: Any) -> Place:
    return message.topic(), message.partition()


def _silence(left: Mapping[Place, int]) -> ServiceError:
    named = ", ".join(f"{topic}/{partition}" for topic, partition in sorted(left)[:5])
    what = f"Kafka returns no more records of {named}, although their ends are not reached."
    return ServiceError(what, "Check the broker and that these partitions have a leader, then try again.")
