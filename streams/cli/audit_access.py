"""Access to the audit in ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.audit.query import MAX_ROWS, MAX_SECONDS, Audit
from streams.cli.context import require_clickhouse, server_settings
from streams.core.errors import ServiceError
from streams.embedded.stack import clickhouse_only


@contextmanager
def audit_database() -> Iterator[ClickHouseConfig]:
    """Yield the configured ClickHouse, or start the embedded one on the data directory meanwhile."""
    settings = server_settings()
    if settings.clickhouse is not None:
        yield require_clickhouse(settings)
        return
    if not (settings.data_dir / "clickhouse").is_dir():
        what = f"There is no audit in {settings.data_dir}."
        raise ServiceError(what, "Run `escalon demo` or `escalon up` first, or set ESCALON_DATA or ESCALON_CLICKHOUSE.")
    with clickhouse_only(settings.data_dir) as url:
        yield ClickHouseConfig(url=url)


@contextmanager
def open_audit(max_seconds: int = MAX_SECONDS, max_rows: int = MAX_ROWS) -> Iterator[Audit]:
    """Yield the audit, with limits for each query."""
    with audit_database() as database:
        audit = Audit(database, max_seconds, max_rows)
        try:
            yield audit
        finally:
            audit.close()
