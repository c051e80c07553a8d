"""Waiting for schemas that a registry does not find yet.

A registry that is still loading, and a follower behind its leader, give the same answer for a schema that exists as for
one that does not.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

GRACE_SECONDS = 60.0
"""The grace after the registry's first "not found", and after every sign that it is not steady."""
STEADY_SECONDS = 600.0
"""After this time without a "not found", the next one starts a new grace."""
LAG_SECONDS = 2.0
"""The grace of each id in any case: a follower knows it moments later than the leader."""
MOST_IDS = 10_000


@dataclass(slots=True)
class NotFoundGrace:
    """The grace of one registry, in one process.

    An id in its grace delays all messages behind it, so the grace ends even if a producer invents one after another.
    """

    clock: Callable[[], float]
    _until: float = -math.inf
    _last: float = -math.inf
    _asked: OrderedDict[Hashable, float] = field(default_factory=OrderedDict)
    """The time of each id's first "not found"."""

    def applies(self, schema_id: Hashable) -> bool:
        """Return True if an id that was not found may still appear, so that the caller should wait."""
        now = self.clock()
        if now - self._last > STEADY_SECONDS:
            self._until = now + GRACE_SECONDS
        self._last = now
        first = self._asked.setdefault(schema_id, now)
        if len(self._asked) > MOST_IDS:
            self._asked.popitem(last=False)
        return now < max(self._until, first + LAG_SECONDS)

    def found(self, schema_id: Hashable) -> None:
        """Note that an id was found. If it was not found before, others may follow."""
        if self._asked.pop(schema_id, None) is not None:
            self.renew()

    def renew(self) -> None:
        self._until = self.clock() + GRACE_SECONDS
