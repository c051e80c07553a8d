"""A Kafka consumer without a broker, for orders of events that must be forced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from streams.core.errors import ServiceError

Place = tuple[str, int]
WAIT_SECONDS = 20.0


@dataclass(frozen=True)
class FakeMessage:
    """A message, the end of a partition, or an error, with the methods of the client's messages."""

    place: Place
    at: int
    wrong: KafkaError | None = None

    def topic(self) -> str:
        return self.place[0]

    def partition(self) -> int:
        return self.place[1]

    def offset(self) -> int:
        return self.at

    def error(self) -> KafkaError | None:
        return self.wrong

    def key(self) -> bytes:
        return b"k"

    value = key

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000

    def headers(self) -> None:
        return None


@dataclass
class FakeClient:
    """The client of one member: logs by partition, its positions, and what it committed."""

    log: dict[Place, list[int]]
    offsets: dict[Place, int] = field(default_factory=dict)
    """Committed, by partition; `metadata` beside it."""
    metadata: dict[Place, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    """True if the broker answers no question."""
    errors: list[KafkaError] = field(default_factory=list)
    """Given by the next reads."""
    commit_errors: list[KafkaError] = field(default_factory=list)
    """The outcomes of the next commits: of each as a whole, or of its partitions."""
    whole_error: bool = True
    ends: dict[Place, int] = field(default_factory=dict)
    """The end of a log whose last records no reader gets."""
    position: dict[Place, int] = field(default_factory=dict)
    paused: set[Place] = field(default_factory=set)
    polls: int = 0
    _due: SimpleQueue[tuple[Callable[[], None], Future[None]]] = field(default_factory=SimpleQueue)
    _at_end: set[Place] = field(default_factory=set)

    def __call__(self, settings: dict[str, Any]) -> FakeClient:
        """Be the client that a member makes."""
        self._on_commit = settings["on_commit"]
        return self

    async def during_a_poll(self, call: Callable[[], None]) -> None:
        """Call something while the member polls, as the client calls back."""
        future: Future[None] = Future()
        self._due.put((call, future))
        await asyncio.wait_for(asyncio.wrap_future(future), WAIT_SECONDS)

    async def assign(self, *places: Place) -> None:
        """Give partitions to the member."""
        await self.during_a_poll(lambda: self._assigned(self, [TopicPartition(*place) for place in places]))

    async def revoke(self, *places: Place, lost: bool = False) -> None:
        """Take partitions away."""
        call = self._lost if lost else self._revoked
        await self.during_a_poll(lambda: call(self, [TopicPartition(*place) for place in places]))

    def known(self, topics: Collection[str]) -> dict[str, str]:
        """Return the ids of topics."""
        if self.silent:
            raise ServiceError("The broker does not answer.")
        return {topic: self.ids[topic] for topic in topics if topic in self.ids}

    # ---- The client's methods ----

    def subscribe(self, _: Any, on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self._assigned, self._revoked, self._lost = on_assign, on_revoke, on_lost

    def poll(self, _: float) -> FakeMessage | None:
        self.polls += 1
        try:
            call, done = self._due.get_nowait()
        except Empty:
            time.sleep(0.001)
        else:
            try:
                call()
            except Exception as error:  # the client raises it in the member's thread
                done.set_exception(error)
                raise
            done.set_result(None)
        return next(iter(self.consume(1, 0)), None)

    def consume(self, count: int, _: float) -> list[FakeMessage]:
        if self.errors:
            return [FakeMessage(("", -1), 0, self.errors.pop())]
        found: list[FakeMessage] = []
        for place, position in self.position.items():
            if place in self.paused or len(found) >= count:
                continue
            log, end = self.log[place], self._end(place)
            if not (log or [0])[0] <= position <= end:
                del self.position[place]  # nothing is read until the member seeks
                return [*found, FakeMessage(place, position, KafkaError(KafkaError._AUTO_OFFSET_RESET))]
            new = [offset for offset in log if offset >= position][: count - len(found)]
            found += [FakeMessage(place, offset) for offset in new]
            self.position[place] = new[-1] + 1 if new else end
            if not new and position < end:
                found.append(FakeMessage(place, end, KafkaError(KafkaError._PARTITION_EOF)))
        return found

    def committed(self, places: Iterable[TopicPartition], _: float) -> list[TopicPartition]:
        if self.silent:
            raise KafkaException(KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS))
        at = [(place.topic, place.partition) for place in places]
        return [TopicPartition(*one, self.offsets.get(one, OFFSET_INVALID), self.metadata.get(one, "")) for one in at]

    def commit(self, offsets: Sequence[TopicPartition], **_: bool) -> None:
        if self.commit_errors:
            error = self.commit_errors.pop()
            refused = [SimpleNamespace(topic=one.topic, partition=one.partition, error=error) for one in offsets]
            whole = error if self.whole_error else None
            self._due.put((lambda: self._on_commit(whole, refused), Future()))
            return
        for one in offsets:
            self.offsets[one.topic, one.partition] = one.offset
            self.metadata[one.topic, one.partition] = one.metadata or ""

    def get_watermark_offsets(self, one: TopicPartition, *_: float, **__: bool) -> tuple[int, int]:
        place = one.topic, one.partition
        return (self.log[place] or [0])[0], self._end(place)

    def incremental_assign(self, places: Iterable[TopicPartition]) -> None:
        for one in places:
            self.seek(one)

    def incremental_unassign(self, places: Iterable[TopicPartition]) -> None:
        for one in places:
            self.position.pop((one.topic, one.partition), None)

    def seek(self, one: TopicPartition) -> None:
        place = one.topic, one.partition
        self.position[place] = (self.log[place] or [0])[0] if one.offset == OFFSET_BEGINNING else one.offset

    def pause(self, places: Iterable[TopicPartition]) -> None:
        self.paused |= {(one.topic, one.partition) for one in places}

    def resume(self, places: Iterable[TopicPartition]) -> None:
        self.paused -= {(one.topic, one.partition) for one in places}

    def close(self) -> None:
        self.position.clear()

    def _end(self, place: Place) -> int:
        return self.ends.get(place, [-1, *self.log[place]][-1] + 1)
