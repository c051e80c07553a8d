"""What a replay spends, the limit it stops at, and the rehearsal that spends nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn, Self

from streams.core.errors import EscalonError, ServiceError
from streams.core.fingerprint import task_fingerprint
from streams.pipeline.handlers import Handler
from streams.stages.lane import Lane
from streams.stages.ports import Asker, Said
from streams.stages.task import Task


class CostLimitError(EscalonError):
    """The replay has spent what it may."""

    fault = "operator"


class WouldAskError(EscalonError):
    """A rehearsal came to a call that would have to be made: whose, and about which task."""

    fault = "operator"

    def __init__(self, handler: Handler, task: Task) -> None:
        super().__init__(f"{handler.name} would be asked anew.", "Run it without --dry-run.")
        self.handler = handler
        self.task = task_fingerprint(handler.version, task.input())


@dataclass(slots=True)
class Spending:
    """Money spent on calls of this replay, and how many were made. Implements stages.ports.Purse for every tier.

    Calls in flight when the limit is reached are still paid, so it is passed by what these cost at most. `keep` is told
    of every call, before its answer is kept, so that no crash forgets what was paid.
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
        """The spending of a replay that goes on; `spent` as it was kept, None at the beginning."""
        found = spent or {"usd": "0", "asked": {}}
        return cls(limit, Decimal(found["usd"]), Counter(found["asked"]), keep)

    def may_spend(self, now: datetime) -> bool:  # noqa: ARG002 - a replay has no days
        """Raises CostLimitError once the limit is reached: no event may end for want of money."""
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


@dataclass(slots=True)
class Watched:
    """An asker that first tells `before` of each call, unless it is free. Implements stages.ports.Asker."""

    asker: Asker
    before: Callable[[Handler, Task], None]
    handler: Handler = field(init=False)
    operation: str = field(init=False)
    provider: str = field(init=False)
    model: str = field(init=False)
    priced_as: str | None = field(init=False)
    bills_cache: bool = field(init=False)
    free: bool = field(init=False)
    lane: Lane | None = field(init=False)
    fallback: Asker | None = field(init=False)

    def __post_init__(self) -> None:
        self.handler, self.operation, self.provider = self.asker.handler, self.asker.operation, self.asker.provider
        self.model, self.priced_as = self.asker.model, self.asker.priced_as
        self.bills_cache, self.free = self.asker.bills_cache, self.asker.free
        self.lane, fallback = self.asker.lane, self.asker.fallback
        self.fallback = None if fallback is None else Watched(fallback, self.before)

    def size(self, task: Task) -> int:
        """The asker's own."""
        return self.asker.size(task)

    def slot(self) -> AbstractAsyncContextManager[None]:
        """The asker's own."""
        return self.asker.slot()

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Said:
        """Tell, then ask."""
        if not self.free:
            self.before(self.handler, task)
        return await self.asker.ask(task, sample, within)


def refuse(handler: Handler, task: Task) -> NoReturn:
    """What a rehearsal does before a call."""
    raise WouldAskError(handler, task)
