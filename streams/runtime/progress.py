"""What became of the messages that a consumer has fetched, and how far it may commit."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


@dataclass(slots=True)
class _Partition:
    first: int
    """The offset with which reading began."""
    next: int
    """The offset after the last one that was fetched."""
    waiting: set[int] = field(default_factory=set)
    """Fetched and not delivered."""
    in_hand: set[int] = field(default_factory=set)
    """Delivered and not done."""


class Progress(Generic[P]):
    """By partition, which messages were fetched, delivered and done since partitions were given.

    What was fetched one after the other has nothing between it, so offsets that no message has do not matter.
    """

    def __init__(self) -> None:
        self._partitions: dict[P, _Partition] = {}

    def fetched(self, partition: P, offsets: Sequence[int]) -> set[int]:
        """Messages were fetched, perhaps not for the first time. Returns those that are still to be delivered."""
        known = self._partitions.get(partition)
        if known is None or offsets[0] < known.first:
            known = self._partitions[partition] = _Partition(offsets[0], offsets[0])
        known.waiting.update(offset for offset in offsets if offset >= known.next)
        known.next = max(known.next, offsets[-1] + 1)
        found = known.waiting.intersection(offsets)
        # A fetch begins where the first of them was: what it does not have was deleted from the log meanwhile.
        known.waiting = {offset for offset in known.waiting if offset > offsets[-1]} | found
        return found

    def passed(self, partition: P, position: int) -> None:
        """Reading goes on at a position: behind all that was fetched, there is nothing to be fetched before it."""
        known = self._partitions.setdefault(partition, _Partition(position, position))
        known.next = max(known.next, position)

    def forget(self, partition: P) -> None:
        """Begin again with a partition, whose offsets stand for other messages now."""
        self._partitions.pop(partition, None)

    def delivered(self, partition: P, offset: int) -> None:
        """A message goes to those who handle it."""
        if (known := self._partitions.get(partition)) is not None:
            known.waiting.discard(offset)
            known.in_hand.add(offset)

    def done(self, partition: P, offset: int) -> None:
        """A message is done. Of no effect where it was not delivered."""
        if (known := self._partitions.get(partition)) is not None:
            known.in_hand.discard(offset)

    def in_hand(self, partition: P) -> int:
        """How many messages were delivered and are not done."""
        return len(known.in_hand) if (known := self._partitions.get(partition)) is not None else 0

    def undelivered(self) -> Mapping[P, int]:
        """The first message of each partition that was fetched and not delivered."""
        return {partition: min(known.waiting) for partition, known in self._partitions.items() if known.waiting}

    def partitions(self) -> list[P]:
        """All of which something was fetched."""
        return list(self._partitions)

    def committable(self, partition: P) -> int | None:
        """The offset of the first message that is not done; None when nothing has come."""
        if (known := self._partitions.get(partition)) is None:
            return None
        return min(known.waiting | known.in_hand, default=known.next)
