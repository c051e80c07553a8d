"""Changes of rows as Debezium publishes them: whole, or flattened by its ExtractNewRecordState.

https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events
https://debezium.io/documentation/reference/stable/transformations/event-flattening.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from streams.adapters.kafka_record import KafkaRecord
from streams.core.errors import UnreadableError
from streams.core.fingerprint import digest

POSITION: Final = (
    "lsn",  # PostgreSQL
    *("file", "pos", "row", "gtid"),  # MySQL, MariaDB; Cassandra
    *("commit_lsn", "change_lsn", "event_serial_no"),  # SQL Server, Db2
    *("scn", "commit_scn", "scn_idx", "rs_id", "ssn", "lcr_position"),  # Oracle
    *("ord", "vgtid"),  # MongoDB; Vitess
)
"""The fields of `source` in which the connectors give the place of a change in the database's log."""
ADDED: Final = "__"
"""Begins the name of what the flattening adds to a row, or to the headers."""
LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class RowChange:
    """One change. `row` is the row after it, of a delete the one before it; None for a change of no row."""

    op: str
    """`c` created, `u` updated, `d` deleted, `r` read by a snapshot; empty if unknown."""
    row: Mapping[str, Any] | None
    row_at: tuple[str, ...]
    """The path of the row in the value."""
    time: object
    """Milliseconds since 1970 at which it was made in the database; None if unknown."""
    position: str
    """The place in the database's log; empty if the record does not say it."""


def change_of(document: Any, record: KafkaRecord) -> RowChange:
    """Return the change that a record holds. Raises UnreadableError if it holds none."""
    if not isinstance(document, Mapping):
        raise UnreadableError("bad_event", "The record is not a change of Debezium.", 'Use format = "plain".')
    op, source = document.get("op"), document.get("source")
    if isinstance(op, str) and isinstance(source, Mapping):
        place = "before" if op == "d" else "after"
        return RowChange(op, _row(document.get(place)), (place,), source.get("ts_ms"), _position(source))
    return _flattened(document, record)


def _flattened(document: Mapping[str, Any], record: KafkaRecord) -> RowChange:
    def added(name: str) -> Any:
        names = (f"{ADDED}source_{name}", f"{ADDED}{name}")
        return next((found for one in names if (found := document.get(one, record.header(one))) is not None), None)

    gone = str(document.get(f"{ADDED}deleted", "")).lower() == "true"
    row = {name: value for name, value in document.items() if not name.startswith(ADDED)}
    source = {name: found for name in POSITION if (found := added(name)) is not None}
    made = f"{ADDED}source_ts_ms"  # `__ts_ms` is another time each time the change is published
    time = document.get(made, record.header(made))
    return RowChange("d" if gone else str(added("op") or ""), row, (), time, _position(source))


def _row(row: Any) -> Mapping[str, Any] | None:
    """Return a row. MongoDB's documents are JSON text."""
    if isinstance(row, str):
        try:
            row = json.loads(row)
        except ValueError:
            return None
    return row if isinstance(row, Mapping) else None


def _position(source: Mapping[str, Any]) -> str:
    return " ".join(str(source[name]) for name in POSITION if source.get(name) is not None)


def change_id(topic: str, key: Any, change: RowChange) -> str | None:
    """Return the id of a change: that of its row, and its place in the log; None if the record does not say the place.

    Debezium publishes a change again after a crash, at the same place. A snapshot may read a row again at the place
    of an earlier change: kind and time distinguish them.
    """
    if not change.position or key is None:  # without a key, rows that a snapshot reads have one place
        return None
    row = key if isinstance(key, str) else json.dumps(key, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    parts = (topic, row, change.position, change.op, str(change.time or ""))
    named = " ".join(filter(None, parts))
    return named if len(named) <= LONGEST else digest("change", *parts)
