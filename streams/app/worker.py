"""Run a Faust tier in this process until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import faust

from streams.adapters.blobs import BlobStore
from streams.adapters.codec_factory import patient_codec_for
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_changelogs, describe_cluster
from streams.app.process import WorkerTier, ready_file
from streams.app.providers import Providers
from streams.app.settings import Settings
from streams.app.startup_checks import await_room, check_partitions
from streams.app.telemetry import tracing_of
from streams.app.tiers import Deployment, build
from streams.pipeline.load import Pipeline
from streams.telemetry.web import serve_web

log = logging.getLogger("escalon.worker")


def run_tier(tier: WorkerTier, settings: Settings, kafka: KafkaConfig, pipeline: Pipeline) -> None:
    """Run a Faust tier; return after SIGTERM or SIGINT.

    Raises ProcessError if this process lacks a resource, and SystemExit if Faust gives up.
    """
    web = serve_web(settings.web)
    await_room(settings.data_dir / "tables")
    deployment = Deployment(
        settings=settings,
        kafka=kafka,
        cluster=describe_cluster(kafka),
        pipeline=pipeline,
        codec=patient_codec_for(settings.schema_registry),
        blobs=BlobStore(settings.blobs),
        providers=Providers(pipeline, settings),
        tracing=tracing_of(settings, tier),
    )
    app = build(tier, deployment)
    partitions = deployment.cluster.partitions
    check_partitions(app.stage_tables, settings.topic_prefix, partitions)
    changelogs = {table.changelog: partitions[table.source] for table in app.stage_tables}
    create_changelogs(kafka, changelogs, settings.replication)
    _run_now(deployment.providers.load())
    app.at_end, app.on_ready = deployment.providers.close, _announcer(ready_file(settings, tier))
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
        deployment.tracing.close()


def _announcer(file: Path) -> Callable[[], Awaitable[None]]:
    file.parent.mkdir(parents=True, exist_ok=True)

    async def announce() -> None:
        try:
            await asyncio.to_thread(file.touch)
        except OSError as error:  # only a process that waits for the file is affected
            log.warning("%s cannot be written: %s", file, error)

    return announce


def _run_now(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine before Faust has its loop."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()
