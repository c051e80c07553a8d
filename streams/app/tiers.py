"""The composition root: each tier's stages, bound to its Faust app."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from streams.adapters.blobs import BlobStore
from streams.adapters.codec import Codec
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import ClusterMetadata
from streams.adapters.kafka_record import KafkaRecord, deadline_after
from streams.adapters.source_reader import SourceReader
from streams.app.event_reader import build_event_reader, source_reader
from streams.app.process import WorkerTier
from streams.app.providers import Providers
from streams.app.redaction import redaction_policy
from streams.app.settings import Settings
from streams.app.sources import source_binding
from streams.calling.cached import StoredAnswers
from streams.calling.chain import CallServices
from streams.calling.concurrency import LARGEST_BATCH
from streams.calling.record import CallRecords
from streams.calling.threshold import ThresholdPolicy
from streams.core.budget import share
from streams.core.errors import ServiceError, UnreadableError
from streams.core.fingerprint import digest
from streams.core.messages import Escalation, Message, Outcome, Result, Sighting, Tier, Verdict
from streams.core.tables import ANSWERS, KNOWN_EVENTS, SEEN_IMAGES, SETTLED, SPENT, WATCHES, TableSpec
from streams.core.validate import validate_message
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.pipeline.spec import ClassifierListener, ImageDuplicateListener, RouterListener, RulesListener
from streams.runtime.bind import Binding, StagePublisher
from streams.runtime.faust_app import ProcessConfig, TierApp
from streams.runtime.seen_events import KnownEvents
from streams.runtime.table import Table
from streams.runtime.tables import TableAnswers, TableBudget, TableImages, TableSettled, TableWatches
from streams.stages.dedupe_images import dedupe_images
from streams.stages.listen import listen
from streams.stages.ports import Images
from streams.stages.reason import reason
from streams.stages.settle import Settled, check_same_event, settle, settles
from streams.stages.work import work
from streams.telemetry.message_metrics import observe_outcome
from streams.telemetry.metrics import BUDGET, BUDGET_SPENT, observe_calibration
from streams.telemetry.tracing import OFF, Tracing

TASKS_A_SLOT = 2
"""Tasks in flight per call slot. More than one, because a task that backs off holds no slot."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The settings and services that every tier is built from."""

    settings: Settings
    kafka: KafkaConfig
    cluster: ClusterMetadata
    pipeline: Pipeline
    codec: Codec
    blobs: BlobStore
    providers: Providers
    tracing: Tracing = OFF

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic. Raises ServiceError if there is no such topic."""
        name = self.settings.topic_prefix + topic
        if name not in self.cluster.partitions:
            raise ServiceError(f"Kafka has no topic {name}.", "Run `escalon topics --create` first.")
        return self.cluster.partitions[name]

    @cached_property
    def source(self) -> SourceReader | None:
        """The reader of the user's own topics; None if the pipeline names none."""
        return source_reader(self.settings, self.cluster, self.codec, self.pipeline.spec.source)

    def directory(self, tier: str) -> Path:
        """Return the directory of a tier's tables. Another cluster's tables would not fit its changelogs."""
        cluster = digest(self.cluster.cluster_id)[:12]
        return self.settings.data_dir / "tables" / cluster / f"{tier}-{self.settings.instance}"


def build(tier: WorkerTier, deployment: Deployment) -> TierApp:
    """Build the Faust app of one tier, its agents bound."""
    settings = deployment.settings
    place = ProcessConfig(
        directory=deployment.directory(tier),
        prefix=settings.topic_prefix,
        batch_bytes=settings.batch_bytes,
        drain_seconds=settings.drain_seconds,
    )
    app = TierApp(tier, deployment.kafka, place)
    reader, dead_letters = build_event_reader(
        settings, deployment.cluster, deployment.codec, deployment.blobs, deployment.source
    )
    publisher = StagePublisher(
        client=app.client, codec=deployment.codec, prefix=settings.topic_prefix, tracing=deployment.tracing
    )
    app.bind(_TIERS[tier](app, deployment, reader), publisher, dead_letters)
    return app


