"""The rows of a replay, in the same tables as those of the live run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.adapters.clickhouse import TABLES, ClickHouseConfig, insert, row_of
from streams.core.errors import ServiceError
from streams.core.messages import Call
from streams.sink.batch import PrepareRow, unchanged


class ReplayRows:
    """Writes messages into their tables. What is written twice has the same key and is replaced."""

    def __init__(self, clickhouse: ClickHouseConfig, prepare: PrepareRow = unchanged) -> None:
        self._client = clickhouse.connect()
        self._prepare = prepare

    def write(self, messages: Sequence[Any]) -> None:
        """Return once ClickHouse has acknowledged all of them. Raises ServiceError if it does not."""
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for message in messages:
            table = TABLES[type(message)]
            # Calls were redacted where they were made.
            row = row_of(message)
            rows[table].append(row if isinstance(message, Call) else self._prepare(table, row))
        try:
            for table, of in rows.items():
                insert(self._client, table, of)
        except (ClickHouseError, OSError) as error:
            what = f"ClickHouse took no rows ({str(error)[:300]})."
            raise ServiceError(what, "Run the same command again once it does: it goes on from here.") from error

    def close(self) -> None:
        self._client.close()
