"""Configure a tier's Faust app; docs/decisions/ gives the measurements behind the values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import faust

from streams.adapters.kafka import OFFSET_RESET, KafkaConfig
from streams.adapters.kafka_admin import TopicIds
from streams.runtime.drain import DRAIN_SECONDS, Drain, DrainingApp
from streams.runtime.recovery import TableManager
from streams.runtime.tables import Table

SESSION_SECONDS, HEARTBEAT_SECONDS = 10, 2
METADATA_MS = 10_000
"""Longest time until a group notices that its topic was created again or has more partitions."""
MAX_MESSAGE_BYTES = 1_000_000
FETCH_BYTES = 1024 * 1024
BATCH_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig:
    """The directory of an app's process, its topics, and how it sends and stops."""

    directory: Path
    """Holds its tables and belongs to this process alone."""
    prefix: str = ""
    """Prefix of topics and consumer groups."""
    batch_bytes: int = BATCH_BYTES
    """The most bytes of a batch to one partition; 1 sends each message by itself."""
    drain_seconds: float = DRAIN_SECONDS


def faust_app(tier: str, kafka: KafkaConfig, config: ProcessConfig) -> DrainingApp:
    """Return one tier's app: its own consumer group, at-least-once, no leader topic."""
    name = f"escalon-{config.prefix}{tier}"
    config.directory.mkdir(parents=True, exist_ok=True)
    app = DrainingApp(
        name,
        broker=[f"kafka://{server.strip()}" for server in kafka.servers.split(",")],
        broker_credentials=_credentials(kafka),
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=HEARTBEAT_SECONDS,
        broker_commit_interval=1.0,
        store="rocksdb://",
        Table=Table,
        TableManager=TableManager,
        datadir=str(config.directory),
        consumer_auto_offset_reset=OFFSET_RESET,
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_metadata_max_age_ms=METADATA_MS,
        producer_max_request_size=MAX_MESSAGE_BYTES,
        producer_max_batch_size=config.batch_bytes,
        producer_linger=0,
        processing_guarantee="at_least_once",
        topic_disable_leader=True,
        # The topics exist by now. Faust asks the controller, and ends the process if the cluster has none right now.
        topic_allow_declare=False,
        stream_wait_empty=False,
        table_standby_replicas=0,
        # It has no limit on connections, and its pages would show customers' texts to anyone.
        web_enabled=False,
    )
    app.topic_ids = TopicIds(kafka)
    app.drain, app.at_end = Drain(config.drain_seconds), _nothing
    return app


async def _nothing() -> None:
    """End an app that has nothing to close."""


def _credentials(kafka: KafkaConfig) -> faust.auth.Credentials | None:
    context = kafka.ssl_context()
    if kafka.sasl_mechanism is not None:
        return faust.SASLCredentials(
            username=kafka.username, password=kafka.password, mechanism=kafka.sasl_mechanism, ssl_context=context
        )
    return faust.SSLCredentials(context=context) if context is not None else None
