"""From the pipeline file's models and handlers to things that can be asked."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

from streams.app.settings import Settings
from streams.core.comparison import Agree, By, Comparison
from streams.core.errors import ConfigError, ModelError
from streams.models.protocol import LanguageModel, Loadable, ModelRequest
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.pipeline.spec import ClaudeModelSpec, CorrectSpec, LocalModelSpec, RecordedModelSpec, VerifierScore
from streams.stages.askers import FunctionAsker, PromptAsker, load_function
from streams.stages.assess import Assess, Verify, example_of
from streams.stages.light import ClassifierAsker, RouterAsker, RulesAsker
from streams.stages.listen import IMAGE_DUPLICATE
from streams.stages.ports import Asker

MAX_CALLS = 256
"""Calls of one remote model at once in one process; each handler's concurrency is the finer limit."""

log = logging.getLogger("escalon.providers")
Spec = ClaudeModelSpec | LocalModelSpec | RecordedModelSpec


class Providers:
    """Builds each model at most once, when a handler of this process first needs it."""

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._models: dict[str, LanguageModel] = {}
        self._slots: dict[str, asyncio.Semaphore] = {}

    def askers(self, handlers: Mapping[str, Handler]) -> dict[str, Asker]:
        """An asker for each handler; the image watcher is a stage of its own and has none."""
        return {
            name: self._asker(handler)
            for name, handler in handlers.items()
            if getattr(handler.spec, "kind", None) != IMAGE_DUPLICATE
        }

    def agrees(self, handlers: Mapping[str, Handler]) -> dict[str, Agree]:
        """When two answers of each worker or reasoner are the same one. Raises ConfigError."""
        return {
            name: comparison(handler.spec.correct) for name, handler in handlers.items() if handler.tier != "listener"
        }

    def assessors(self, handlers: Mapping[str, Handler]) -> dict[str, Assess]:
        """What makes each worker's confidence. Raises ConfigError where a verifier or a function cannot be loaded."""
        return {name: assessor(handler) for name, handler in handlers.items() if handler.trust is not None}

    def check(self, handlers: Iterable[Handler]) -> None:
        """Try what can be tried without a model: functions, artifacts, patterns, parameters. Raises ConfigError."""
        for handler in handlers:
            if handler.trust is not None:
                assessor(handler)
            if handler.tier != "listener":
                comparison(handler.spec.correct)
            if handler.function is not None:
                load_function(handler.function)
            elif handler.prompting is not None:
                _check_request(handler, self._pipeline.spec.models[handler.prompting.model_key])
            elif handler.spec.kind != IMAGE_DUPLICATE:
                _light(handler)

    async def load(self) -> None:
        """Load what must be in memory before messages flow; it holds up everything else in the process."""
        for model in self._models.values():
            if isinstance(model, Loadable):
                await model.load()

    async def close(self) -> None:
        """Free every model."""
        for model in self._models.values():
            await model.close()

    def _asker(self, handler: Handler) -> Asker:
        if handler.function is not None:
            return FunctionAsker(handler=handler, function=load_function(handler.function))
        if handler.prompting is None:
            return _light(handler)
        spec = self._pipeline.spec.models[handler.prompting.model_key]
        return PromptAsker(
            handler=handler,
            prompting=handler.prompting,
            language_model=self._model(handler.prompting.model_key, spec),
            model_slots=self._slots[handler.prompting.model_key],
            provider=_PROVIDER_NAMES[spec.provider],
            model=spec.model,
            bills_cache=spec.provider != "local",
            takes_seed=spec.provider == "local",
            priced_as=spec.priced_as or (None if spec.provider == "local" else spec.model),
        )

    def _model(self, key: str, spec: Spec) -> LanguageModel:
        if key not in self._models:
            self._models[key] = self._build(spec)
            self._slots[key] = asyncio.Semaphore(getattr(spec, "parallel", MAX_CALLS))
        return self._models[key]

    def _build(self, spec: Spec) -> LanguageModel:
        from streams.models.recorded import RecordedModel, RecordingModel

        cassette = self._settings.cassette
        if cassette is not None:
            return RecordedModel(cassette)
        model = _BUILDERS[spec.provider](spec, self._pipeline.path.parent, self._settings)
        record = self._settings.record_cassette
        return RecordingModel(model, record) if record is not None else model


