"""What is kept of every record and row while they are counted: fingerprints and places, in arrays.

An event takes 44 bytes, a message about an event 105, a row 24, so that millions fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import md5
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PLACE: Final = np.dtype([("id", "S16"), ("partition", "<i4"), ("offset", "<i8"), ("at", "<i8"), ("said", "S8")])
"""An event: its id, where it is, its Kafka timestamp in milliseconds, and a hash of what it says, empty if unknown."""
_EVENT: Final = np.dtype([("id", "S16"), ("said", "S8")])
LINKED: Final = np.dtype(
    [
        *[(name, PLACE[name]) for name in PLACE.names or ()],
        ("event", "S16"),
        ("standing", "u1"),
        ("source_partition", "<i4"),
        ("source_offset", "<i8"),
        ("call", "S16"),
        ("content", "S8"),
        ("born", "<i8"),
    ]
)
"""A message about an event: besides, the event, where that stood, the call it names, a hash of its bytes, and the time
by which its row expires."""
ROW: Final = np.dtype([("id", "S16"), ("at", "<i8")])
"""A row of ClickHouse: its id, and its own time in milliseconds."""
RECORDED_END: Final = np.dtype([("id", "S16"), ("at", "<i8"), ("said", "S8")])
"""A row of an outcome: its event's id, when it was settled, and a hash of what the event says, empty if unknown."""
CHUNK: Final = 20_000
# Standings of a message: of another run, of this run and a known events topic, of this run and another topic.
OTHER_RUN, OURS, ELSEWHERE = 0, 1, 2


def digest(*parts: str) -> bytes:
    """16 bytes for an id, as ClickHouse's MD5 of its parts with a zero byte in between gives them."""
    return md5("\0".join(parts).encode(), usedforsecurity=False).digest()


def said(content_digest: str) -> bytes:
    """8 bytes for what an event says; none where it is not known."""
    return digest(content_digest)[:8] if content_digest else b""


def events_of(found: list[tuple[bytes, bytes]]) -> Array:
    """An array of events: their ids, and hashes of what they say."""
    return np.array(found, _EVENT)


def as_events(ids: Array, said: Array) -> Array:
    """The same, of two arrays."""
    events = np.empty(len(ids), _EVENT)
    events["id"], events["said"] = ids, said
    return events


class GrowingArray:
    """A growing array."""

    def __init__(self, kind: np.dtype[Any]) -> None:
        self._kind = kind
        self._chunks: list[Array] = []
        self._new: list[tuple[Any, ...]] = []

    def add(self, *values: Any) -> None:
        """Add one entry, its values in the order of the kind's names."""
        self._new.append(values)
        if len(self._new) >= CHUNK:
            self._pack()

    def extend(self, entries: Array) -> None:
        """Add entries of the same kind."""
        self._chunks.append(entries)

    def entries(self) -> Array:
        """All of them."""
        self._pack()
        if len(self._chunks) != 1:
            self._chunks = [np.concatenate([np.empty(0, self._kind), *self._chunks])]
        return self._chunks[0]

    def _pack(self) -> None:
        if self._new:
            self._chunks.append(np.array(self._new, self._kind))
            self._new.clear()


def rows_of(pieces: Iterator[bytes], kind: np.dtype[Any] = ROW) -> Array:
    """Rows of a kind from ClickHouse's RowBinary; a ROW is 16 bytes of id and 8 bytes of time."""
    ledger, rest = GrowingArray(kind), b""
    for piece in pieces:
        data = rest + piece
        whole = len(data) // kind.itemsize * kind.itemsize
        ledger.extend(np.frombuffer(data[:whole], kind))
        rest = data[whole:]
    return ledger.entries()
