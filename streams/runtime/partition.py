"""A partition of one assignment: which of its records are done, and from where another process would continue."""

from __future__ import annotations

import asyncio


class Partition:
    """The progress of one partition since it was assigned to this process.

    It is `open` until the partition is revoked or the process stops: after that no record of it is started. Offsets
    have gaps (transaction markers, aborted and compacted records), so records are kept by offset and never counted.
    """

    def __init__(self, topic: str, number: int, start: int | None) -> None:
        self.topic, self.number = topic, number
        self.start = start
        """The committed offset; None to begin at the first record that Kafka holds."""
        self.position = start
        """The offset after the last record that the client gave."""
        self.open = True
        self.owned = True
        """False once another process may own the partition."""
        self.taken = False
        """True once its tables are recovered, so that it is read."""
        self.restarting = False
        """True if its offsets belong to other records now: none of them is committed."""
        self.topic_id = ""
        """Kafka's id of the topic; empty if unknown."""
        self.committed = start
        """The last offset whose commit was asked for."""
        self._next = start
        self._undone: dict[int, None] = {}
        """The offsets that were read and are not done, in ascending order."""
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def place(self) -> tuple[str, int]:
        return self.topic, self.number

    def read(self, offset: int) -> None:
        """Note a record that was read."""
        self._undone[offset] = None
        self._next = offset + 1

    def passed(self, offset: int) -> None:
        """Note that no record before `offset` is still to be read."""
        self._next = max(self._next or 0, offset)

    def begin(self) -> bool:
        """Note that the handling of a record begins; False if it must not."""
        if self.open:
            self._in_flight += 1
            self._idle.clear()
        return self.open

    def end(self, offset: int | None) -> None:
        """Note that the handling of a record has ended: `offset` is done, or None if it must come again."""
        if offset is not None:
            self._undone.pop(offset, None)
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    def committable(self) -> int | None:
        """Return the offset of the first record that is not done; None before the first read."""
        return next(iter(self._undone), self._next)

    async def idle(self) -> None:
        """Wait until no record is being handled."""
        await self._idle.wait()

    def in_flight(self) -> int:
        """Return the number of records being handled."""
        return self._in_flight
