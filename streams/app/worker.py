"""Run one tier in this process until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, get_args

import faust

from streams.adapters.blobs import BlobStore
from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.codec import Codec
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_changelogs, describe_cluster
from streams.adapters.registry_config import patient_codec_for
from streams.app.event_reader import build_event_reader
from streams.app.fitting import await_room, check_partitions
from streams.app.providers import Providers
from streams.app.redaction import row_redactor
from streams.app.scheduler import Scheduler
from streams.app.settings import Settings
from streams.app.telemetry import tracing_of
from streams.app.tiers import Site, WorkerTier, build
from streams.pipeline.load import Pipeline
from streams.sink.erasure_sweeper import ErasureSweeper
from streams.sink.sink import Sink
from streams.telemetry.web import serve_web

FAUST_TIERS: tuple[WorkerTier, ...] = get_args(WorkerTier)
TIERS = (*FAUST_TIERS, "record", "resume")
log = logging.getLogger("escalon.worker")


def run_tier(tier: WorkerTier, settings: Settings, kafka: KafkaConfig, pipeline: Pipeline) -> None:
    """Run a Faust tier; returns after SIGTERM or SIGINT.

    Raises ProcessError where this process lacks what it needs, and SystemExit when Faust gives up.
    """
    web = serve_web(settings.web)
    await_room(settings.data_dir / "tables")
    site = Site(
        settings=settings,
        kafka=kafka,
        cluster=describe_cluster(kafka),
        pipeline=pipeline,
        codec=_prepared(settings),
        blobs=BlobStore(settings.blobs),
        providers=Providers(pipeline, settings),
        tracing=tracing_of(settings, tier),
    )
    app = build(tier, site)
    check_partitions(app, settings.topic_prefix, site.cluster.partitions)
    # A consumer that started before its changelogs hears of them minutes later, and until then recovers no table.
    changelogs = {table.changelog_topic.get_topic_name(): table.partitions for table in app.tables.values()}
    create_changelogs(kafka, changelogs, settings.replication)
    _run_now(site.providers.load())
    app.at_end = site.providers.close
    app.on_rebalance_complete.connect(_announcer(ready_file(settings, tier)), weak=False)
    worker = faust.Worker(app, loglevel=logging.INFO, quiet=True, redirect_stdouts=False, override_logging=False)
    if web is not None:
        web.loop = worker.loop
    try:
        worker.execute_from_commandline()
    except SystemExit:
        if app.ending is not None:
            raise app.ending from None
        raise
    finally:
        site.tracing.close()


def ready_file(settings: Settings, tier: str) -> Path:
    """A file that a tier's process touches whenever it has its partitions and its tables."""
    return settings.data_dir / "ready" / f"{tier}-{settings.instance}"


def _announcer(file: Path) -> object:
    file.parent.mkdir(parents=True, exist_ok=True)

    async def announce(*_: object, **__: object) -> None:
        try:
            await asyncio.to_thread(file.touch)
        except OSError as error:  # whoever waits for the file waits on; the tier itself needs it for nothing
            log.warning("%s cannot be written: %s", file, error)

    return announce


def _run_now(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine before Faust has its loop."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def run_sink(settings: Settings, kafka: KafkaConfig, clickhouse: ClickHouseConfig, pipeline: Pipeline | None) -> None:
    """Run the sink, with the pipeline's redaction; returns after SIGTERM or SIGINT."""
    prepare = row_redactor(pipeline)
    log.info("redaction: %s", _redaction_of(pipeline))
    serve_web(settings.web)
    stop, coding = _stop(), _prepared(settings)
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
        return "none, for no pipeline file is named; rows are stored as they come"
    return pipeline.redaction.id if pipeline.redaction else f"none, for {pipeline.path.name} asks for none"


def run_scheduler(settings: Settings, kafka: KafkaConfig) -> None:
    """Run what lets deferred tasks go on; returns after SIGTERM or SIGINT."""
    serve_web(settings.web)
    stop, coding = _stop(), _prepared(settings)
    _, letters = build_event_reader(settings, describe_cluster(kafka), coding, BlobStore(settings.blobs))
    Scheduler(
        kafka=kafka, codec=coding, prefix=settings.topic_prefix, dead_letters=letters, now=settings.now, stop=stop
    ).run()


def _stop() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _prepared(settings: Settings) -> Codec:
    """A codec that has its schemas registered, so that no message waits for the registry."""
    return patient_codec_for(settings.schema_registry)