def _listen(app: TierApp, deployment: Deployment, reader: EventReader) -> list[Binding]:
    pipeline, handlers = deployment.pipeline, deployment.pipeline.listeners
    records = _records(deployment)
    callers = deployment.providers.callers(handlers, _services(app, deployment, records, "listener", "events"))
    images = deployment.providers.images
    known = KnownEvents(_table(app, KNOWN_EVENTS, deployment))

    async def on_event(record: KafkaRecord, publisher: StagePublisher) -> None:
        event, deadline = reader(record), pipeline.spec.deadline
        if reader.is_named(record, event):  # an id made of its record is not another event's
            known.check(event.origin)
        if deadline is not None:
            event = replace(event, deadline=deadline_after(record.deadline_from, deadline))
        publisher.publish(await listen(event, record.timestamp, pipeline, callers, records, images))

    plain_code = all(
        isinstance(one.spec, (ClassifierListener, RouterListener, RulesListener)) for one in handlers.values()
    )
    concurrency = max(_concurrency(handlers), LARGEST_BATCH if plain_code else 0)  # nothing waits but for its batch
    bindings = [_bound("events", concurrency, on_event, deployment)]
    watcher = next((one.spec for one in handlers.values() if isinstance(one.spec, ImageDuplicateListener)), None)
    if watcher is not None:
        bindings.append(_dedupe_images(app, deployment, records, images, watcher.capacity))
    if deployment.source is not None:
        bindings.append(source_binding(deployment.kafka, deployment.source))
    return bindings


def _dedupe_images(
    app: TierApp, deployment: Deployment, records: CallRecords, images: Images, capacity: int
) -> Binding:
    seen = TableImages(_table(app, SEEN_IMAGES, deployment), capacity)

    async def on_sighting(record: KafkaRecord, publisher: StagePublisher) -> None:
        sighting = deployment.codec.decode(Sighting, record.value or b"")
        validate_message(sighting)
        seen.position = record.offset
        messages = await dedupe_images(sighting, record.timestamp, deployment.pipeline, records, seen, images)
        publisher.publish(messages)

    return _bound("images", 1, on_sighting, deployment)


def _work(app: TierApp, deployment: Deployment, _: EventReader) -> list[Binding]:
    pipeline, providers = deployment.pipeline, deployment.providers
    records = _records(deployment)
    services = _services(app, deployment, records, "worker", "verdicts")
    callers, scorers = providers.callers(pipeline.workers, services), providers.scorers(pipeline.workers)
    thresholds = _thresholds(app, deployment)

    async def stage(verdict: Verdict, at: datetime) -> list[Message]:
        return await work(verdict, at, pipeline, callers, records, scorers, thresholds)

    return [_binding("verdicts", Verdict, stage, deployment, pipeline.workers)]


def _reason(app: TierApp, deployment: Deployment, _: EventReader) -> list[Binding]:
    pipeline, records = deployment.pipeline, _records(deployment)
    services = _services(app, deployment, records, "reasoner", "escalations")
    callers = deployment.providers.callers(pipeline.reasoners, services)

    async def stage(escalation: Escalation, at: datetime) -> list[Message]:
        return await reason(escalation, at, pipeline, callers, records)

    return [_binding("escalations", Escalation, stage, deployment, pipeline.reasoners)]


def _settle(app: TierApp, deployment: Deployment, _: EventReader) -> list[Binding]:
    settled = TableSettled(_table(app, SETTLED, deployment))

    async def on_result(record: KafkaRecord, publisher: StagePublisher) -> None:
        result = deployment.codec.decode(Result, record.value or b"")
        run, event_id = result.origin.run, result.origin.event_id
        prior = settled.get(run, event_id)
        if prior is not None and not settles(prior, record.partition, record.offset):
            check_same_event(result, _ended(prior, deployment.codec))
            return
        # The result's own time, and no clock: after a crash in which the table's entry was lost and the outcome was
        # not, the same result must make the same bytes.
        outcome = settle(result, record.timestamp)
        value = prior.outcome if prior else deployment.codec.encode(outcome)
        publisher.send("outcomes", event_id.encode(), value, result)
        settled.put(run, event_id, Settled(record.partition, record.offset, value))
        if prior is None:
            observe_outcome(outcome)

    return [_bound("results", 1, on_result, deployment)]


