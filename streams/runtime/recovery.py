"""Faust's recovery of tables, without its time limit."""

from __future__ import annotations

import logging
from typing import Any

from faust.tables import TableManager as FaustTableManager
from faust.tables import recovery

log = logging.getLogger("escalon.runtime")


class Recovery(recovery.Recovery):  # type: ignore[misc]
    """Waits for the broker indefinitely, but not for records that do not exist.

    Faust gives up after a time limit and treats that as the end of the process: the loop that recovers tables ends, and
    the worker keeps its partitions without ever reading again. And Faust waits for a record at the last offset of a
    changelog, which does not exist if a transaction wrote last: its marker is not a record.
    """

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002 - Faust's signature
        await super()._wait(coro)

    async def _build_offsets(self, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        """Read a changelog from its beginning if the table is ahead of its end.

        Then the changelog was created again, or its broker has lost its end. Faust would end this process and the next.
        The table keeps its entries.
        """
        for tp in tps:
            has, ends = destination[tp], self.active_highwaters.get(tp)
            if has is not None and ends is not None and has > ends:
                log.error(
                    "%s ends at %d, but its table is at %d: the changelog is read from its beginning", tp, ends, has
                )
                destination[tp] = None
        await super()._build_offsets(consumer, tps, destination, title)

    def need_recovery(self) -> bool:
        """True if a changelog has records that were not applied."""
        unread = self.tables.changelog_queue.qsize() > 0
        passed, ends = self.app.consumer.passed, self.active_highwaters
        return any(
            left > 0 and (unread or passed.get(tp, 0) <= ends[tp]) for tp, left in self.active_remaining().items()
        )


class TableManager(FaustTableManager):  # type: ignore[misc]
    """Recovers tables with `Recovery`."""

    _recovery: Recovery | None

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
