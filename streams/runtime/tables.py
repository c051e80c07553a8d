"""The stages' memory in Faust tables: RocksDB on disk, a changelog topic behind it.

Tables hold bytes, are written only while a message of their source topic is handled, and forget entries after
their time to live when RocksDB compacts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import faust
from aiokafka.errors import KafkaError
from faust.exceptions import PartitionsMismatch, ProducerSendError

from streams.adapters.codec import Codec
from streams.calibration.drift import Watch
from streams.core.budget import day_of
from streams.core.errors import ConfigError, ProcessError, UnreadableError
from streams.core.messages import StoredAnswer
from streams.core.tables import SETTLED
from streams.models.listeners.seen_image import Nominee, SeenImage
from streams.runtime.confirm import PENDING, claim, until_taken, wait_or_raise
from streams.runtime.table_store import TableStore
from streams.stages.settle import Settled

if TYPE_CHECKING:
    from streams.models.listeners.image_index import HashIndex

log = logging.getLogger("escalon.runtime")
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class TableChange:
    """One write to a table."""

    partition: int
    key: Any
    make: Callable[[], Any]
    """Faust's promise of it; each can be sent once."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once Kafka has confirmed the change, or refused it for good."""


class Table(faust.Table):  # type: ignore[misc]
    """A Faust table whose writes are part of what a message causes.

    Its changelog may be so new that the consumer has not heard of it: Faust would take it for a topic of 0 partitions,
    refuse the write, and so fail the message that caused it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._turns: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._latest: dict[tuple[int, Any], TableChange] = {}
        """The last change of each key that Kafka has not confirmed yet."""

    def _new_store(self) -> TableStore:
        return TableStore(
            self.app.conf.store,
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            value_type=self.value_type,
            loop=self.loop,
            options=self.options,
        )

    def _verify_source_topic_partitions(self, source_topic: str) -> None:
        if not self.app.consumer.topic_partitions(self.changelog_topic_name):
            return
        try:
            super()._verify_source_topic_partitions(source_topic)
        except PartitionsMismatch as error:
            raise ProcessError(" ".join(str(error).split())) from error

    def send_changelog(
        self, partition: int | None, key: Any, value: Any, key_serializer: Any = None, value_serializer: Any = None
    ) -> Any:
        """Send a change, after the earlier ones of its partition, on behalf of the message that is being handled."""
        pending = PENDING.get()
        if pending is None:
            return super().send_changelog(partition, key, value, key_serializer, value_serializer)
        raw = {"key_serializer": key_serializer, "value_serializer": value_serializer}
        usual = {"key_serializer": self.key_serializer, "value_serializer": self.value_serializer}
        options = usual | {name: given for name, given in raw.items() if given is not None}

        generation = self.app.consumer_generation_id

        def make() -> Any:
            return self.changelog_topic.as_future_message(
                key=key,
                value=value,
                partition=partition,
                callback=partial(self._on_sent, generation),
                eager_partitioning=True,
                **options,
            )

        future = make()
        change = TableChange(future.message.partition, key, make)
        self._latest[change.partition, key] = change
        pending.add(self._until_confirmed(change, future))
        return future

    def _on_sent(self, generation: int, future: Any) -> None:
        # Of a message that was handed back and ends all the same: the partition may have been another worker's since.
        # A recovery that begins behind this change would leave out what that one wrote before it.
        if generation == self.app.consumer_generation_id:
            self._on_changelog_sent(future)

    async def _until_confirmed(self, change: TableChange, future: Any) -> None:
        """Wait until Kafka has a change.

        One that is over the limit of its changelog stays in this process alone. That is no fault of the message, and a
        dead letter would not bring it into the changelog.
        """
        place = change.partition, change.key
        try:
            while not await self._confirmed(change, future):
                future = change.make()
                if (later := self._latest.get(place)) is not change:  # sent again, this one would come after that
                    if later is not None:
                        await later.settled.wait()
                    return
        except UnreadableError as refusal:
            log.error("a change of %s is lost with this process; raise its max.message.bytes: %s", self.name, refusal)
        finally:
            change.settled.set()
            if self._latest.get(place) is change:
                del self._latest[place]

    async def _confirmed(self, change: TableChange, future: Any) -> bool:
        try:
            async with self._turns[change.partition]:
                publish = partial(self.changelog_topic.publish_message, future)
                sent = await until_taken(self.changelog_topic_name, publish)
            await sent
        except (KafkaError, ProducerSendError) as error:
            await wait_or_raise(self.changelog_topic_name, error)
            return False
        return True


CACHE_BYTES, BUFFER_BYTES = 1 * MIB, 1 * MIB
"""RocksDB's memory for each table and partition that a process has: blocks it has read, and three buffers of writes at
most. Small ones: there are many of them, and what is not there the kernel's page cache has."""


def table(app: faust.App, name: str, source: str, partitions: int, ttl_seconds: float) -> Any:
    """A table of bytes, as many partitions as the topic `source` has."""
    return app.Table(
        name,
        help=source,
        partitions=partitions,
        key_type=bytes,
        value_type=bytes,
        options={
            "ttl": int(ttl_seconds),
            "block_cache_size": CACHE_BYTES,
            "write_buffer_size": BUFFER_BYTES,
            "target_file_size_base": 16 * MIB,
        },
    )


