"""The positions from which a client of aiokafka reads on, and where the broker has put one elsewhere.

A client that asks for an offset which its partition does not hold goes on at the first one that is held, and says so to
nobody. Either the log has lost its beginning by retention, and records were skipped; or it has lost its end, or the
topic was made again, and what comes now is other records at offsets that were read before.
"""

from __future__ import annotations

from aiokafka.consumer import subscription_state
from aiokafka.consumer.subscription_state import TopicPartitionState


class PartitionState(TopicPartitionState):  # type: ignore[misc]
    """A partition's state in the client, which also remembers that the broker has put its position elsewhere."""

    moved: tuple[int, int] | None = None
    """The offset that the client has asked for and the one that it was given, until somebody takes note of it."""
    _asked: int | None = None

    def await_reset(self, strategy: int) -> None:
        """The partition does not hold what was asked for."""
        self._asked = self._position
        super().await_reset(strategy)

    def reset_to(self, position: int) -> None:
        """Read on from here."""
        super().reset_to(position)
        if self._asked is not None and self._asked != position:
            self.moved = (self.moved[0] if self.moved else self._asked, position)
        self._asked = None

    def seek(self, position: int) -> None:
        """Read on from where the program says."""
        super().seek(position)
        self._asked = None

    def take_move(self) -> tuple[int, int] | None:
        """What `moved` holds, once."""
        moved, self.moved = self.moved, None
        return moved


def remember_moves() -> None:
    """Have every consumer of aiokafka in this process keep its partitions' states so."""
    subscription_state.TopicPartitionState = PartitionState
