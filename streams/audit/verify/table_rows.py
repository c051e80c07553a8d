"""The rows of one table as `escalon verify` counts them: their ids and times, without their contents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.audit.verify.arrays import Array, rows_of
from streams.core.errors import ServiceError
from streams.sink.batch import SINK_TABLES

_EVENT: Final = ("run", "event_id")
# A letter has its event's own time, which is its producer's. One that is still to come says nothing.
_CREDIBLE: Final = "if(event_time > now64(6), toDateTime64(0, 6, 'UTC'), event_time)"
_KEYS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    # topic          parts of the id                                              its own time
    "calls":        (("toString(call_id)",),                                      "started_at"),
    "outcomes":     (_EVENT,                                                      "settled_at"),
    "verdicts":     (_EVENT,                                                      "decided_at"),
    "dead-letters": (("toString(dead_letter_id)",),                               _CREDIBLE),
    "labels":       ((*_EVENT, "aspect", "source"),                               "labelled_at"),
    "judgements":   ((*_EVENT, "call_id", "judge", "question"),                   "judged_at"),
}  # fmt: skip
PROVABLE: Final = frozenset({"calls", "outcomes", "verdicts", "dead-letters"})
"""Tables whose rows' own times say whether their record must still be held: they are not later than it."""
_TOLD: Final = frozenset({"labels", "judgements"})
"""Truths have no id of their own; when they were said is part of it."""


class TableRows:
    """One table's rows of some runs. Raises ServiceError when ClickHouse does not answer."""

    def __init__(self, client: Any, topic: str, runs: frozenset[str]) -> None:
        parts, time = _KEYS[topic]
        whole = (*parts, f"toString(toUnixTimestamp64Micro({time}))") if topic in _TOLD else parts
        self._id = f"MD5({'||char(0)||'.join(f'toString({part})' for part in whole)})"
        self._time, self._table, self._runs = time, SINK_TABLES[topic], sorted(runs)
        self._client = client

    def read(self) -> Array:
        """All of them, as ledger.ROW. A row that was inserted twice may stand there twice."""
        columns = f"{self._id}, toUnixTimestamp64Milli({self._time})"
        sql = f"SELECT {columns} FROM {self._table} WHERE run IN {{runs:Array(String)}}"  # noqa: S608  our own words
        try:
            stream = self._client.raw_stream(sql, parameters={"runs": self._runs}, fmt="RowBinary")
            with stream:
                return rows_of(iter(lambda: stream.read(1 << 20), b""))
        except (ClickHouseError, OSError) as error:
            raise ServiceError(
                f"ClickHouse cannot be read ({str(error)[:300]}).", "Check it, then try again."
            ) from error

    def named(self, ids: Array) -> list[dict[str, Any]]:
        """The event ids of some rows, and their times."""
        wanted = [bytes(one).ljust(16, b"\0").hex().upper() for one in ids]
        found = f"SELECT event_id, {self._time} AS at FROM {self._table}"  # noqa: S608  our own words
        sql = f"{found} WHERE hex({self._id}) IN {{ids:Array(String)}}"
        result = self._client.query(sql + f" LIMIT 1 BY {self._id}", parameters={"ids": wanted})
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]
