"""The rows in ClickHouse that `escalon verify` compares, and uses as evidence where the topics have forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from streams.adapters.clickhouse_connection import ClickHouseClient, reporting_errors
from streams.adapters.clickhouse_erasure import BATCH, batched
from streams.audit.verify.arrays import OUTCOME_ROW, ROW, Array, content_hash, digest, rows_from_binary
from streams.sink.batch import SINK_TABLES

_EVENT: Final = ("run", "event_id")
# The time of a dead letter is its event's, which the producer sets. A time in the future says nothing.
_CREDIBLE: Final = "if(event_time > now64(6), toDateTime64(0, 6, 'UTC'), event_time)"
_KEYS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    # topic          parts of the id                                              own time
    "calls":        (("toString(call_id)",),                                      "started_at"),
    "outcomes":     (_EVENT,                                                      "settled_at"),
    "verdicts":     (_EVENT,                                                      "decided_at"),
    "dead-letters": (("toString(dead_letter_id)",),                               _CREDIBLE),
    "labels":       ((*_EVENT, "aspect", "source"),                               "labelled_at"),
    "judgements":   ((*_EVENT, "call_id", "panel", "case_id", "judge", "question", "`option`"), "judged_at"),
    "panels":       (("panel",),                                                  "updated_at"),
    "panel-cases":  (("panel", "case_id"),                                        "created_at"),
}  # fmt: skip
PROVABLE: Final = frozenset({"calls", "outcomes", "verdicts", "dead-letters"})
"""Tables whose rows are never younger than their record, so their times show whether the record must still be held."""
_WITHOUT_ID: Final = frozenset({"labels", "judgements", "panels"})
"""Messages without an id of their own: their time is part of it."""
_OUTCOMES: Final = """
    SELECT
        MD5(event_id), toUnixTimestamp64Milli(settled_at),
        toFixedString(if(content_digest = '', '', substring(MD5(content_digest), 1, 8)), 8)
    FROM outcomes_rows WHERE run = {run:String}
"""
_LETTERS: Final = """
    SELECT toString(dead_letter_id), topic, partition, offset, event_id, content_digest, toString(reason)
    FROM dead_letters_rows WHERE run = {run:String}
"""
_FIRST_SEEN: Final = """
    SELECT hex(MD5(event_id)), min(toUnixTimestamp64Milli(decided_at)) FROM verdicts_rows
    WHERE run = {run:String} AND hex(MD5(event_id)) IN {ids:Array(String)} GROUP BY 1
"""
_CREATED: Final = """
    SELECT create_table_query FROM system.tables
    WHERE database = currentDatabase() AND name IN ({table:String}, replaceOne({table:String}, '_rows', '_local'))
"""
_ROWS_TTL: Final = re.compile(r"\bENGINE = .*?\bTTL (.+?)(?:\bSETTINGS\b|$)", re.S)
_REMEDY: Final = "Check that it runs, then try again."
_DAYS: Final = re.compile(r"toIntervalDay\((\d+)\)")


class TableRows:
    """The ids and times of one table's rows in some runs. Raises ServiceError when ClickHouse does not answer."""

    def __init__(self, client: ClickHouseClient, topic: str, runs: frozenset[str]) -> None:
        parts, time = _KEYS[topic]
        whole = (*parts, f"toString(toUnixTimestamp64Micro({time}))") if topic in _WITHOUT_ID else parts
        self._id = f"MD5({'||char(0)||'.join(f'toString({part})' for part in whole)})"
        self._time, self._table, self._runs = time, SINK_TABLES[topic], sorted(runs)
        self._client = client

    def read(self) -> Array:
        """Return all rows as ROW. A row that was inserted twice may be there twice."""
        columns = f"{self._id}, toUnixTimestamp64Milli({self._time})"
        sql = f"SELECT {columns} FROM {self._table} WHERE run IN {{runs:Array(String)}}"  # noqa: S608  our own words
        return _stream(self._client, sql, {"runs": self._runs}, ROW)

    def named(self, ids: Array) -> list[dict[str, Any]]:
        wanted = [bytes(one).ljust(16, b"\0").hex().upper() for one in ids]
        found = f"SELECT event_id, {self._time} AS at FROM {self._table}"  # noqa: S608  our own words
        sql = f"{found} WHERE hex({self._id}) IN {{ids:Array(String)}}"
        result = self._client.query(sql + f" LIMIT 1 BY {self._id}", parameters={"ids": wanted})
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


@dataclass(frozen=True, slots=True)
class RunEvidence:
    """The rows of one run about its events. Raises ServiceError when ClickHouse does not answer."""

    client: ClickHouseClient
    run: str

    def outcomes(self) -> Array:
        return _stream(self.client, _OUTCOMES, {"run": self.run}, OUTCOME_ROW)

    def dead_letters(self) -> Iterator[tuple[str, tuple[str, int, int], tuple[bytes, bytes], str]]:
        """Yield every dead letter: its id, its record's position, its event by id and content, and its reason."""
        for letter, topic, partition, offset, event_id, content, reason in self._ask(_LETTERS):
            yield letter, (topic, partition, offset), (digest(event_id), content_hash(content)), reason

    def first_seen(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the time of each event's first verdict, in milliseconds, without the events that have none."""
        named = batched([one.hex().upper() for one in ids], BATCH)
        return {bytes.fromhex(event): at for some in named for event, at in self._ask(_FIRST_SEEN, ids=list(some))}

    def days_kept(self, table: str) -> float | None:
        """Return the days after which a table's rows may be removed; None for never, 0 if that cannot be read."""
        found = [days_kept(row[0]) for row in self._ask(_CREATED, table=table)]
        return min((one for one in found if one is not None), default=None)

    def _ask(self, sql: str, **more: object) -> Sequence[Sequence[Any]]:
        with reporting_errors(_REMEDY):
            rows: Sequence[Sequence[Any]] = self.client.query(sql, parameters={"run": self.run, **more}).result_rows
        return rows


def days_kept(created: str) -> float | None:
    """Return the days that a table keeps rows, by its CREATE TABLE; None for all days, 0 if its TTL is not in days."""
    ttl = _ROWS_TTL.search(created)
    if ttl is None:
        return None
    return min((float(days) for days in _DAYS.findall(ttl[1])), default=0.0)


def _stream(client: ClickHouseClient, sql: str, parameters: Mapping[str, object], dtype: np.dtype[Any]) -> Array:
    with reporting_errors(_REMEDY), client.raw_stream(sql, parameters=parameters, fmt="RowBinary") as stream:
        return rows_from_binary(iter(lambda: stream.read(1 << 20), b""), dtype)
