"""The parts of a replay, and the state that an earlier attempt at it has left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from streams.adapters.blobs import BlobStore
from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.codec_factory import codec_for
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import describe_cluster
from streams.adapters.source_reader import MappedEvents
from streams.app.batches import BatchAPIs
from streams.app.event_reader import build_event_reader, source_reader
from streams.app.providers import Providers
from streams.app.redaction import row_redactor
from streams.app.settings import Settings
from streams.calling.task import Task
from streams.core.errors import ConfigError
from streams.core.fingerprint import digest
from streams.core.messages import Run
from streams.models.providers.batches import MOST_REQUESTS
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.replay.batch_prices import check_batches
from streams.replay.batches import ReplayBatches
from streams.replay.changelogs import Changelogs
from streams.replay.counted import ReplaySpending, refuse
from streams.replay.rows import ReplayRows
from streams.replay.run import Rehearsal, Replay, rehearse
from streams.replay.selection import EventSelection
from streams.replay.source import Chosen, Source
from streams.replay.stages import Stages
from streams.replay.store import ReplayStore

LEAST_IN_FLIGHT = 32
Report = Callable[[Run, int], None]
"""Is called with the progress, and the number of calls that wait for batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOrder:
    """The events to replay, and the pipeline to replay them through."""

    run: str
    pipeline: Pipeline
    selection: EventSelection
    topic: str
    """Its full name, with the prefix."""
    max_cost_usd: Decimal | None = None
    batch: bool = False
    """True: calls wait for their provider's batches, where it has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDependencies:
    """The services of the live pipeline. `settings.run` is the run whose events and answers are taken."""

    settings: Settings
    kafka: KafkaConfig
    clickhouse: ClickHouseConfig

    def source(self, order: ReplayOrder) -> Source:
        """Return the topic's events, under the name of the replay; of a topic in `[source]`, those that it makes."""
        codec, blobs = codec_for(self.settings.schema_registry), BlobStore(self.settings.blobs)
        named = replace(self.settings, run=order.run)
        cluster = describe_cluster(self.kafka)
        own = source_reader(named, cluster, codec, order.pipeline.spec.source)
        reader, letters = build_event_reader(named, cluster, codec, blobs, own)
        if own is None or own.topics.of(order.topic) is None:
            return Source(self.kafka, order.topic, reader, letters)
        mapped = MappedEvents(own, reader, codec, f"{named.topic_prefix}events")
        return Source(self.kafka, order.topic, mapped, letters)

    def as_before(self, run: str, selection: EventSelection) -> EventSelection:
        """Return the selection, with its former times if a replay of this name was asked for in the same words."""
        directory = self._directory(run)
        if not directory.is_dir():
            return selection
        with self._store(directory) as store:
            before = store.state or {}
        if before.get("words") != selection.words:
            return selection
        since, until = (datetime.fromisoformat(before[end]) if before[end] else None for end in ("since", "until"))
        return replace(selection, since=since, until=until)

    def replay(self, order: ReplayOrder, source: Source, chosen: Chosen, report: Report) -> Run:
        """Replay the events. Raises what stopped it, after all that had ended is written."""
        apis = BatchAPIs(order.pipeline, self.settings)
        with self._store(self._directory(order.run)) as store, closing(self._rows(order)) as rows, closing(apis):
            _check_same(order, store.state)
            check_batches(order.pipeline, self.settings, store, wanted=order.batch)
            spending = ReplaySpending.so_far(store.spent, order.max_cost_usd, store.spend)
            batches = ReplayBatches(apis=apis, store=store, spending=spending, now=self.settings.now)
            stages = self._stages(order, store, spending, lambda handler, _: spending.count(handler))
            stages = replace(stages, batches=batches if order.batch else None)
            made = Replay(
                run=_run(order, self.settings, store.state),
                source=source,
                drive=stages.tiers(),
                store=store,
                rows=rows,
                spending=spending,
                in_flight=MOST_REQUESTS if order.batch else _in_flight(order.pipeline),
                report=lambda run: report(run, batches.waiting),
                now=self.settings.now,
                asked_for=asked_for(order.selection),
                on_failure=batches.break_off,
            )
            return asyncio.run(_with_models(stages.providers, batches.during(made.go(chosen))))

    def rehearse(self, order: ReplayOrder, source: Source, chosen: Chosen) -> Rehearsal:
        """Count the calls that would have to be made; makes none and writes nothing."""
        with TemporaryDirectory() as directory, self._store(Path(directory)) as store:
            check_batches(order.pipeline, self.settings, store, wanted=order.batch)
            stages = self._stages(order, store, ReplaySpending(), refuse)
            return asyncio.run(rehearse(source, chosen, stages.tiers()))

    def _stages(
        self, order: ReplayOrder, store: ReplayStore, spending: ReplaySpending, before: Callable[[Handler, Task], None]
    ) -> Stages:
        """Return the stages, with all answers that the live tiers have so far."""
        changelogs = Changelogs(self.kafka, self.settings.topic_prefix)
        changelogs.take_over(store)
        return Stages(
            settings=self.settings,
            pipeline=order.pipeline,
            providers=Providers(order.pipeline, self.settings),
            store=store,
            spending=spending,
            changelogs=changelogs,
            before=before,
        )

    def _rows(self, order: ReplayOrder) -> ReplayRows:
        return ReplayRows(self.clickhouse, row_redactor(order.pipeline))

    def _store(self, directory: Path) -> ReplayStore:
        return ReplayStore(directory, codec_for(self.settings.schema_registry))

    def _directory(self, run: str) -> Path:
        """Return the replay's directory. Another cluster's changelogs have other offsets, and its events other ids."""
        cluster = digest(describe_cluster(self.kafka).cluster_id)[:12]
        directory = self.settings.data_dir / "replays" / cluster / run
        directory.parent.mkdir(parents=True, exist_ok=True)
        return directory


