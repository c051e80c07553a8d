"""Run the sink or the scheduler in this process. Both are plain Kafka consumers: no Faust is imported.

Each imports its own libraries when it runs: the scheduler needs neither ClickHouse nor a pipeline file.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streams.adapters.blobs import BlobStore
from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.adapters.codec_factory import patient_codec_for
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import describe_cluster
from streams.app.event_reader import build_event_reader
from streams.app.process import stop_event
from streams.app.settings import Settings
from streams.telemetry.web import serve_web

if TYPE_CHECKING:
    from streams.pipeline.load import Pipeline

log = logging.getLogger("escalon.worker")


def run_sink(settings: Settings, kafka: KafkaConfig, clickhouse: ClickHouseConfig, pipeline: Pipeline | None) -> None:
    """Run the sink with the pipeline's redaction; return after SIGTERM or SIGINT."""
    from streams.app.redaction import row_redactor
    from streams.sink.erasure_sweeper import ErasureSweeper
    from streams.sink.sink import Sink

    prepare = row_redactor(pipeline)
    log.info("redaction: %s", _redaction_of(pipeline))
    serve_web(settings.web)
    stop, coding = stop_event(), patient_codec_for(settings.schema_registry)
    blobs = BlobStore(settings.blobs)
    _, letters = build_event_reader(settings, describe_cluster(kafka), coding, blobs)
    ErasureSweeper(clickhouse=clickhouse, blobs=blobs, stop=stop).start()
    Sink(
        kafka=kafka,
        clickhouse=clickhouse,
        codec=coding,
        prefix=settings.topic_prefix,
        dead_letters=letters,
        stop=stop,
        prepare=prepare,
    ).run()


def _redaction_of(pipeline: Pipeline | None) -> str:
    if pipeline is None:
        return "none, because no pipeline file is given; rows are stored unchanged"
    return pipeline.redaction.id if pipeline.redaction else f"none, because {pipeline.path.name} has no [redaction]"


def run_scheduler(settings: Settings, kafka: KafkaConfig) -> None:
    """Run the scheduler of deferred tasks; return after SIGTERM or SIGINT."""
    from streams.app.deferral_scheduler import Scheduler

    serve_web(settings.web)
    stop, coding = stop_event(), patient_codec_for(settings.schema_registry)
    _, letters = build_event_reader(settings, describe_cluster(kafka), coding, BlobStore(settings.blobs))
    Scheduler(
        kafka=kafka, codec=coding, prefix=settings.topic_prefix, dead_letters=letters, now=settings.now, stop=stop
    ).run()
