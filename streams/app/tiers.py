"""The composition root: each tier's stages, bound to its Faust app."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import faust

from streams.adapters.blobs import BlobStore
from streams.adapters.codec import Codec
from streams.adapters.events import EventReader, KafkaRecord, due
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import ClusterMetadata
from streams.app.event_reader import build_event_reader
from streams.app.process import WorkerTier
from streams.app.providers import Providers
from streams.app.redaction import redaction_policy
from streams.app.settings import Settings
from streams.core.budget import share
from streams.core.errors import ServiceError, UnreadableError
from streams.core.fingerprint import digest
from streams.core.messages import Escalation, Message, Outcome, Result, Sighting, Verdict
from streams.core.tables import ANSWERS, KNOWN_EVENTS, SEEN_IMAGES, SETTLED, SPENT, WATCHES, TableSpec
from streams.core.validate import validate_message
from streams.models.listeners.image import MAX_BYTES
from streams.models.listeners.image_pool import FewAtOnce
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.pipeline.spec import BudgetSpec
from streams.runtime.app import ProcessConfig, faust_app
from streams.runtime.bind import Binding, StagePublisher, bind
from streams.runtime.drain import DrainingApp
from streams.runtime.known import KnownEvents
from streams.runtime.lag import watch_faust
from streams.runtime.tables import TableAnswers, TableImages, TablePurse, TableSettled, TableWatches, table
from streams.stages.gate import WatchedGate
from streams.stages.listen import IMAGE_DUPLICATE, listen
from streams.stages.match import match
from streams.stages.ports import Desk, Images
from streams.stages.reason import reason
from streams.stages.settle import Settled, check_same_event, settle, settles
from streams.stages.work import work
from streams.telemetry.message_metrics import observe_outcome
from streams.telemetry.metrics import BUDGET, BUDGET_SPENT, observe_calibration
from streams.telemetry.tracing import OFF, Tracing

PLACES_A_CALL = 2
"""Tasks on their way for each call that may run: some of them back off, and hold no call's slot meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What every tier is built from."""

    settings: Settings
    kafka: KafkaConfig
    cluster: ClusterMetadata
    pipeline: Pipeline
    codec: Codec
    blobs: BlobStore
    providers: Providers
    tracing: Tracing = OFF

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has. Raises ServiceError when it is not there."""
        name = self.settings.topic_prefix + topic
        if name not in self.cluster.partitions:
            raise ServiceError(f"Kafka has no topic {name}.", "Run `escalon topics --create` first.")
        return self.cluster.partitions[name]

    def directory(self, tier: str) -> Path:
        """Where this process keeps a tier's tables. Another cluster's tables would not fit its changelogs."""
        cluster = digest(self.cluster.cluster_id)[:12]
        return self.settings.data_dir / "tables" / cluster / f"{tier}-{self.settings.instance}"


def build(tier: WorkerTier, site: Site) -> DrainingApp:
    """The Faust app of one tier, its agents bound."""
    settings = site.settings
    place = ProcessConfig(
        directory=site.directory(tier),
        prefix=settings.topic_prefix,
        replication=settings.replication,
        batch_bytes=settings.batch_bytes,
        drain_seconds=settings.drain_seconds,
    )
    app = faust_app(tier, site.kafka, place)
    prefix = settings.topic_prefix
    publisher = StagePublisher(app=app, codec=site.codec, prefix=prefix, tracing=site.tracing)
    reader, dead_letters = build_event_reader(settings, site.cluster, site.codec, site.blobs)
    bindings = _TIERS[tier](app, site, reader)
    for binding in bindings:
        bind(binding, publisher, dead_letters, app.drain)
    watch_faust(app, {f"{prefix}{binding.topic}" for binding in bindings})
    return app


def _listen(app: faust.App, site: Site, reader: EventReader) -> list[Binding]:
    pipeline, handlers = site.pipeline, site.pipeline.listeners
    desk = _desk(app, site, handlers, "events")
    images = FewAtOnce(partial(site.blobs.get, most=MAX_BYTES + 1))
    known = KnownEvents(_table(app, KNOWN_EVENTS, site))

    async def on_event(record: KafkaRecord, publisher: StagePublisher) -> None:
        event, deadline = reader(record), pipeline.spec.deadline
        if reader.is_named(record, event):  # an id made of its record is not another event's
            known.check(event.origin)
        if deadline is not None:
            event = replace(event, deadline=due(record.timestamp, deadline))
        await publisher.publish(await listen(event, record.timestamp, pipeline, desk, images))

    bindings = [_bound("events", _concurrency(handlers), on_event, site)]
    watcher = next((one for one in handlers.values() if one.spec.kind == IMAGE_DUPLICATE), None)
    if watcher is not None:
        bindings.append(_match(app, site, desk, images, watcher.spec.capacity))
    return bindings


def _match(app: faust.App, site: Site, desk: Desk, images: Images, capacity: int) -> Binding:
    seen = TableImages(_table(app, SEEN_IMAGES, site), capacity)

    async def on_sighting(record: KafkaRecord, publisher: StagePublisher) -> None:
        sighting = site.codec.decode(Sighting, record.value or b"")
        validate_message(sighting)
        seen.position = record.offset
        await publisher.publish(await match(sighting, record.timestamp, site.pipeline, desk, seen, images))

    return _bound("images", 1, on_sighting, site)


def _work(app: faust.App, site: Site, _: EventReader) -> list[Binding]:
    pipeline, desk = site.pipeline, _desk(app, site, site.pipeline.workers, "verdicts")

    async def stage(verdict: Verdict, at: datetime) -> list[Message]:
        return await work(verdict, at, pipeline, desk)

    return [_binding("verdicts", Verdict, stage, site, pipeline.workers)]


def _reason(app: faust.App, site: Site, _: EventReader) -> list[Binding]:
    pipeline, desk = site.pipeline, _desk(app, site, site.pipeline.reasoners, "escalations")

    async def stage(escalation: Escalation, at: datetime) -> list[Message]:
        return await reason(escalation, at, pipeline, desk)

    return [_binding("escalations", Escalation, stage, site, pipeline.reasoners)]


def _settle(app: faust.App, site: Site, _: EventReader) -> list[Binding]:
    settled = TableSettled(_table(app, SETTLED, site))

    async def on_result(record: KafkaRecord, publisher: StagePublisher) -> None:
        result = site.codec.decode(Result, record.value or b"")
        run, event_id = result.origin.run, result.origin.event_id
        prior = settled.get(run, event_id)
        if prior is not None and not settles(prior, record.partition, record.offset):
            check_same_event(result, _ended(prior, site.codec))
            return
        # The result's own time, and no clock: after a crash in which the table's entry was lost and the outcome was
        # not, the same result must make the same bytes.
        outcome = settle(result, record.timestamp)
        value = prior.outcome if prior else site.codec.encode(outcome)
        await publisher.send("outcomes", event_id.encode(), value, result)
        settled.put(run, event_id, Settled(record.partition, record.offset, value))
        if prior is None:
            observe_outcome(outcome)

    return [_bound("results", 1, on_result, site)]


def _ended(settled: Settled, codec: Codec) -> Outcome | None:
    """The outcome that is settled; None where it cannot be read any more."""
    try:
        return codec.decode(Outcome, settled.outcome)
    except UnreadableError:
        return None


def _binding(
    topic: str,
    kind: type[Any],
    stage: Callable[[Any, datetime], Awaitable[list[Message]]],
    site: Site,
    handlers: Mapping[str, Handler],
) -> Binding:
    async def handle(record: KafkaRecord, publisher: StagePublisher) -> None:
        message = site.codec.decode(kind, record.value or b"")
        validate_message(message)
        await publisher.publish(await stage(message, record.timestamp))

    return _bound(topic, _concurrency(handlers), handle, site)


def _bound(
    topic: str, concurrency: int, handle: Callable[[KafkaRecord, StagePublisher], Awaitable[None]], site: Site
) -> Binding:
    return Binding(topic=topic, concurrency=concurrency, handle=handle, partitions=site.partitions(topic))


def _table(app: faust.App, spec: TableSpec, site: Site) -> Any:
    source = f"{site.settings.topic_prefix}{spec.source}"
    return table(app, spec.name, source, site.partitions(spec.source), site.settings.retention_seconds)


def _desk(app: faust.App, site: Site, handlers: Mapping[str, Handler], topic: str) -> Desk:
    tier = next(iter(handlers.values())).tier if handlers else None
    remember = partial(_table, app, site=site)
    budget = site.pipeline.spec.budgets.get(tier) if tier else None
    if tier and budget:
        BUDGET.labels(tier).set(float(budget.usd_per_day))
    return Desk(
        pipeline_hash=site.pipeline.hash,
        askers=site.providers.askers(handlers),
        answers=TableAnswers(remember(ANSWERS[topic]), site.codec),
        prices=site.pipeline.prices,
        now=site.settings.now,
        timer=time.perf_counter,
        sleep=asyncio.sleep,
        jitter=random.random,
        purse=_purse(remember, topic, budget, site, tier) if tier and budget else None,
        agrees=site.providers.agrees(handlers),
        assessors=site.providers.assessors(handlers),
        gate=_gate(remember, topic, handlers, site),
        redaction=redaction_policy(site.pipeline),
    )


def _purse(remember: Callable[[TableSpec], Any], topic: str, budget: BudgetSpec, site: Site, tier: str) -> TablePurse:
    part = share(budget.usd_per_day, site.partitions(topic))
    return TablePurse(remember(SPENT[topic]), part, lambda usd: BUDGET_SPENT.labels(tier).inc(float(usd)))


def _gate(
    remember: Callable[[TableSpec], Any], topic: str, handlers: Mapping[str, Handler], site: Site
) -> WatchedGate | None:
    """The gate of workers with a calibration; without any the workers' own thresholds need no watching."""
    trusts = {name: handler.trust for name, handler in handlers.items() if handler.trust is not None}
    if not any(trust.artifact for trust in trusts.values()):
        return None
    watches = TableWatches(remember(WATCHES[topic]))
    return WatchedGate(trusts=trusts, watches=watches, partitions=site.partitions(topic), tell=observe_calibration)


def _concurrency(handlers: Mapping[str, Handler]) -> int:
    """Enough agents at once that no handler waits for another's slots, nor for tasks that wait to be tried again."""
    return max(1, PLACES_A_CALL * sum(int(handler.spec.concurrency) for handler in handlers.values()))


_TIERS: dict[WorkerTier, Callable[[faust.App, Site, EventReader], list[Binding]]] = {
    "listen": _listen,
    "work": _work,
    "reason": _reason,
    "settle": _settle,
}
