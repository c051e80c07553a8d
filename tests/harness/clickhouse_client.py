"""A client of the embedded ClickHouse."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect


def connect(url: str, **options: Any) -> Any:
    """A stock clickhouse-connect client of the server at `url`."""
    parts = urlsplit(url)
    return clickhouse_connect.get_client(host=parts.hostname, port=parts.port, **options)
