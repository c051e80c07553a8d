"""The language models of a pipeline file, each built at most once in a process."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path

from streams.app.clouds import check_cloud, cloud_claude
from streams.app.settings import Settings
from streams.calling.limited import ModelLimits
from streams.core.address import is_loopback
from streams.core.errors import ConfigError
from streams.core.provider_names import CLOUDS
from streams.core.rate import RateLimit
from streams.core.retry_budget import RetryBudget
from streams.models.providers.protocol import LanguageModel, Loadable
from streams.pipeline.load import Pipeline
from streams.pipeline.model_specs import ClaudeModelSpec, LocalModelSpec, OpenAIModelSpec, RecordedModelSpec
from streams.telemetry.metrics import LimitMetrics

MAX_CALLS = 256
"""Calls of one remote model at once in one process; each handler's concurrency is the finer limit."""

NO_KEY = "none"
"""Sent to a server on this machine where no key is set."""

Spec = ClaudeModelSpec | OpenAIModelSpec | LocalModelSpec | RecordedModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedModel:
    """One model of the file, shared by all handlers that ask it."""

    spec: Spec
    model: LanguageModel
    slots: asyncio.Semaphore
    limits: ModelLimits

    @property
    def provider(self) -> str:
        at = self.spec.at if isinstance(self.spec, ClaudeModelSpec) else None
        return CLOUDS[at] if at else _PROVIDER_NAMES[self.spec.provider]

    @property
    def is_local(self) -> bool:
        """True if it runs in this process."""
        return self.spec.provider == "local"


class LanguageModels:
    """Builds a model when a handler of this process first needs it."""

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._shared: dict[str, SharedModel] = {}
        self._clients: dict[object, LanguageModel] = {}

    def shared(self, key: str) -> SharedModel:
        """Return the model of a key in the file. Raises ConfigError."""
        if key not in self._shared:
            spec = self._pipeline.spec.models[key]
            slots = asyncio.Semaphore(spec.parallel if isinstance(spec, LocalModelSpec) else MAX_CALLS)
            self._shared[key] = SharedModel(spec=spec, model=self._build(spec), slots=slots, limits=_limits(key, spec))
        return self._shared[key]

    async def load(self) -> None:
        """Load what must be in memory before messages flow."""
        for one in self._shared.values():
            if isinstance(one.model, Loadable):
                await one.model.load()

    async def close(self) -> None:
        """Free every model."""
        for one in self._shared.values():
            await one.model.close()

    def _build(self, spec: Spec) -> LanguageModel:
        from streams.models.providers.cassette import RecordedModel, RecordingModel

        cassette = self._settings.cassette
        if cassette is not None:
            return RecordedModel(cassette)
        directory = self._pipeline.path.parent
        if isinstance(spec, RecordedModelSpec):
            model: LanguageModel = RecordedModel(directory / spec.cassette)
        elif isinstance(spec, LocalModelSpec):
            model = _local(spec, directory, self._settings)
        elif isinstance(spec, OpenAIModelSpec):
            model = self._openai(spec)
        else:
            model = self._claude(spec)
        record = self._settings.record_cassette
        return RecordingModel(model, record) if record is not None else model

    def _claude(self, spec: ClaudeModelSpec) -> LanguageModel:
        """Return the client for the model's address and key, which all models with the same share."""
        if spec.at is not None:
            return self._cloud(spec)
        from streams.models.providers.claude import ClaudeModel

        address = spec.base_url or self._settings.anthropic_base_url
        client = (spec.provider, address, spec.api_key_env)
        if client not in self._clients:
            self._clients[client] = ClaudeModel(key_of(spec, self._settings), address)
        return self._clients[client]

    def _cloud(self, spec: ClaudeModelSpec) -> LanguageModel:
        """Return the client for the model's cloud and place, which all models there share."""
        client = (spec.provider, spec.at, spec.region, spec.project, spec.resource, spec.base_url, spec.api_key_env)
        if client not in self._clients:
            self._clients[client] = cloud_claude(spec, self._settings)
        return self._clients[client]

    def _openai(self, spec: OpenAIModelSpec) -> LanguageModel:
        """Return the client for the model's server, which all models with the same settings share."""
        key = key_of(spec, self._settings)
        from streams.models.providers.openai_chat import OpenAIModel

        headers = tuple(sorted(spec.headers.items()))
        client = (spec.provider, spec.base_url, spec.api_key_env, headers, spec.dialect, spec.capabilities)
        if client not in self._clients:
            self._clients[client] = OpenAIModel(
                key, spec.base_url, dialect=spec.dialect, capabilities=spec.capabilities, headers=spec.headers
            )
        return self._clients[client]


def _limits(key: str, spec: Spec) -> ModelLimits:
    rates = spec.requests_per_minute, spec.input_tokens_per_minute, spec.output_tokens_per_minute
    return ModelLimits(
        model_key=key,
        timer=time.perf_counter,
        sleep=asyncio.sleep,
        limit=RateLimit.of(*rates),
        retries=RetryBudget(spec.retry_budget),
        observer=LimitMetrics(),
    )


def lacking(pipeline: Pipeline, settings: Settings) -> list[ConfigError]:
    """Return what the file's models lack on this machine, weights or a key, each with the remedy."""
    found: dict[str, ConfigError] = {}
    for spec in pipeline.spec.models.values() if settings.cassette is None else ():
        try:
            if isinstance(spec, ClaudeModelSpec) and spec.at is not None:
                check_cloud(spec, settings)
            elif spec.provider in ("claude", "openai"):
                key_of(spec, settings)
            elif spec.provider == "local":
                _weights(spec, pipeline.path.parent, settings)
        except ConfigError as error:
            found[str(error)] = error
    return list(found.values())


def key_of(spec: ClaudeModelSpec | OpenAIModelSpec, settings: Settings) -> str:
    """Return the key. A server on this machine needs none. Raises ConfigError if it or the SDK is missing."""
    claude = spec.provider == "claude"
    if not claude and importlib.util.find_spec("openai") is None:
        raise ConfigError("the package openai is not installed.", "Install escalon[openai].", "models")
    name = spec.api_key_env or ("ANTHROPIC_API_KEY" if claude else "OPENAI_API_KEY")
    own = settings.anthropic_api_key if claude else settings.openai_api_key
    key = own if spec.api_key_env is None else settings.secret(name)
    if key is None:
        if is_loopback(spec.base_url or (settings.anthropic_base_url if claude else None) or ""):
            return NO_KEY
        remedy = "Set it, or choose models that need no key (provider local or recorded)."
        raise ConfigError(f"no key is set for {'Claude' if claude else spec.model}.", remedy, name)
    return key


def _local(spec: LocalModelSpec, directory: Path, settings: Settings) -> LanguageModel:
    from streams.models.providers.local import LocalModel

    path = _weights(spec, directory, settings)
    return LocalModel(path, threads=spec.threads, context=spec.context, parallel=spec.parallel)


def _weights(spec: LocalModelSpec, directory: Path, settings: Settings) -> Path:
    from streams.models.weights.store import path_of

    if not spec.model.endswith(".gguf"):
        return path_of(spec.model, settings.weights_dir)
    path = directory / spec.model
    if not path.is_file():
        raise ConfigError(f"there is no file {path}.", "Put it there, or name another.", "models")
    return path


# As OpenTelemetry's gen_ai.provider.name has them, where it does.
_PROVIDER_NAMES = {"claude": "anthropic", "openai": "openai", "local": "llama.cpp", "recorded": "recorded"}
