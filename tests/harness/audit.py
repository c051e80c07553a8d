"""An audit on a ClickHouse server of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streams.adapters.clickhouse import TABLES, ClickHouseConfig, insert, migrate, row_of
from streams.embedded.stack import start_clickhouse
from streams.embedded.supervisor import Supervisor


@contextmanager
def database(directory: Path) -> Iterator[ClickHouseConfig]:
    """An empty audit, on a server of its own. Tests share it, each with a run of its own."""
    with Supervisor(directory / "logs") as supervisor:
        config = ClickHouseConfig(url=start_clickhouse(supervisor, directory))
        migrate(config)
        yield config


def write(config: ClickHouseConfig, *messages: Any) -> None:
    """Put messages into their tables."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in messages:
        rows[TABLES[type(message)]].append(row_of(message))
    client = config.connect()
    try:
        for table, some in rows.items():
            insert(client, table, some)
    finally:
        client.close()
