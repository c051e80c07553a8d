"""A table: entries in RocksDB, with a changelog topic behind it from which another process can restore them.

An entry belongs to the partition of the message that wrote it. Its change is a delivery of that message, which is not
done before Kafka has the change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from streams.core.errors import UnreadableError
from streams.core.tables import TableSpec
from streams.runtime.deliveries import HANDLED, Deliveries, DeliveryClient
from streams.runtime.partition import Partition
from streams.runtime.table_store import TableStore

log = logging.getLogger("escalon.runtime")


class Table:
    """The entries of the partitions that this process has, by key; both are bytes."""

    def __init__(self, spec: TableSpec, changelog: str, source: str, store: TableStore, client: DeliveryClient) -> None:
        self.spec, self.changelog, self.source, self.store = spec, changelog, source, store
        """`source` is the topic whose messages write the table."""
        self._client = client
        self._confirmed: dict[Partition, int] = {}
        """The offset after the last confirmed change of each partition, if RocksDB does not have it yet."""
        self._latest: dict[tuple[int, bytes], Change] = {}
        """The last unconfirmed change of each key."""
        self._on_recover: list[Callable[[], None]] = []

    def on_recover(self, forget: Callable[[], None]) -> None:
        """Call `forget` whenever partitions come or go."""
        self._on_recover.append(forget)

    def recovered(self) -> None:
        for forget in self._on_recover:
            forget()

    def get(self, key: bytes) -> bytes | None:
        """Return the entry that a message of the present one's partition wrote; None if there is none."""
        number = _handled().partition.number
        return self.store.get(number, key) if self._is_here(number) else None

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries of all partitions."""
        return self.store.items()

    def __setitem__(self, key: bytes, value: bytes) -> None:
        handled = _handled()
        self._send(handled, key, value)  # first: it may be a paid answer, and the disk may be full
        if self._is_here(handled.partition.number):
            self.store.put(handled.partition.number, key, value)

    def delete(self, key: bytes) -> None:
        """Delete an entry, if there is one."""
        handled = _handled()
        self._send(handled, key, None)
        if self._is_here(handled.partition.number):
            self.store.delete(handled.partition.number, key)

    def _is_here(self, number: int) -> bool:
        """False for a message that was not done in time when its partition was revoked."""
        return self.store.holds(number)

    def _send(self, handled: Deliveries, key: bytes, value: bytes | None) -> None:
        number = handled.partition.number
        change = self._latest[number, key] = Change(self, handled.partition, key)
        self._client.send(self.changelog, key, value, handled, partition=number, patient=True, change=change)

    def save_offsets(self) -> None:
        """Note in RocksDB up to which offset its changelog is known to be complete."""
        for partition, offset in self._confirmed.items():
            if partition.owned:
                self.store.set_offset(partition.number, offset)
        self._confirmed.clear()


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A change of one key that was sent to the table's changelog."""

    table: Table
    partition: Partition
    key: bytes

    def superseded(self) -> bool:
        return self.table._latest.get((self.partition.number, self.key)) is not self

    def confirmed(self, offset: int) -> None:
        # Of an earlier assignment only the change counts. Another process may have owned the partition since, and a
        # recovery that begins behind this change would skip what that process wrote before it.
        if self.partition.owned:
            self.table._confirmed[self.partition] = offset + 1
        self._forget()

    def refused(self, refusal: UnreadableError) -> None:
        """Keep the change in this process only. A dead letter would not bring it into the changelog."""
        log.error(
            "a change of %s is lost when this process ends; raise its max.message.bytes: %s",
            self.table.spec.name, refusal,
        )  # fmt: skip
        self._forget()

    def _forget(self) -> None:
        if not self.superseded():
            del self.table._latest[self.partition.number, self.key]


def _handled() -> Deliveries:
    """Return the deliveries of the message that is being handled."""
    handled = HANDLED.get()
    assert handled is not None, "a table is used while a message is handled"  # noqa: S101
    return handled