def _ended(settled: Settled, codec: Codec) -> Outcome | None:
    """Return the settled outcome; None if it cannot be read any more."""
    try:
        return codec.decode(Outcome, settled.outcome)
    except UnreadableError:
        return None


def _binding(
    topic: str,
    kind: type[Any],
    stage: Callable[[Any, datetime], Awaitable[list[Message]]],
    deployment: Deployment,
    handlers: Mapping[str, Handler],
) -> Binding:
    async def handle(record: KafkaRecord, publisher: StagePublisher) -> None:
        message = deployment.codec.decode(kind, record.value or b"")
        validate_message(message)
        publisher.publish(await stage(message, record.timestamp))

    return _bound(topic, _concurrency(handlers), handle, deployment)


def _bound(
    topic: str,
    concurrency: int,
    handle: Callable[[KafkaRecord, StagePublisher], Awaitable[None]],
    deployment: Deployment,
) -> Binding:
    return Binding(topic=topic, concurrency=concurrency, handle=handle, partitions=deployment.partitions(topic))


def _table(app: TierApp, spec: TableSpec, deployment: Deployment) -> Table:
    return app.table(spec, deployment.settings.retention_seconds)


def _records(deployment: Deployment) -> CallRecords:
    return CallRecords(
        pipeline_hash=deployment.pipeline.hash,
        prices=deployment.pipeline.prices,
        now=deployment.settings.now,
        timer=time.perf_counter,
        redaction=redaction_policy(deployment.pipeline),
    )


def _services(app: TierApp, deployment: Deployment, records: CallRecords, tier: Tier, topic: str) -> CallServices:
    """Return what the calls of a tier share, its tables written by the messages of `topic`."""
    answers = TableAnswers(_table(app, ANSWERS[topic], deployment), deployment.codec)
    return CallServices(
        answers=StoredAnswers(store=answers, records=records),
        records=records,
        sleep=asyncio.sleep,
        jitter=random.random,
        budget=_budget(app, deployment, tier, topic),
        batches=deployment.settings.cassette is None,
    )


def _budget(app: TierApp, deployment: Deployment, tier: Tier, topic: str) -> TableBudget | None:
    budget = deployment.pipeline.spec.budgets.get(tier)
    if budget is None:
        return None
    BUDGET.labels(tier).set(float(budget.usd_per_day))
    part = share(budget.usd_per_day, deployment.partitions(topic))
    spent = _table(app, SPENT[topic], deployment)
    return TableBudget(spent, part, lambda usd: BUDGET_SPENT.labels(tier).inc(float(usd)))


def _thresholds(app: TierApp, deployment: Deployment) -> ThresholdPolicy | None:
    """Return the policy of calibrated workers; None if no worker is calibrated, so that none can drift."""
    configs = {name: one.confidence for name, one in deployment.pipeline.workers.items() if one.confidence is not None}
    if not any(config.artifact for config in configs.values()):
        return None
    return ThresholdPolicy(
        configs=configs,
        watches=TableWatches(_table(app, WATCHES["verdicts"], deployment)),
        partitions=deployment.partitions("verdicts"),
        report=observe_calibration,
    )


def _concurrency(handlers: Mapping[str, Handler]) -> int:
    """Return the number of agents at which no handler waits for another's slots, nor for tasks that back off."""
    return max(1, TASKS_A_SLOT * sum(int(handler.spec.concurrency) for handler in handlers.values()))


_TIERS: dict[WorkerTier, Callable[[TierApp, Deployment, EventReader], list[Binding]]] = {
    "listen": _listen,
    "work": _work,
    "reason": _reason,
    "settle": _settle,
}
