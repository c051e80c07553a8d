"""Detect an event under another event's id in LISTEN, before it costs anything.

LISTEN knows the events of the same partition. SETTLE finds the others, after the worker.
"""

from __future__ import annotations

from functools import partial

from streams.core.messages import Origin
from streams.runtime.deliveries import claim
from streams.runtime.table import Table
from streams.stages.settle import id_conflict


class KnownEvents:
    """The content hash and the place in Kafka of each event, by its id."""

    def __init__(self, of: Table) -> None:
        self._table = of

    def check(self, origin: Origin) -> None:
        """Remember an event, unless it becomes a dead letter. Raises UnreadableError if another event has its id.

        The same event again is a redelivery.
        """
        key = f"{origin.run}\0{origin.event_id}".encode()
        entry = f"{origin.content_digest} {origin.topic} {origin.partition}/{origin.offset}"
        known = self._table.get(key)
        other = entry if known is None else known.decode()
        content, _, place = other.partition(" ")
        if content != origin.content_digest:
            raise id_conflict(origin, place)
        if other == entry:  # the first of its id, or that one handled again
            claim(partial(self._table.delete, key))
            self._table[key] = entry.encode()
