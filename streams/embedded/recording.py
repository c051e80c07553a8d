"""Servers that keep what a command publishes: the configured ones, running ones, or some started meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.adapters.reachable import check_clickhouse, check_kafka
from streams.app.settings import Settings
from streams.embedded.local_pipeline import RECORD, connected_pipeline
from streams.embedded.stack import running
from streams.pipeline.load import Pipeline
from streams.sink.progress import await_stored

STORED_SECONDS: Final = 60.0
"""The wait at the end until RECORD has stored what was published."""


@contextmanager
def recording_servers(
    settings: Settings,
    pipeline: Pipeline | None,
    report: Callable[[str], None] = lambda _: None,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Settings]:
    """Yield the settings with the addresses of Kafka and ClickHouse, where RECORD copies the first to the second.

    These are the configured servers, whose RECORD the operator runs, or those of `escalon up` on the data directory.
    Where neither exists, a broker, ClickHouse and RECORD run meanwhile; at the end this waits until RECORD has stored
    what was published, because the default broker forgets it. RECORD redacts as `pipeline` says. Raises
    ServiceError if only one server is configured, or a server does not start.
    """
    found = None if settings.kafka is not None or settings.clickhouse is not None else running(settings.data_dir)
    if found is not None:
        kafka, clickhouse = KafkaConfig(servers=found.kafka), ClickHouseConfig(url=found.clickhouse)
        yield replace(settings, kafka=kafka, clickhouse=clickhouse)
        return
    if settings.kafka is not None and settings.clickhouse is not None:
        check_kafka(settings.kafka)
        check_clickhouse(settings.clickhouse)
        yield settings
        return
    with connected_pipeline(settings, None if pipeline is None else pipeline.path, report, progress) as started:
        sink = started.start(RECORD)
        try:
            yield started.settings
        finally:
            try:
                started.supervisor.check()
                await_stored(started.kafka, settings.topic_prefix, STORED_SECONDS)
            finally:
                started.supervisor.stop(sink)
