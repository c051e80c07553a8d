"""The limit on a judge's cost, which no call exceeds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from streams.calling.caller import CallWrapper
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget
from streams.calling.task import Task


@dataclass(slots=True)
class JudgeMoney:
    """US dollars that calls have cost, and those that calls in flight may cost. Is a calling.budgeted.Budget."""

    limit: Decimal
    spent: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    refused: bool = False
    """True once a call was refused. All later ones are: a smaller one that fits would be judged out of turn."""
    _freed: asyncio.Event = field(default_factory=asyncio.Event)

    def may_spend(self, now: datetime) -> bool:  # noqa: ARG002 - it has no days
        """Return True: each call asks for its own share by `reserve`."""
        return True

    def spend(self, usd: Decimal, now: datetime) -> None:  # noqa: ARG002
        """Count what a call cost, or the most that it can have cost where that is not known."""
        self.spent += usd

    async def reserve(self, most: Decimal) -> bool:
        """Set aside the most that a call can cost; return False if the limit leaves no room for it.

        While calls in flight hold the rest, this waits for them: most of them cost less than they may.
        """
        while not self.refused and self.reserved and not self._fits(most):
            self._freed.clear()
            await self._freed.wait()
        if self.refused or not self._fits(most):
            self.refused = True
            return False
        self.reserved += most
        return True

    def release(self, most: Decimal) -> None:
        """Give back what was set aside for a call that is over. Who waits looks again after `spend` has counted it."""
        self.reserved -= most
        self._freed.set()

    def _fits(self, most: Decimal) -> bool:
        return self.spent + self.reserved + most <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class WithinLimit(CallWrapper):
    """Calls if the most that the call can cost is within the limit."""

    money: JudgeMoney
    most: Callable[[Task], Decimal]

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Return the outcome; OutOfBudget if the limit might be exceeded."""
        most = self.most(request.task)
        if not await self.money.reserve(most):
            return OutOfBudget()
        try:
            return await self.caller.call(request)
        finally:
            self.money.release(most)
