"""The stages' state in Faust tables: RocksDB on disk, with a changelog topic behind it.

Tables hold bytes, are written only while a message of their source topic is handled, and drop entries after their time
to live when RocksDB compacts.
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
    key: object
    make: Callable[[], Any]
    """Returns a new future of the change; each can be sent once."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once Kafka has confirmed the change or refused it permanently."""


class Table(faust.Table):  # type: ignore[misc]
    """A Faust table whose writes belong to the deliveries of the message that caused them.

    The consumer may not know a new changelog yet: Faust would take it for a topic of 0 partitions, refuse the write,
    and so fail the message.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._turns: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._latest: dict[tuple[int, Any], TableChange] = {}
        """The last unconfirmed change of each key."""

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
        """Send a change after the earlier ones of its partition, as a delivery of the message that is being handled."""
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
        # A change of an earlier generation is ignored. Another worker may have owned the partition since, and a
        # recovery that begins after this change would skip what that worker wrote before it.
        if generation == self.app.consumer_generation_id:
            self._on_changelog_sent(future)

    async def _until_confirmed(self, change: TableChange, future: Any) -> None:
        """Wait until Kafka has confirmed a change.

        A change over the size limit of its changelog stays in this process only. That is not the message's fault, and
        a dead letter would not bring the change into the changelog.
        """
        place = change.partition, change.key
        try:
            while not await self._confirmed(change, future):
                future = change.make()
                if (later := self._latest.get(place)) is not change:  # a retry would come after the later change
                    if later is not None:
                        await later.settled.wait()
                    return
        except UnreadableError as refusal:
            log.error(
                "a change of %s is lost when this process ends; raise its max.message.bytes: %s", self.name, refusal
            )
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
"""RocksDB's memory for each table and partition of a process: a cache of read blocks, and at most three write buffers.
They are small because there are many of them; the kernel's page cache holds the rest."""


def table(app: faust.App, name: str, source: str, partitions: int, ttl_seconds: float) -> Any:
    """Return a table of bytes for messages of the topic `source`."""
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
    """Stored answers by fingerprint."""

    def __init__(self, of: Any, codec: Codec) -> None:
        self._table = of
        self._codec = codec

    def get(self, fingerprint: str) -> StoredAnswer | None:
        data = self._table.get(fingerprint.encode())
        try:
            return None if data is None else self._codec.decode(StoredAnswer, data)
        except UnreadableError as error:
            log.warning("a stored answer cannot be read, so the model is called again: %s", error)
            return None

    def put(self, fingerprint: str, answer: StoredAnswer) -> None:
        """Store an answer; it reaches the changelog together with the messages of its event."""
        self._table[fingerprint.encode()] = self._codec.encode(answer)


class TableSettled:
    """The result that settled each event."""

    def __init__(self, of: Any) -> None:
        self._table = of

    def get(self, run: str, event_id: str) -> Settled | None:
        """Return the result that settled an event; None if there is none yet."""
        data = self._table.get(f"{run}\0{event_id}".encode())
        if data is None:
            return None
        partition, offset = SETTLED.head.unpack_from(data)
        return Settled(partition, offset, bytes(data[SETTLED.head.size :]))

    def put(self, run: str, event_id: str, settled: Settled) -> None:
        """Remember the result that settled an event, unless it becomes a dead letter."""
        key = f"{run}\0{event_id}".encode()
        claim(partial(self._table.pop, key, None))
        self._table[key] = SETTLED.head.pack(settled.partition, settled.offset) + settled.outcome


class TableImages:
    """The images seen so far: a table on disk, and an index in memory for searching.

    `position` is the sighting's offset, which orders the images when the index is rebuilt after a recovery.
    """

    def __init__(self, of: Any, capacity: int) -> None:
        self._table = of
        self._capacity = capacity
        self._index: HashIndex | None = None
        self.position = 0
        of.on_recover(self._forget)

    def likeliest(self, new: SeenImage, max_distance: int) -> list[Nominee]:
        """Return earlier images of other events that a new one may copy, the likeliest first."""
        from streams.models.listeners.image_index import likeliest

        near = self._built().near(new, max_distance)
        kept = ((self._kept(event_id), distance) for event_id, distance in near)
        return likeliest(new, (Nominee(seen, distance) for seen, distance in kept if seen is not None))

    def add(self, new: SeenImage) -> None:
        """Remember an image once, unless its sighting becomes a dead letter: no event is a duplicate of that."""
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
    """The money that each partition has spent, by day; `report` receives every amount.

    Faust keeps an entry with the partition of the message that is being handled, so each partition has its own.
    """

    def __init__(self, of: Any, share_usd: Decimal, report: Callable[[Decimal], None] = lambda _: None) -> None:
        self._table = of
        self._share = share_usd
        self._report = report

    def may_spend(self, now: datetime) -> bool:
        """True if the partition has money left today."""
        return self._spent(now) < self._share

    def spend(self, usd: Decimal, now: datetime) -> None:
        """Add the cost of a call, or the most that it can have cost."""
        self._table[day_of(now).encode()] = str(self._spent(now) + usd).encode()
        self._report(usd)

    def _spent(self, now: datetime) -> Decimal:
        data = self._table.get(day_of(now).encode())
        return Decimal(0) if data is None else Decimal(bytes(data).decode())


class TableWatches:
    """The state of each calibration's watch, by partition."""

    def __init__(self, of: Any) -> None:
        self._table = of

    def get(self, calibration: str) -> Watch | None:
        """Return a calibration's watch; None, so that it starts again, if the stored one cannot be read."""
        data = self._table.get(calibration.encode())
        try:
            return None if data is None else Watch.from_bytes(bytes(data))
        except ConfigError as error:
            log.warning("the watch of the calibration %s starts again: %s", calibration, error)
            return None

    def put(self, calibration: str, state: Watch) -> None:
        self._table[calibration.encode()] = state.to_bytes()
