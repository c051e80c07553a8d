"""Find out within seconds whether a server can be reached, before its client, which tries for longer, is asked.

Commands do this, so that a wrong address is reported at once. Workers do not: a server that they wait for may start.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
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
API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 0, -1)
"""Kafka's request for the versions that it speaks, which it answers before a login."""
HTTP_PING: Final = b"GET /ping HTTP/1.0\r\n\r\n"
NO_ANSWER: Final = "no answer within {seconds:g} s"
Address = tuple[str, int]


def check_kafka(config: KafkaConfig, seconds: float = PROBE_SECONDS) -> None:
    """Raise ServiceError if none of the bootstrap servers answers."""
    from streams.adapters.kafka_errors import unreachable  # it loads librdkafka

    parts = [urlsplit(server.strip() if "://" in server else f"//{server.strip()}") for server in _listed(config)]
    why = unanswered([(part.hostname or "", part.port or 9092) for part in parts], API_VERSIONS, seconds)
    if why is not None:
        raise unreachable(config, why)


def check_clickhouse(config: ClickHouseConfig, seconds: float = PROBE_SECONDS) -> None:
    """Raise ServiceError if the server does not answer. One behind a proxy is not tried."""
    parts = urlsplit(config.url)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return
    why = unanswered([(host, config.port)], HTTP_PING, seconds)
    if why is not None:
        what = f"ClickHouse at {config.url} cannot be reached ({why})."
        raise ServiceError(what, "Check that it runs and that ESCALON_CLICKHOUSE is right.")


def check_registry(config: RegistryConfig, seconds: float = PROBE_SECONDS) -> None:
    """Raise ServiceError if the schema registry does not answer."""
    parts = urlsplit(config.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    why = unanswered([(parts.hostname or "", port)], HTTP_PING, seconds)
    if why is not None:
        what = f"The schema registry at {config.url} cannot be reached ({why})."
        raise ServiceError(what, "Check that it runs and that ESCALON_SCHEMA_REGISTRY is right.")


def unanswered(addresses: Sequence[Address], request: bytes, seconds: float) -> str | None:
    """Return why no address answers a request; None if one does. All are tried at once, for at most `seconds`."""
    answers: SimpleQueue[str | None] = SimpleQueue()
    for address in addresses:
        # Looking up a name cannot be interrupted, so a daemon does it that may be left behind.
        Thread(target=lambda at=address: answers.put(_refusal(at, request, seconds)), daemon=True).start()
    why: str | None = NO_ANSWER.format(seconds=seconds)
    for _ in addresses:
        try:
            why = answers.get(timeout=seconds)
        except Empty:
            break
        if why is None:
            break
    return why


def _refusal(address: Address, request: bytes, seconds: float) -> str | None:
    """Return why a server does not answer. Hanging up, as a TLS server does, is an answer: the client says why."""
    try:
        with socket.create_connection(address, timeout=seconds) as connection, suppress(ConnectionError):
            connection.sendall(request)
            connection.recv(1)
    except TimeoutError:
        return NO_ANSWER.format(seconds=seconds)
    except (OSError, UnicodeError, OverflowError) as error:  # the latter for a name or a port that cannot exist
        return (getattr(error, "strerror", None) or str(error)).lower()
    return None


def _listed(config: KafkaConfig) -> list[str]:
    return [server for server in config.servers.split(",") if server.strip()]
