"""Queries of the audit: any SQL, read-only and within limits, and the named queries that escalon ships."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.named_queries import named_query
from streams.audit.sql_text import bound, check_reads
from streams.core.errors import ConfigError, EscalonError, ServiceError

MAX_SECONDS, MAX_ROWS, MAX_MEMORY_BYTES = 60, 100_000, 4_000_000_000
PIECE_BYTES: Final = 1 << 20
TABLES: Final = (
    "calls", "outcomes", "verdicts", "dead_letters", "labels", "judgements", "panels", "panel_cases", "runs"
)  # fmt: skip
# Remedies for errors that limits or typing mistakes lead to, by ClickHouse's code.
REMEDIES: Final[Mapping[int, str]] = {
    47: 'Columns are listed by: escalon query "DESCRIBE {table}".',
    60: f"The tables are {', '.join(TABLES[:-1])} and {TABLES[-1]}.",
    159: "Ask about less (--since, --until, LIMIT), or raise --max-seconds.",
    164: "Queries may only read.",
    241: "Ask about less: fewer columns, a shorter time, a LIMIT.",
    396: "Ask about less, or raise --max-rows.",
}


@dataclass(frozen=True, slots=True)
class QueryResult:
    columns: Sequence[str]
    types: Sequence[str]
    rows: Sequence[Sequence[Any]]
    cut: bool = False
    """True if rows beyond the limit were left out."""

    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Audit:
    """Read-only access to the audit in one ClickHouse database."""

    def __init__(
        self,
        config: ClickHouseConfig,
        max_seconds: int = MAX_SECONDS,
        max_rows: int = MAX_ROWS,
        max_memory_bytes: int = MAX_MEMORY_BYTES,
    ) -> None:
        self._client = config.connect(readonly=True)
        self._max_rows = max_rows
        self._limits = {
            "max_execution_time": max_seconds,
            "timeout_overflow_mode": "throw",
            "max_memory_usage": max_memory_bytes,
            "max_result_rows": max_rows + 1,  # one more shows that rows were left out
            "result_overflow_mode": "break",
        }

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> QueryResult:
        """Run a trusted query. Raises ConfigError with ClickHouse's message if it is wrong."""
        try:
            settings = self._limits | {"describe_compact_output": 1}  # names and types alone
            result = self._client.query(sql, parameters=dict(parameters or {}), settings=settings)
        except ClickHouseError as error:
            raise query_error(error) from error
        rows = result.result_rows
        kinds = [kind.name for kind in result.column_types]
        return QueryResult(result.column_names, kinds, rows[: self._max_rows], cut=len(rows) > self._max_rows)

    def ask(self, sql: str, parameters: Mapping[str, Any] | None = None) -> QueryResult:
        """Run a user's query. Raises ConfigError unless it is one statement that reads within the limits."""
        self._check(sql)
        return self.query(sql, parameters)

    def named(self, name: str, run: str = "live", **parameters: Any) -> QueryResult:
        query = named_query(name)
        own = {"run": run} if "run" in query.parameters else {}
        return self.query(query.sql, bound(query.sql, own | parameters, query.defaults))

    def write_parquet(self, sql: str, parameters: Mapping[str, Any] | None, path: Path) -> int:
        """Write a result as a Parquet file, whole or not at all; return its size in bytes."""
        self._check(sql)
        settings = self._limits | {
            "result_overflow_mode": "throw",
            "max_result_rows": self._max_rows,
            "output_format_parquet_fixed_string_as_fixed_byte_array": 0,
            "wait_end_of_query": 1,  # so that an error is raised instead of being written into the file
        }
        draft = path.with_name(f"{path.name}.part")
        try:
            stream = self._client.raw_stream(sql, parameters=dict(parameters or {}), settings=settings, fmt="Parquet")
            with stream, draft.open("wb") as file:
                while piece := stream.read(PIECE_BYTES):
                    file.write(piece)
            return draft.replace(path).stat().st_size
        except ClickHouseError as error:
            raise query_error(error) from error
        except OSError as error:
            raise ConfigError(f"{path} cannot be written ({error.strerror}).", "Name another file.", "out") from error
        finally:
            draft.unlink(missing_ok=True)

    def close(self) -> None:
        self._client.close()

    def _check(self, sql: str) -> None:
        if not sql.strip():
            raise ConfigError("the query is empty.", "See escalon query --help.", "query")
        canonical = self.query("SELECT formatQuerySingleLine({query:String})", {"query": sql}).rows[0][0]
        check_reads(canonical, self._limits)


def query_error(error: ClickHouseError) -> EscalonError:
    """Return ClickHouse's error as its first sentence and a remedy."""
    text = str(error)
    found = re.search(r"Code: (\d+)\. DB::Exception: ", text)
    if found is None:
        return ServiceError(f"ClickHouse did not answer ({text[:300]}).", "Check that it runs and try again.")
    words = text.rpartition("DB::Exception: ")[2].partition(" (version ")[0].partition(" In scope SELECT format")[0]
    short = words if len(words) <= 700 else f"{words[:500]} … {words[-150:]}"
    asked = next((name for name in re.findall(r"\bFROM (\w+)", words) if name in TABLES), "calls")
    remedy = REMEDIES.get(int(found[1]), "").format(table=asked)
    return ConfigError(f"ClickHouse refused the query: {short.strip()}", remedy, "query")
