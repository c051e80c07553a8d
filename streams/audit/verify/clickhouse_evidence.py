"""What ClickHouse knows of the events of a run, as evidence where the topics no longer hold it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.adapters.clickhouse_erasure import BATCH, batched
from streams.audit.verify.arrays import RECORDED_END, Array, digest, rows_of, said
from streams.core.errors import ServiceError

_ENDED: Final = """
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
_DAYS: Final = re.compile(r"toIntervalDay\((\d+)\)")


@dataclass(frozen=True, slots=True)
class RunEvidence:
    """The rows of one run. Raises ServiceError when ClickHouse does not answer."""

    client: Any
    run: str

    def ended(self) -> Array:
        """The events that have an outcome, as ledger.RECORDED_END."""
        try:
            stream = self.client.raw_stream(_ENDED, parameters={"run": self.run}, fmt="RowBinary")
            with stream:
                return rows_of(iter(lambda: stream.read(1 << 20), b""), RECORDED_END)
        except (ClickHouseError, OSError) as error:
            raise _silent(error) from error

    def letters(self) -> Iterator[tuple[str, tuple[str, int, int], tuple[bytes, bytes], str]]:
        """Every dead letter: its id, the place of its record, its event by id and content, and its reason."""
        for letter, topic, partition, offset, event_id, content, reason in self._ask(_LETTERS):
            yield letter, (topic, partition, offset), (digest(event_id), said(content)), reason

    def first_seen(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """When each of some events had its first verdict, in milliseconds, of those that have one."""
        named = batched([one.hex().upper() for one in ids], BATCH)
        return {bytes.fromhex(event): at for some in named for event, at in self._ask(_FIRST_SEEN, ids=list(some))}

    def days(self, table: str) -> float | None:
        """After how many days a table's rows may be removed; None for never, 0 where that cannot be said."""
        found = [days_kept(row[0]) for row in self._ask(_CREATED, table=table)]
        return min((one for one in found if one is not None), default=None)

    def _ask(self, sql: str, **more: Any) -> Sequence[Sequence[Any]]:
        try:
            rows: Sequence[Sequence[Any]] = self.client.query(sql, parameters={"run": self.run, **more}).result_rows
        except (ClickHouseError, OSError) as error:
            raise _silent(error) from error
        return rows


def days_kept(created: str) -> float | None:
    """After how many days a table's rows go, by its CREATE TABLE; None: they stay. 0 where it is not said in days."""
    ttl = _ROWS_TTL.search(created)
    if ttl is None:
        return None
    return min((float(days) for days in _DAYS.findall(ttl[1])), default=0.0)


def _silent(error: Exception) -> ServiceError:
    return ServiceError(f"ClickHouse cannot be read ({str(error)[:300]}).", "Check it, then try again.")
