"""Notice when the broker moves the read position of an aiokafka client.

A client that asks for an offset which its partition does not hold continues silently at the first one that is held.
Either retention has deleted the beginning of the log, and records were skipped; or the log has lost its end or its
topic was created again, and other records now have offsets that were read before.
"""

from __future__ import annotations

from aiokafka.consumer import subscription_state
from aiokafka.consumer.subscription_state import TopicPartitionState


class PartitionState(TopicPartitionState):  # type: ignore[misc]
    """A partition's state in the client, which also remembers a move of its position by the broker."""

    moved: tuple[int, int] | None = None
    """The offset that the client asked for and the one that it was given, until `take_move`."""
    _asked: int | None = None

    def await_reset(self, strategy: int) -> None:
        """Remember the offset that the partition does not hold."""
        self._asked = self._position
        super().await_reset(strategy)

    def reset_to(self, position: int) -> None:
        """Continue at `position`, and note a move."""
        super().reset_to(position)
        if self._asked is not None and self._asked != position:
            self.moved = (self.moved[0] if self.moved else self._asked, position)
        self._asked = None

    def seek(self, position: int) -> None:
        """Continue where the program seeks to, which is not a move."""
        super().seek(position)
        self._asked = None

    def take_move(self) -> tuple[int, int] | None:
        """Return `moved` and clear it."""
        moved, self.moved = self.moved, None
        return moved


def remember_moves() -> None:
    """Make every aiokafka consumer of this process use PartitionState."""
    subscription_state.TopicPartitionState = PartitionState
