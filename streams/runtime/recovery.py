"""Faust's recovery of tables, with patience."""

from __future__ import annotations

import logging
from typing import Any

from faust.tables import TableManager as FaustTableManager
from faust.tables import recovery

log = logging.getLogger("escalon.runtime")


class Recovery(recovery.Recovery):  # type: ignore[misc]
    """Waits for the broker for as long as it takes, but for no record that does not come.

    Faust gives up after a time limit, and takes that for the end of the process: the loop that recovers tables ends,
    the worker keeps its partitions, and never reads again. And it waits for a record at the last offset of a changelog.
    There is none if a transaction was the last to write: what ends it is a mark, and what was aborted is not read.
    """

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002 - Faust's signature
        await super()._wait(coro)

    async def _build_offsets(self, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        """Read a changelog from its beginning where the table has come further than it goes: it was made anew, or its
        broker has lost its end. Faust would end the process, and the next one. What the table holds stays."""
        for tp in tps:
            has, ends = destination[tp], self.active_highwaters.get(tp)
            if has is not None and ends is not None and has > ends:
                log.error("%s ends at %d, and its table has come to %d: it is read from its beginning", tp, ends, has)
                destination[tp] = None
        await super()._build_offsets(consumer, tps, destination, title)

    def need_recovery(self) -> bool:
        """Whether a changelog has records that were not applied."""
        unread = self.tables.changelog_queue.qsize() > 0
        passed, ends = self.app.consumer.passed, self.active_highwaters
        return any(
            left > 0 and (unread or passed.get(tp, 0) <= ends[tp]) for tp, left in self.active_remaining().items()
        )


class TableManager(FaustTableManager):  # type: ignore[misc]
    """Has that recovery."""

    _recovery: Any

    @property
    def recovery(self) -> Recovery:
        """The service that recovers tables."""
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        found: Recovery = self._recovery
        return found
