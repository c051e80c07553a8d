"""The entries of topics and rows of tables that are compared, as arrays of ids, positions and times.

An event takes 44 bytes, a message about an event 105, a row 24, so millions fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import md5
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
EVENT: Final = np.dtype([("id", "S16"), ("partition", "<i4"), ("offset", "<i8"), ("at", "<i8"), ("content", "S8")])
"""An event: its id, position and Kafka timestamp in milliseconds, and a hash of its content, empty if unknown."""
EVENT_KEY: Final = np.dtype([("id", "S16"), ("content", "S8")])
MESSAGE: Final = np.dtype(
    [
        *[(name, EVENT[name]) for name in EVENT.names or ()],
        ("event", "S16"),
        ("scope", "u1"),
        ("source_partition", "<i4"),
        ("source_offset", "<i8"),
        ("call", "S16"),
        ("body", "S8"),
        ("event_time", "<i8"),
    ]
)
"""A message about an event: also the event and its position, the call that it names, a hash of the message's bytes, and
the time by which its row expires."""
ROW: Final = np.dtype([("id", "S16"), ("at", "<i8")])
"""A row in ClickHouse: its id, and its own time in milliseconds."""
OUTCOME_ROW: Final = np.dtype([("id", "S16"), ("at", "<i8"), ("content", "S8")])
"""A row of an outcome: the event's id, the time it was settled, and a hash of the event's content, empty if unknown."""
CHUNK: Final = 20_000
# Scopes of a message: another run; this run and the topic `events`, another of escalon's topics, or one of the user's.
OTHER_RUN, THIS_TOPIC, OTHER_TOPIC, SOURCE_TOPIC = 0, 1, 2, 3


def digest(*parts: str) -> bytes:
    """Return 16 bytes for an id, equal to ClickHouse's MD5 of the parts joined by a zero byte."""
    return md5("\0".join(parts).encode(), usedforsecurity=False).digest()


def content_hash(content_digest: str) -> bytes:
    """Return 8 bytes for an event's content, or none if it is unknown."""
    return digest(content_digest)[:8] if content_digest else b""


def event_keys(ids: Array, contents: Array) -> Array:
    keys = np.empty(len(ids), EVENT_KEY)
    keys["id"], keys["content"] = ids, contents
    return keys


class GrowingArray:
    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._chunks: list[Array] = []
        self._new: list[tuple[Any, ...]] = []

    def add(self, *values: Any) -> None:
        """Add one entry, its values in the order of the dtype's names."""
        self._new.append(values)
        if len(self._new) >= CHUNK:
            self._pack()

    def extend(self, entries: Array) -> None:
        self._chunks.append(entries)

    def entries(self) -> Array:
        self._pack()
        if len(self._chunks) != 1:
            self._chunks = [np.concatenate([np.empty(0, self._dtype), *self._chunks])]
        return self._chunks[0]

    def _pack(self) -> None:
        if self._new:
            self._chunks.append(np.array(self._new, self._dtype))
            self._new.clear()


def rows_from_binary(pieces: Iterator[bytes], dtype: np.dtype[Any] = ROW) -> Array:
    """Return the rows in ClickHouse's RowBinary, whose pieces may be cut anywhere."""
    rows, rest = GrowingArray(dtype), b""
    for piece in pieces:
        data = rest + piece
        whole = len(data) // dtype.itemsize * dtype.itemsize
        rows.extend(np.frombuffer(data[:whole], dtype))
        rest = data[whole:]
    return rows.entries()
