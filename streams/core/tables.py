"""The tiers' RocksDB tables, as one table: the tier that owns each, its source topic, and the layout of an entry.

A table has as many partitions as its source topic, whose messages write it, and a changelog topic behind it. Each
forgets an entry `ESCALON_RETENTION_DAYS` after it was written.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_NO_HEAD = struct.Struct("")


@dataclass(frozen=True, slots=True)
class TableSpec:
    """`head` is the fixed part at the beginning of a value; `key` and `value` describe an entry in words."""

    name: str
    tier: str
    source: str
    key: str
    value: str
    head: struct.Struct = _NO_HEAD

    def changelog(self, prefix: str) -> str:
        """Return the topic behind the table."""
        return f"escalon-{prefix}{self.tier}-{self.name}-changelog"


KNOWN_EVENTS = TableSpec(
    "events-known", "listen", "events", key="run NUL event id", value="content digest, topic, partition/offset, as text"
)
SEEN_IMAGES = TableSpec(
    "images-seen", "listen", "images",
    key="event id", value="the sighting's offset, the image's hash, its SHA-256, digests of text and data; thumbnail",
    head=struct.Struct(">qQ32sQQ"),
)  # fmt: skip
SETTLED = TableSpec(
    "settled", "settle", "results",
    key="run NUL event id", value="partition and offset of the result that won; the outcome's bytes",
    head=struct.Struct(">iq"),
)  # fmt: skip

_SOURCES = {"events": "listen", "verdicts": "work", "escalations": "reason"}
ANSWERS = {
    topic: TableSpec(f"{topic}-answers", tier, topic, key="fingerprint of the task", value="StoredAnswer")
    for topic, tier in _SOURCES.items()
}
SPENT = {
    topic: TableSpec(f"{topic}-spent", tier, topic, key="day", value="US dollars as text, of this partition alone")
    for topic, tier in _SOURCES.items()
}
WATCHES = {
    topic: TableSpec(f"{topic}-watches", tier, topic, key="id of the calibration", value="state of its drift test")
    for topic, tier in _SOURCES.items()
}
"""By source topic, like ANSWERS and SPENT."""
