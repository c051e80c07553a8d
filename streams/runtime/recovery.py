"""Faust's recovery of tables, with patience."""

from __future__ import annotations

from typing import Any

from faust.tables import TableManager as FaustTableManager
from faust.tables import recovery


class Recovery(recovery.Recovery):  # type: ignore[misc]
    """Waits for the broker for as long as it takes.

    Faust gives up after a time limit, and takes that for the end of the process: the loop that recovers tables ends,
    the worker keeps its partitions, and never reads again.
    """

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002 - Faust's signature
        await super()._wait(coro)


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
