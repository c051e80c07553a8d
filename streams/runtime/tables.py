"""The stages' state in tables.

A table holds bytes and is used only while a message of its source topic is handled. It drops entries after their time
to live when RocksDB compacts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from streams.adapters.codec import Codec
from streams.calibration.drift import Watch
from streams.core.budget import day_of
from streams.core.errors import ConfigError, UnreadableError
from streams.core.messages import StoredAnswer
from streams.core.tables import SETTLED
from streams.models.listeners.seen_image import Nominee, SeenImage
from streams.runtime.deliveries import claim
from streams.runtime.table import Table
from streams.stages.settle import Settled

if TYPE_CHECKING:
    from streams.models.listeners.image_index import HashIndex

log = logging.getLogger("escalon.runtime")


class TableAnswers:
    """Stored answers by fingerprint."""

    def __init__(self, of: Table, codec: Codec) -> None:
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

    def __init__(self, of: Table) -> None:
        self._table = of

    def get(self, run: str, event_id: str) -> Settled | None:
        """Return the result that settled an event; None if there is none yet."""
        data = self._table.get(f"{run}\0{event_id}".encode())
        if data is None:
            return None
        partition, offset = SETTLED.head.unpack_from(data)
        return Settled(partition, offset, data[SETTLED.head.size :])

    def put(self, run: str, event_id: str, settled: Settled) -> None:
        """Remember the result that settled an event, unless it becomes a dead letter."""
        key = f"{run}\0{event_id}".encode()
        claim(partial(self._table.delete, key))
        self._table[key] = SETTLED.head.pack(settled.partition, settled.offset) + settled.outcome


class TableImages:
    """The images seen so far: a table on disk, and an index in memory for searching.

    `position` is the sighting's offset, which orders the images when the index is rebuilt after a recovery.
    """

    def __init__(self, of: Table, capacity: int) -> None:
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
        self._table.delete(event_id.encode())
        self._index = None

    def _forget(self) -> None:
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

    An entry belongs to the partition of the message that is being handled, so each partition has its own.
    """

    def __init__(self, of: Table, share_usd: Decimal, report: Callable[[Decimal], None] = lambda _: None) -> None:
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
        return Decimal(0) if data is None else Decimal(data.decode())


class TableWatches:
    """The state of each calibration's watch, by partition."""

    def __init__(self, of: Table) -> None:
        self._table = of

    def get(self, calibration: str) -> Watch | None:
        """Return a calibration's watch; None, so that it starts again, if the stored one cannot be read."""
        data = self._table.get(calibration.encode())
        try:
            return None if data is None else Watch.from_bytes(data)
        except ConfigError as error:
            log.warning("the watch of the calibration %s starts again: %s", calibration, error)
            return None

    def put(self, calibration: str, state: Watch) -> None:
        self._table[calibration.encode()] = state.to_bytes()