class TableAnswers:
    """The store of answers by fingerprint."""

    def __init__(self, of: Any, codec: Codec) -> None:
        self._table = of
        self._codec = codec

    def get(self, fingerprint: str) -> StoredAnswer | None:
        """What is stored under a fingerprint."""
        data = self._table.get(fingerprint.encode())
        try:
            return None if data is None else self._codec.decode(StoredAnswer, data)
        except UnreadableError as error:
            log.warning("an answer in the store cannot be read and is asked for anew: %s", error)
            return None

    def put(self, fingerprint: str, answer: StoredAnswer) -> None:
        """Store an answer; it reaches the changelog with the messages it causes."""
        self._table[fingerprint.encode()] = self._codec.encode(answer)


class TableSettled:
    """What settled each event."""

    def __init__(self, of: Any) -> None:
        self._table = of

    def get(self, run: str, event_id: str) -> Settled | None:
        """What settled an event; None when nothing has yet."""
        data = self._table.get(f"{run}\0{event_id}".encode())
        if data is None:
            return None
        partition, offset = SETTLED.head.unpack_from(data)
        return Settled(partition, offset, bytes(data[SETTLED.head.size :]))

    def put(self, run: str, event_id: str, settled: Settled) -> None:
        """Remember what settled an event, unless the result becomes a dead letter: that one settles nothing."""
        key = f"{run}\0{event_id}".encode()
        claim(partial(self._table.pop, key, None))
        self._table[key] = SETTLED.head.pack(settled.partition, settled.offset) + settled.outcome


class TableImages:
    """The images seen so far: a table for keeping, an index in memory for finding.

    `position` is the sighting's offset, which orders the images when the index is built again after recovery.
    """

    def __init__(self, of: Any, capacity: int) -> None:
        self._table = of
        self._capacity = capacity
        self._index: HashIndex | None = None
        self.position = 0
        of.on_recover(self._forget)

    def likeliest(self, new: SeenImage, max_distance: int) -> list[Nominee]:
        """Earlier images of other events that a new one may be a copy of, the likeliest first."""
        from streams.models.listeners.image_index import likeliest

        near = self._built().near(new, max_distance)
        kept = ((self._kept(event_id), distance) for event_id, distance in near)
        return likeliest(new, (Nominee(seen, distance) for seen, distance in kept if seen is not None))

    def add(self, new: SeenImage) -> None:
        """Remember an image, once, unless its sighting becomes a dead letter: nothing can be a duplicate of that."""
        claim(partial(self._withdraw, new.event_id))
        if self._kept(new.event_id) is not None:
            return
        self._built().add(new)
        self._table[new.event_id.encode()] = new.packed(self.position)

    def _kept(self, event_id: str) -> SeenImage | None:
        value = self._table.get(event_id.encode())
        found = None if value is None else SeenImage.unpacked(event_id, value)
        return None if found is None else found[1]

    def _withdraw(self, event_id: str) -> None:
        self._table.pop(event_id.encode(), None)
        self._index = None

    async def _forget(self) -> None:
        self._index = None

    def _built(self) -> HashIndex:
        if self._index is None:
            from streams.models.listeners.image_index import HashIndex  # it loads NumPy, for images alone

            found = (SeenImage.unpacked(key.decode(), value) for key, value in self._table.items())
            light = [(place, replace(seen, thumbnail=b"")) for place, seen in filter(None, found)]
            light.sort(key=lambda item: (item[0], item[1].event_id))
            self._index = HashIndex.from_items((seen for _, seen in light), self._capacity)
        return self._index


class TableBudget:
    """The money each partition has spent, by day. Faust keeps a table's entries with the partition of the message
    that is being handled, so each partition has its own. `tell` hears of every amount."""

    def __init__(self, of: Any, share_usd: Decimal, tell: Callable[[Decimal], None] = lambda _: None) -> None:
        self._table = of
        self._share = share_usd
        self._tell = tell

    def may_spend(self, now: datetime) -> bool:
        """Whether the partition has money left today."""
        return self._spent(now) < self._share

    def spend(self, usd: Decimal, now: datetime) -> None:
        """Count what a call cost, or the most it can have cost."""
        self._table[day_of(now).encode()] = str(self._spent(now) + usd).encode()
        self._tell(usd)

    def _spent(self, now: datetime) -> Decimal:
        data = self._table.get(day_of(now).encode())
        return Decimal(0) if data is None else Decimal(bytes(data).decode())


class TableWatches:
    """How far each calibration's watch has come, by partition."""

    def __init__(self, of: Any) -> None:
        self._table = of

    def get(self, calibration: str) -> Watch | None:
        """A calibration's watch; it starts again when the one there cannot be read."""
        data = self._table.get(calibration.encode())
        try:
            return None if data is None else Watch.from_bytes(bytes(data))
        except ConfigError as error:
            log.warning("the watch of the calibration %s starts again: %s", calibration, error)
            return None

    def put(self, calibration: str, state: Watch) -> None:
        """Remember a watch."""
        self._table[calibration.encode()] = state.to_bytes()
