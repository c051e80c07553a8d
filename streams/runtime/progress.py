"""Track the messages that a consumer has fetched, and the offsets that it may commit."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


@dataclass(slots=True)
class _Partition:
    first: int
    next: int
    """The offset after the last fetched one."""
    waiting: set[int] = field(default_factory=set)
    """Fetched and not delivered."""
    in_flight: set[int] = field(default_factory=set)
    """Delivered and not done."""


class Progress(Generic[P]):
    """The messages of each partition that were fetched, delivered and done since partitions were assigned.

    Messages that were fetched in sequence have no others between them, so gaps in the offsets do not matter.
    """

    def __init__(self) -> None:
        self._partitions: dict[P, _Partition] = {}

    def fetched(self, partition: P, offsets: Sequence[int]) -> set[int]:
        """Note fetched messages, perhaps not for the first time, and return those that are still to be delivered."""
        known = self._partitions.get(partition)
        if known is None or offsets[0] < known.first:
            known = self._partitions[partition] = _Partition(offsets[0], offsets[0])
        known.waiting.update(offset for offset in offsets if offset >= known.next)
        known.next = max(known.next, offsets[-1] + 1)
        found = known.waiting.intersection(offsets)
        # A fetch begins at the first waiting message: one that it does not contain was deleted from the log meanwhile.
        known.waiting = {offset for offset in known.waiting if offset > offsets[-1]} | found
        return found

    def passed(self, partition: P, position: int) -> None:
        """Note that no message after the fetched ones is before `position`."""
        known = self._partitions.setdefault(partition, _Partition(position, position))
        known.next = max(known.next, position)

    def forget(self, partition: P) -> None:
        """Forget a partition whose offsets now belong to other messages."""
        self._partitions.pop(partition, None)

    def delivered(self, partition: P, offset: int) -> None:
        if (known := self._partitions.get(partition)) is not None:
            known.waiting.discard(offset)
            known.in_flight.add(offset)

    def done(self, partition: P, offset: int) -> None:
        """Note that a message is done; without effect if it was not delivered."""
        if (known := self._partitions.get(partition)) is not None:
            known.in_flight.discard(offset)

    def in_flight(self, partition: P) -> int:
        """Return the number of messages that were delivered and are not done."""
        return len(known.in_flight) if (known := self._partitions.get(partition)) is not None else 0

    def undelivered(self) -> Mapping[P, int]:
        """Return the first message of each partition that was fetched and not delivered."""
        return {partition: min(known.waiting) for partition, known in self._partitions.items() if known.waiting}

    def partitions(self) -> list[P]:
        return list(self._partitions)

    def committable(self, partition: P) -> int | None:
        """Return the offset of the first message that is not done; None before the first fetch."""
        if (known := self._partitions.get(partition)) is None:
            return None
        return min(known.waiting | known.in_flight, default=known.next)
