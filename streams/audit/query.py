"""Questions to the audit: any SQL, read-only, and the named queries that escalon ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.adapters.clickhouse import ClickHouseConfig
from streams.core.errors import ConfigError

MAX_SECONDS, MAX_ROWS = 60, 100_000


@dataclass(frozen=True, slots=True)
class Answer:
    """A result: the columns' names and types, and the rows."""

    columns: Sequence[str]
    types: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def records(self) -> list[dict[str, Any]]:
        """The rows by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Audit:
    """The audit of one ClickHouse database, for reading only."""

    def __init__(self, config: ClickHouseConfig, max_seconds: int = MAX_SECONDS, max_rows: int = MAX_ROWS) -> None:
        self._client = config.connect(readonly=True)
        self._limits = {
            "max_execution_time": max_seconds,
            "max_result_rows": max_rows,
            "result_overflow_mode": "break",
        }

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """Ask; raises ConfigError with ClickHouse's words when the question is wrong."""
        try:
            result = self._client.query(sql, parameters=dict(parameters or {}), settings=self._limits)
        except ClickHouseError as error:
            raise ConfigError(f"ClickHouse refused the query: {str(error)[:1500]}", key="query") from error
        return Answer(result.column_names, [kind.name for kind in result.column_types], result.result_rows)

    def named(self, name: str, run: str = "live") -> Answer:
        """Ask one of the named queries about a run."""
        return self.query(named_sql(name), {"run": run})

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


def names() -> list[str]:
    """The named queries."""
    found = files("streams.audit").joinpath("queries").iterdir()
    return sorted(file.name.removesuffix(".sql") for file in found if file.name.endswith(".sql"))


def named_sql(name: str) -> str:
    """The text of a named query."""
    if name not in names():
        raise ConfigError(f"there is no query {name!r}.", f"Use one of: {', '.join(names())}.", "name")
    return files("streams.audit").joinpath("queries", f"{name}.sql").read_text("utf-8")
