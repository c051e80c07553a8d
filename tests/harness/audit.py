"""An audit in a database of its own, on a ClickHouse server that others use too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from streams.adapters.clickhouse import TABLES, ClickHouseConfig, insert, migrate, row_of

_NUMBERS = count()


def unused_database(server: str) -> ClickHouseConfig:
    """A database that no other test uses, and that does not exist yet."""
    return ClickHouseConfig(url=server, database=f"test_{next(_NUMBERS)}")


@contextmanager
def database(server: str) -> Iterator[ClickHouseConfig]:
    """An empty audit, which is dropped at the end."""
    config = unused_database(server)
    migrate(config)
    yield config
    client = config.connect()
    client.command(f"DROP DATABASE {config.database}")
    client.close()


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
