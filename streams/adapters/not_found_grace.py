"""When a schema registry's "not found" is believed.

A registry that is still loading, and a follower that is behind its leader, say of a schema that it is not there, in the
very words of one that does not exist.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

DOUBT_SECONDS = 60.0
"""How long a registry is not believed: from its first "not found" on, and after every sign that it is not steady."""
STEADY_SECONDS = 600.0
"""After so long without a "not found" the next one is doubted again."""
LAG_SECONDS = 2.0
"""How long each id is doubted in any case: a follower knows it moments later than the leader."""
MOST_IDS = 10_000


@dataclass(slots=True)
class NotFoundGrace:
    """Of one registry, in one process. A doubted id waits, and with it what comes behind it, so a doubt has an end even
    where a producer makes up one id after the other."""

    clock: Callable[[], float]
    _until: float = -math.inf
    _last: float = -math.inf
    """When an id was not found at last."""
    _asked: OrderedDict[int, float] = field(default_factory=OrderedDict)
    """When each id was not found at first."""

    def holds(self, schema_id: int) -> bool:
        """Whether to wait for an id that was not found, instead of taking the registry's word."""
        now = self.clock()
        if now - self._last > STEADY_SECONDS:
            self._until = now + DOUBT_SECONDS
        self._last = now
        first = self._asked.setdefault(schema_id, now)
        if len(self._asked) > MOST_IDS:
            self._asked.popitem(last=False)
        return now < max(self._until, first + LAG_SECONDS)

    def found(self, schema_id: int) -> None:
        """An id is there. One that was not found before shows that others may follow."""
        if self._asked.pop(schema_id, None) is not None:
            self.renew()

    def renew(self) -> None:
        """The registry has shown that it is not steady."""
        self._until = self.clock() + DOUBT_SECONDS
