"""The calls and the spending of a replay, its cost limit, and the rehearsal that spends nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn, Self

from streams.calling.caller import CallWrapper
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget
from streams.calling.task import Task
from streams.core.errors import EscalonError, ServiceError
from streams.core.fingerprint import task_fingerprint
from streams.pipeline.handlers import Handler


class CostLimitError(EscalonError):
    """The replay has spent what it may."""

    fault = "operator"


class WouldAskError(EscalonError):
    """A rehearsal reached a call that would have to be made: its handler and its task."""

    fault = "operator"

    def __init__(self, handler: Handler, task: Task) -> None:
        super().__init__(f"{handler.name} would be asked again.", "Run it without --dry-run.")
        self.handler = handler
        self.task = task_fingerprint(handler.version, task.input())


@dataclass(slots=True)
class ReplaySpending:
    """Money spent on calls of this replay, and how many were made. Implements calling.budgeted.Budget for every tier.

    Calls in flight when the limit is reached are still paid, so it is exceeded by their cost at most. `keep` stores the
    spending at every call, before its answer is stored, so that no crash loses a payment.
    """

    limit: Decimal | None = None
    usd: Decimal = Decimal(0)
    asked: Counter[str] = field(default_factory=Counter)
    """Calls made, by `tier.handler`."""
    keep: Callable[[Mapping[str, Any]], None] = lambda _: None

    @classmethod
    def so_far(
        cls, spent: Mapping[str, Any] | None, limit: Decimal | None, keep: Callable[[Mapping[str, Any]], None]
    ) -> Self:
        """Return the spending of a replay that continues; `spent` as it was stored, None at the beginning."""
        found = spent or {"usd": "0", "asked": {}}
        return cls(limit, Decimal(found["usd"]), Counter(found["asked"]), keep)

    def may_spend(self, now: datetime) -> bool:  # noqa: ARG002 - a replay has no days
        """Return True; raises CostLimitError once the limit is reached, because no event may end without money."""
        if self.limit is not None and self.usd >= self.limit:
            what = f"The limit of ${self.limit} is reached: ${self.usd} spent."
            raise CostLimitError(what, "Give a higher --max-cost and run the same command again; it goes on from here.")
        return True

    def spend(self, usd: Decimal, now: datetime) -> None:  # noqa: ARG002
        """Count what a call cost."""
        self.usd += usd
        self._keep()

    def count(self, handler: Handler) -> None:
        """Count a call that is about to be made."""
        self.asked[f"{handler.tier}.{handler.name}"] += 1
        self._keep()

    def _keep(self) -> None:
        try:
            self.keep({"usd": str(self.usd), "asked": dict(self.asked)})
        except Exception as error:  # the store has no kind of its own
            what = f"What the replay spends cannot be kept: {error}."
            raise ServiceError(what, "Free disk space and run the same command again; it goes on from here.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(CallWrapper):
    """Reports each call before it is made."""

    before: Callable[[Handler, Task], None]
    """It may refuse the call."""

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Report, then call."""
        self.before(self.callee.handler, request.task)
        return await self.caller.call(request)


def refuse(handler: Handler, task: Task) -> NoReturn:
    """Refuse a call, as a rehearsal does with every one."""
    raise WouldAskError(handler, task)
