"""Erase the content of events from the tiers' tables, the blobs and the audit.

An erasure that was interrupted can be repeated, because the columns by which events are found are erased last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unicodedata import normalize

from streams.adapters.blobs import BlobStore
from streams.adapters.clickhouse_connection import ClickHouseClient, ClickHouseConfig, reporting_errors
from streams.adapters.clickhouse_erasure import BATCH, BLANKS, batched, blank, held, own_blobs
from streams.audit.erasure_tables import TableEntry, TaskKey, TierTables
from streams.core.errors import ServiceError
from streams.core.fingerprint import data_subject, digest

# White space is stripped, as before a name is hashed.
_BARE = r"replaceRegexpAll({}, '^\\s+|\\s+$', '')"
_HEADER = "escalon-data-subject:"
_IN_HEADER = _BARE.format(f"substring(one, {len(_HEADER) + 1})")
_IN_JSON = _BARE.format("if(startsWith(one, '\"'), JSONExtractString(concat('[', one, ']'), 1), one)")
# Only the beginning of a large letter is kept, which is not valid JSON, so the field is matched as text.
_CUT = r"""extractAll(payload, '"data_subject"\\s*:\\s*("(?:[^"\\\\]|\\\\.)*"|-?[0-9.]+)')"""
_BY_SUBJECT = f"""
SELECT DISTINCT event_id FROM
(
    SELECT event_id FROM calls_rows WHERE data_subject = {{hash:String}}
    UNION ALL SELECT event_id FROM outcomes_rows WHERE data_subject = {{hash:String}}
    UNION ALL SELECT event_id FROM verdicts_rows WHERE data_subject = {{hash:String}}
    UNION ALL SELECT event_id FROM dead_letters_rows
    WHERE arrayExists(one -> startsWith(one, '{_HEADER}') AND has({{names:Array(String)}}, {_IN_HEADER}), headers)
    OR arrayExists(
        one -> has({{names:Array(String)}}, {_IN_JSON}),
        if(isValidJSON(payload), [JSONExtractRaw(payload, 'data_subject')], {_CUT})
    )
)
ORDER BY event_id
"""  # noqa: S608 - our own words; names are parameters
_ROWS = "SELECT count(), countIf({held}) FROM {table} FINAL WHERE event_id IN {{ids:Array(String)}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureScope:
    """Everything that is stored about some events."""

    selected_by: str
    """`subject` or `events`."""
    event_ids: tuple[str, ...]
    rows: Mapping[str, int]
    """All rows, by table."""
    bodies: Mapping[str, int]
    """Rows that still have content, by table."""
    entries: Sequence[TableEntry]
    blobs: tuple[str, ...]

    def entries_in(self, *tables: str) -> int:
        """Return the number of entries in the tables with these names."""
        return sum(any(f"-{table}-changelog" in one.topic for table in tables) for one in self.entries)

    @property
    def tiers(self) -> list[str]:
        """The tiers whose processes hold copies."""
        return sorted({one.tier for one in self.entries})


@dataclass(frozen=True, slots=True, kw_only=True)
class Eraser:
    """Erases events in all stores of this deployment except the topics, which cannot be edited."""

    clickhouse: ClickHouseConfig
    tables: TierTables
    blobs: BlobStore

    def events_of(self, subject: str) -> tuple[str, ...]:
        """Return the ids of the events about a person, in all runs."""
        name = subject.strip()
        names = sorted({name, normalize("NFC", name), normalize("NFD", name)} - {""})
        values = {"hash": data_subject(subject), "names": names}
        with _connected(self.clickhouse) as client:
            return tuple(row[0] for row in client.query(_BY_SUBJECT, parameters=values).result_rows)

    def find(self, event_ids: Sequence[str], selected_by: str) -> ErasureScope:
        """Find everything that is stored about some events, without changing it."""
        ids = tuple(sorted(set(event_ids)))
        with _connected(self.clickhouse) as client:
            counts = {table: _counted(client, table, ids) for table in BLANKS}
            return ErasureScope(
                selected_by=selected_by,
                event_ids=ids,
                rows={table: rows for table, (rows, _) in counts.items()},
                bodies={table: bodies for table, (_, bodies) in counts.items()},
                entries=self.tables.find(_asked(client, ids), set(ids)),
                blobs=own_blobs(client, ids),
            )

    def erase(self, found: ErasureScope, operator: str, at: datetime) -> str:
        """Erase what `find` returned; return the id under which the audit records the erasure.

        Raises ServiceError if a part of it failed, or if the audit has fewer rows than before.
        """
        self.tables.erase(found.entries)
        for blob in found.blobs:
            self.blobs.delete(blob)
        erasure_id = digest("erasure", at.isoformat(), *found.event_ids)
        with _connected(self.clickhouse) as client:
            marks = [[event_id, erasure_id, at] for event_id in found.event_ids]
            client.insert("erased_events_rows", marks, column_names=["event_id", "erasure_id", "erased_at"])
            for table in BLANKS:
                blank(client, table, found.event_ids)
            _check(client, found)
            row = _row(found, erasure_id, operator, at)
            client.insert("erasures_rows", [list(row.values())], column_names=list(row))
        return erasure_id


@contextmanager
def _connected(config: ClickHouseConfig) -> Iterator[ClickHouseClient]:
    remedy = "Run `escalon migrate`, then the same command again: it continues from here."
    with closing(config.connect()) as client, reporting_errors(remedy):
        yield client


def _counted(client: ClickHouseClient, table: str, ids: Sequence[str]) -> tuple[int, int]:
    sql = _ROWS.format(held=held(table), table=table)
    parts = [client.query(sql, parameters={"ids": list(some)}).result_rows[0] for some in batched(ids, BATCH)]
    return sum(rows for rows, _ in parts), sum(bodies for _, bodies in parts)


def _asked(client: ClickHouseClient, ids: Sequence[str]) -> list[TaskKey]:
    sql = "SELECT DISTINCT run, event_id, fingerprint FROM {} WHERE event_id IN {{ids:Array(String)}}"
    return [
        TaskKey(*row)
        for table in ("calls_rows", "verdicts_rows")
        for some in batched(ids, BATCH)
        for row in client.query(sql.format(table), parameters={"ids": list(some)}).result_rows
        if row[2]
    ]


def _check(client: ClickHouseClient, found: ErasureScope) -> None:
    """Raise ServiceError if a row is missing or still has content."""
    for table, before in found.rows.items():
        rows, bodies = _counted(client, table, found.event_ids)
        if rows < before or bodies:
            what = f"{table} has {rows} rows of {before}, {bodies} of them with content, after the erasure."
            raise ServiceError(what, "Rows may have arrived meanwhile; run the same command again.")


def _row(found: ErasureScope, erasure_id: str, operator: str, at: datetime) -> dict[str, Any]:
    rows = {table.removesuffix("_rows"): count for table, count in found.bodies.items()}
    return {
        "erasure_id": erasure_id,
        "erased_at": at,
        "operator": operator,
        "selected_by": found.selected_by,
        "events": len(found.event_ids),
        **rows,
        "answers": found.entries_in("answers"),
        "settled": found.entries_in("settled"),
        "images": found.entries_in("images-seen"),
        "blobs": len(found.blobs),
    }
