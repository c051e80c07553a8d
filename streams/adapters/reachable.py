"""Find out within seconds whether a server can be reached, before its client, which tries for longer, is asked.

Commands do this, so that a wrong address is reported at once. Workers do not: a server that they wait for may start.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.adapters.registry_config import RegistryConfig
from streams.core.errors import ServiceError

PROBE_SECONDS: Final = 2.0
NO_ANSWER: Final = "no answer within {seconds:g} s"
Address = tuple[str, int]


def check_kafka(config: KafkaConfig, seconds: float = PROBE_SECONDS) -> None:
    """Raise ServiceError if none of the bootstrap servers accepts a connection."""
    from streams.adapters.kafka_errors import unreachable  # it loads librdkafka

    parts = [urlsplit(server.strip() if "://" in server else f"//{server.strip()}") for server in _listed(config)]
    why = unconnected([(part.hostname or "", part.port or 9092) for part in parts], seconds)
    if why is not None:
        raise unreachable(config, why)


def check_clickhouse(config: ClickHouseConfig, seconds: float = PROBE_SECONDS) -> None:
    """Raise ServiceError if the server does not accept a connection. One behind a proxy is not tried."""
    parts = urlsplit(config.url)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return
    why = unconnected([(host, config.port)], seconds)
    if why is not None:
        what = f"ClickHouse at {config.url} cannot be reached ({why})."
        raise ServiceError(what, "Check that it runs and that ESCALON_CLICKHOUSE is right.")


def check_registry(config: RegistryConfig, seconds: float = PROBE_SECONDS) -> None:
    """Raise ServiceError if the schema registry does not accept a connection."""
    parts = urlsplit(config.url)
    why = unconnected([(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))], seconds)
    if why is not None:
        what = f"The schema registry at {config.url} cannot be reached ({why})."
        raise ServiceError(what, "Check that it runs and that ESCALON_SCHEMA_REGISTRY is right.")


def unconnected(addresses: Sequence[Address], seconds: float) -> str | None:
    """Return why no address accepts a connection; None if one does. All are tried at once, for at most `seconds`."""
    answers: SimpleQueue[str | None] = SimpleQueue()
    for address in addresses:
        # Looking up a name cannot be interrupted, so a daemon does it that may be left behind.
        Thread(target=lambda at=address: answers.put(_refusal(at, seconds)), daemon=True).start()
    why: str | None = NO_ANSWER.format(seconds=seconds)
    for _ in addresses:
        try:
            why = answers.get(timeout=seconds)
        except Empty:
            break
        if why is None:
            break
    return why


def _refusal(address: Address, seconds: float) -> str | None:
    try:
        with socket.create_connection(address, timeout=seconds):
            return None
    except TimeoutError:
        return NO_ANSWER.format(seconds=seconds)
    except (OSError, UnicodeError, OverflowError) as error:  # the latter for a name or a port that cannot exist
        return (getattr(error, "strerror", None) or str(error)).lower()


def _listed(config: KafkaConfig) -> list[str]:
    return [server for server in config.servers.split(",") if server.strip()]
