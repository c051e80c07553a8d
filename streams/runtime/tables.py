"""The stages' memory in Faust tables: RocksDB on disk, a changelog topic behind it.

Tables hold bytes, are written only while a message of their source topic is handled, and forget entries after
their time to live when RocksDB compacts.
"""

from __future__ import annotations

import logging
import struct
from datetime import datetime
from decimal import Decimal
from typing import Any

import faust

from streams.adapters.codec import Codec
from streams.core.budget import day_of
from streams.core.errors import ConfigError, UnreadableError
from streams.core.exchangeability import Watch
from streams.core.messages import StoredAnswer
from streams.models.image import HashIndex
from streams.stages.settle import Settled

log = logging.getLogger("escalon.runtime")
MIB = 1024 * 1024
_POSITION = struct.Struct(">iq")
_SEEN = struct.Struct(">qQ")


class Table(faust.Table):  # type: ignore[misc]
    """A Faust table whose changelog may be so new that the consumer has not heard of it.

    Faust would take it for a topic of 0 partitions, refuse the write, and so fail the message that caused it.
    """

    def _verify_source_topic_partitions(self, source_topic: str) -> None:
        if self.app.consumer.topic_partitions(self.changelog_topic_name):
            super()._verify_source_topic_partitions(source_topic)


def table(app: faust.App, name: str, partitions: int, ttl_seconds: float) -> Any:
    """A table of bytes, as many partitions as its source topic has."""
    return app.Table(
        name,
        partitions=partitions,
        key_type=bytes,
        value_type=bytes,
        options={
            "ttl": int(ttl_seconds),
            "block_cache_size": 16 * MIB,
            "write_buffer_size": 8 * MIB,
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
        partition, offset = _POSITION.unpack_from(data)
        return Settled(partition, offset, bytes(data[_POSITION.size :]))

    def put(self, run: str, event_id: str, settled: Settled) -> None:
        """Remember what settled an event."""
        value = _POSITION.pack(settled.partition, settled.offset) + settled.outcome
        self._table[f"{run}\0{event_id}".encode()] = value


class TableImages:
    """The image hashes seen so far: a table for keeping, an index in memory for finding.

    `position` is the sighting's offset, which orders the images when the index is built anew after recovery.
    """

    def __init__(self, of: Any, capacity: int) -> None:
        self._table = of
        self._capacity = capacity
        self._index: HashIndex | None = None
        self.position = 0
        of.on_recover(self._forget)

    def nearest(self, image_hash: int, max_distance: int, but_not: str) -> tuple[str, int] | None:
        """The most similar earlier image of another event."""
        return self._built().nearest(image_hash, max_distance, but_not)

    def add(self, event_id: str, image_hash: int) -> None:
        """Remember an image, once."""
        if self._table.get(event_id.encode()) is not None:
            return
        self._built().add(event_id, image_hash)
        self._table[event_id.encode()] = _SEEN.pack(self.position, image_hash)

    async def _forget(self) -> None:
        self._index = None

    def _built(self) -> HashIndex:
        if self._index is None:
            items = [(*_SEEN.unpack(value), key.decode()) for key, value in self._table.items()]
            self._index = HashIndex.from_items(
                [(event_id, image_hash) for _, image_hash, event_id in sorted(items)], self._capacity
            )
        return self._index


class TablePurse:
    """The money each partition has spent, by day. Faust keeps a table's entries with the partition of the message
    that is being handled, so each partition has its own."""

    def __init__(self, of: Any, share_usd: Decimal) -> None:
        self._table = of
        self._share = share_usd

    def may_spend(self, now: datetime) -> bool:
        """Whether the partition has money left today."""
        return self._spent(now) < self._share

    def spend(self, usd: Decimal, now: datetime) -> None:
        """Count what a call cost."""
        self._table[day_of(now).encode()] = str(self._spent(now) + usd).encode()

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