async def _with_models(providers: Providers, work: Coroutine[Any, Any, Run]) -> Run:
    """Do the work with the models loaded, and free them."""
    try:
        await providers.load()
        return await work
    finally:
        await providers.close()


def _check_same(order: ReplayOrder, before: Mapping[str, Any] | None) -> None:
    """Raise ConfigError if a run of this name replays something else."""
    if before is None:
        return
    mine = {"pipeline": order.pipeline.hash, "selection": str(order.selection), "topic": order.topic}
    for what, value in mine.items():
        if before[what] != value:
            remedy = "Give this one another name, or the same pipeline and events to go on with that one."
            raise ConfigError(f"there is a run {order.run!r} with another {what} ({before[what]}).", remedy, "run")


def asked_for(selection: EventSelection) -> dict[str, str | None]:
    """Return what `as_before` reads of a selection."""
    since, until = (end.isoformat() if end else None for end in (selection.since, selection.until))
    return {"words": selection.words, "since": since, "until": until}


def _run(order: ReplayOrder, settings: Settings, before: Mapping[str, Any] | None) -> Run:
    now = settings.now()
    return Run(
        run=order.run,
        base=settings.run,
        pipeline=order.pipeline.hash,
        pipeline_name=order.pipeline.name,
        topic=order.topic,
        selection=str(order.selection),
        state="running",
        events=before["events"] if before else 0,
        paid_calls=0,
        reused_calls=before["reused_calls"] if before else 0,
        cost_usd=Decimal(0),
        max_cost_usd=order.max_cost_usd,
        started_at=datetime.fromisoformat(before["started_at"]) if before else now,
        updated_at=now,
    )


def _in_flight(pipeline: Pipeline) -> int:
    """Return the number of events in flight at which no handler waits for another's slots."""
    handlers = (*pipeline.listeners.values(), *pipeline.workers.values(), *pipeline.reasoners.values())
    return max(LEAST_IN_FLIGHT, sum(int(handler.spec.concurrency) for handler in handlers))