def _check_request(handler: Handler, spec: Spec) -> None:
    """Make the request a handler would make, as far as its provider would take it."""
    from streams.models.claude import message_arguments
    from streams.models.local_request import completion_body

    contract = handler.prompting.contract if handler.prompting else None
    request = ModelRequest(
        model=spec.model,
        system="",
        prompt="-",
        max_tokens=handler.spec.max_tokens,
        schema=contract.wire_schema if contract else None,
        parameters=handler.spec.parameters,
    )
    try:
        if spec.provider == "claude":
            message_arguments(request)
        elif spec.provider == "local":
            completion_body(request)
    except (ModelError, ConfigError) as error:
        key = f"{handler.tier}s.{handler.name}"
        raise ConfigError(f"its model would not take the request: {error.what}", error.remedy, key) from error


def comparison(correct: CorrectSpec) -> Agree:
    """The rule, or the function, by which a handler's answer is compared with a label."""
    if correct.by in get_args(By):
        return Comparison(cast(By, correct.by), correct.fields, correct.tolerance)
    function = load_function(correct.by)
    if inspect.iscoroutinefunction(function):
        raise ConfigError(f"{correct.by} is asynchronous.", "Give a plain function of two values.", "correct")
    return partial(_agrees, function)


def _agrees(function: Agree, answer: Any, label: Any) -> bool:
    """Whether a function says that both agree; values it cannot handle do not."""
    try:
        return bool(function(answer, label))
    except Exception:
        log.exception("comparing %.200r with %.200r failed, so they count as different", answer, label)
        return False


def assessor(handler: Handler) -> Assess:
    """What makes a worker's confidence."""
    trust = handler.trust
    if trust is None:
        raise ConfigError(f"{handler.name} is no worker.", "Name one of the pipeline's workers.", "handler")
    return Assess(
        trust=trust,
        verify=_verify(trust.verifier, trust.verifier_score) if trust.verifier else None,
        functions={path: load_function(path) for path in trust.functions},
        timeout=handler.spec.timeout,
    )


def _verify(path: Path, score: VerifierScore) -> Verify:
    from streams.models.verifier import Verifier

    verifier = Verifier.load(path)
    if score == "gain" and not verifier.knows_reasoner:
        what = f"{path} was trained without knowing when the reasoner is right."
        remedy = 'Label events that the reasoner answered and train it again, or set verifier_score = "correctness".'
        raise ConfigError(what, remedy, "verifier_score")
    asked = verifier.keeps if score == "gain" else verifier.scores
    return lambda task, attempt: float(asked([example_of(task, attempt)])[0])


def _light(handler: Handler) -> Asker:
    from streams.models.classifier import Classifier
    from streams.models.rules import RuleSet

    if handler.spec.kind == "router":
        from streams.models.router import Router

        return RouterAsker(handler=handler, router=Router.load(cast(Path, handler.artifact)))
    if handler.artifact is not None:
        classifier = Classifier.load(handler.artifact)
        return ClassifierAsker(handler=handler, classifier=classifier, model=classifier.embedder.name)
    return RulesAsker(handler=handler, rules=RuleSet(handler.spec.rules))


def _claude(spec: Any, _: Path, settings: Settings) -> LanguageModel:
    from streams.models.claude import ClaudeModel

    if settings.anthropic_api_key is None:
        remedy = "Set it, or choose models that need no key (provider local or recorded)."
        raise ConfigError("no key is set for Claude.", remedy, "ANTHROPIC_API_KEY")
    return ClaudeModel(settings.anthropic_api_key, spec.base_url or settings.anthropic_base_url)


def _local(spec: Any, directory: Path, settings: Settings) -> LanguageModel:
    from streams.models.local import LocalModel
    from streams.models.weights import path_of

    file = directory / spec.model
    path = file if spec.model.endswith(".gguf") else path_of(spec.model, settings.weights_dir)
    if not path.is_file():
        raise ConfigError(
            f"the weights {spec.model} are not there.", f"Run `escalon models pull {spec.model}`.", "models"
        )
    return LocalModel(path, threads=spec.threads, context=spec.context, parallel=spec.parallel)


def _recorded(spec: Any, directory: Path, _: Settings) -> LanguageModel:
    from streams.models.recorded import RecordedModel

    return RecordedModel(directory / spec.cassette)


_BUILDERS: dict[str, Callable[[Any, Path, Settings], LanguageModel]] = {
    "claude": _claude,
    "local": _local,
    "recorded": _recorded,
}
# As OpenTelemetry's gen_ai.provider.name has them, where it does.
_PROVIDER_NAMES = {"claude": "anthropic", "local": "llama.cpp", "recorded": "recorded"}
