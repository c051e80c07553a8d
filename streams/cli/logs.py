"""The logs of commands that run until they are stopped: to standard error, without secrets."""

from __future__ import annotations

import logging
from typing import Final

from streams.app.log_redaction import HidingFormatter, environment_hider

CLIENTS: Final = ("clickhouse_connect", "escalon.kafka", "httpx", "httpx2", "urllib3")
"""The logs of the clients of Kafka, ClickHouse and models. Their failures are raised as well."""


def log_to_stderr(level: int, client_level: int) -> None:
    """Write log records to standard error, those of CLIENTS from a level of their own."""
    handler = logging.StreamHandler()
    handler.setFormatter(HidingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", environment_hider()))
    logging.basicConfig(level=level, handlers=[handler])
    for name in CLIENTS:
        logging.getLogger(name).setLevel(client_level)
