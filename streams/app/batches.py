"""Builds the tier `batch`: what each waiting task asks, and the batch APIs of the pipeline's models."""

from __future__ import annotations

import asyncio
from contextlib import closing

from streams.adapters.blobs import BlobStore
from streams.adapters.codec_factory import patient_codec_for
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_changelogs, describe_cluster
from streams.app.event_reader import build_event_reader
from streams.app.language_models import key_of
from streams.app.process import stop_event
from streams.app.providers import Providers
from streams.app.settings import Settings
from streams.batching.log_topic import LOG_TOPIC
from streams.batching.process import BatchProcess
from streams.batching.waiting import BatchQuestion, size_of
from streams.calling.prompted import PromptedModel
from streams.calling.task import Task, task_of
from streams.core.errors import HandlerError, ServiceError, UnreadableError
from streams.core.fingerprint import digest, task_fingerprint
from streams.core.messages import Escalation, Verdict
from streams.core.topics import DEFERRED
from streams.models.providers.batches import BatchAPI
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.pipeline.model_specs import ClaudeModelSpec, ModelSpec, OpenAIModelSpec
from streams.stages.escalate import reasoner_task
from streams.telemetry.web import serve_web


class Questions:
    """The questions of tasks to their models, by the pipeline of this process."""

    def __init__(self, pipeline: Pipeline, providers: Providers) -> None:
        self._pipeline = pipeline
        self._models: dict[tuple[str, str], PromptedModel] = {}
        self._providers = providers
        for handler in batching(pipeline):
            backend = providers.backend(handler).backend
            assert isinstance(backend, PromptedModel)  # noqa: S101
            self._models[handler.tier, handler.name] = backend
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """Close what the models hold, and the event loop in which images are read."""
        self._runner.run(self._providers.close())
        self._runner.close()

    def __call__(self, message: Verdict | Escalation) -> BatchQuestion | None:
        """Return what a task asks; None if its handler waits for no batch (any more), or its prompt cannot be made."""
        tier = "worker" if isinstance(message, Verdict) else "reasoner"
        model = self._models.get((tier, message.handler))
        if model is None or (batch := model.callee.handler.batch) is None:
            return None
        handler = model.callee.handler
        task = _task(message, handler)
        try:
            request = self._runner.run(model.request(task))
        except (HandlerError, UnreadableError, ServiceError):  # its tier says so, or waits for the blob store
            return None
        return BatchQuestion(
            model=model.prompting.model_key,
            request=request,
            handler_version=handler.version,
            key=_key(message, task, handler),
            batch=batch,
            timeout=handler.spec.timeout,
            size=size_of(request),
        )


def _task(message: Verdict | Escalation, handler: Handler) -> Task:
    if isinstance(message, Escalation):
        return reasoner_task(message, handler)
    return task_of(message.event, handler.inputs)


def _key(message: Verdict | Escalation, task: Task, handler: Handler) -> str:
    """Return what identical tasks share, where one answer serves all of them."""
    fingerprint, origin = task_fingerprint(handler.version, task.input()), message.event.origin
    if handler.spec.cache == "shared":
        return fingerprint
    return digest(fingerprint, origin.run, origin.event_id, origin.content_digest)


def batching(pipeline: Pipeline) -> list[Handler]:
    """Return the handlers of a pipeline whose calls may wait for a batch."""
    return [one for tier in (pipeline.workers, pipeline.reasoners) for one in tier.values() if one.batch is not None]


class BatchAPIs:
    """The batch API of each model's key, made when it is first needed."""

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self._specs, self._settings = pipeline.spec.models, settings
        self._made: dict[str, BatchAPI] = {}

    def __call__(self, key: str) -> BatchAPI:
        """Return the API of a model's key."""
        if key not in self._made:
            self._made[key] = _built(self._specs[key], self._settings)
        return self._made[key]

    def close(self) -> None:
        """Close their connections."""
        for one in self._made.values():
            one.close()


def _built(spec: ModelSpec, settings: Settings) -> BatchAPI:
    if isinstance(spec, OpenAIModelSpec):
        from streams.models.providers.openai_batches import OpenAIBatches

        return OpenAIBatches(key_of(spec, settings), spec.base_url, spec.capabilities, spec.headers)
    assert isinstance(spec, ClaudeModelSpec)  # noqa: S101 - others are refused with the file
    from streams.models.providers.claude_batches import ClaudeBatches

    return ClaudeBatches(key_of(spec, settings), spec.base_url or settings.anthropic_base_url)


def run_batches(settings: Settings, kafka: KafkaConfig, pipeline: Pipeline) -> None:
    """Run the tier in this process; return after SIGTERM or SIGINT."""
    serve_web(settings.web)
    stop, coding, cluster = stop_event(), patient_codec_for(settings.schema_registry), describe_cluster(kafka)
    topic = settings.topic_prefix + DEFERRED["batch"].name
    if topic not in cluster.partitions:
        raise ServiceError(f"Kafka has no topic {topic}.", "Run `escalon topics --create` first.")
    log_topic = settings.topic_prefix + LOG_TOPIC
    create_changelogs(kafka, {log_topic: cluster.partitions[topic]}, settings.replication)
    _, letters = build_event_reader(settings, cluster, coding, BlobStore(settings.blobs))
    questions, apis = Questions(pipeline, Providers(pipeline, settings)), BatchAPIs(pipeline, settings)
    with closing(questions), closing(apis):
        BatchProcess(
            kafka=kafka,
            codec=coding,
            prefix=settings.topic_prefix,
            dead_letters=letters,
            question=questions,
            apis=apis,
            now=settings.now,
            stop=stop,
        ).run()
