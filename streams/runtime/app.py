"""A Faust app configured as measuring has shown it must be; docs/decisions/ gives the reasons."""

from __future__ import annotations

from pathlib import Path

import faust

from streams.adapters.kafka import KafkaConfig
from streams.runtime.tables import Table

SESSION_SECONDS, HEARTBEAT_SECONDS = 10, 2
MAX_MESSAGE_BYTES = 1_000_000
FETCH_BYTES = 1024 * 1024


def faust_app(tier: str, kafka: KafkaConfig, directory: Path, prefix: str, web_port: int | None) -> faust.App:
    """One tier's app: its own consumer group, at-least-once, no leader topic.

    `directory` holds its tables and belongs to this process alone.
    """
    name = f"escalon-{prefix}{tier}"
    directory.mkdir(parents=True, exist_ok=True)
    return faust.App(
        name,
        broker=[f"kafka://{server.strip()}" for server in kafka.servers.split(",")],
        broker_credentials=_credentials(kafka),
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=HEARTBEAT_SECONDS,
        broker_commit_interval=1.0,
        store="rocksdb://",
        Table=Table,
        datadir=str(directory),
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=FETCH_BYTES,
        producer_max_request_size=MAX_MESSAGE_BYTES,
        # An in-memory broker may number the messages of one batch alike, and recovery would then miss keys.
        producer_max_batch_size=1,
        producer_linger=0,
        processing_guarantee="at_least_once",
        topic_disable_leader=True,
        topic_allow_declare=True,
        stream_wait_empty=False,
        table_standby_replicas=0,
        web_enabled=web_port is not None,
        web_port=web_port or 6066,
        # Health and figures only: tables hold customers' words, and the pages ask nobody who they are.
        web_tables_enabled=False,
        web_router_enabled=False,
    )


def _credentials(kafka: KafkaConfig) -> faust.auth.Credentials | None:
    context = kafka.ssl_context()
    if kafka.sasl_mechanism is not None:
        return faust.SASLCredentials(
            username=kafka.username, password=kafka.password, mechanism=kafka.sasl_mechanism, ssl_context=context
        )
    return faust.SSLCredentials(context=context) if context is not None else None
