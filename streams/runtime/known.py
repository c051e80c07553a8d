"""Which events LISTEN has seen, so that another one under the same id costs nothing.

It knows what came on the same partition. SETTLE finds the others, after they were worked.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from streams.core.messages import Origin
from streams.runtime.confirm import claim
from streams.stages.settle import id_conflict


class KnownEvents:
    """A table from an event's id to the hash of what it says, and where it was read."""

    def __init__(self, of: Any) -> None:
        self._table = of

    def check(self, origin: Origin) -> None:
        """Remember an event, unless it becomes a dead letter. Raises UnreadableError where its id is another's.

        The same event again is a redelivery.
        """
        key = f"{origin.run}\0{origin.event_id}".encode()
        entry = f"{origin.content_digest} {origin.topic} {origin.partition}/{origin.offset}"
        known = self._table.get(key)
        other = entry if known is None else bytes(known).decode()
        content, _, place = other.partition(" ")
        if content != origin.content_digest:
            raise id_conflict(origin, place)
        if other == entry:  # the first of its id, or that one handled again
            claim(partial(self._table.pop, key, None))
            self._table[key] = entry.encode()
