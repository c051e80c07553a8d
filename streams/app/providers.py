"""Builds the callers of the pipeline file's handlers."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast, get_args

from streams.adapters.blobs import BlobStore
from streams.app.language_models import LanguageModels, SharedModel
from streams.app.provider_limits import check_request
from streams.app.settings import Settings
from streams.calling.caller import Backend, Callee, Caller
from streams.calling.chain import CallServices, LimitedBackend, chain
from streams.calling.classifiers import ClassifierBackend, RouterBackend, RulesBackend
from streams.calling.concurrency import Batched
from streams.calling.confidence import ConfidenceScorer, Verify, example_of
from streams.calling.prompted import PromptedModel
from streams.calling.python_function import PythonFunction, load_function
from streams.core.answer_comparison import Agree, By, Comparison
from streams.core.errors import ConfigError
from streams.core.stated_schema import unfenced
from streams.models.listeners.image import MAX_BYTES
from streams.models.listeners.image_pool import ImagePool
from streams.models.listeners.shown_image import limits_of
from streams.pipeline.dialects import ALL_REQUIRED
from streams.pipeline.handlers import Handler, Prompting
from streams.pipeline.load import Pipeline
from streams.pipeline.model_specs import ModelSpec
from streams.pipeline.problems import Mistakes
from streams.pipeline.spec import CorrectSpec, ImageDuplicateListener, RouterListener, RulesListener, VerifierScore

log = logging.getLogger("escalon.providers")


class Providers:
    """Builds the callers of handlers, and what else the stages need of them."""

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self._pipeline = pipeline
        self.models = LanguageModels(pipeline, settings)
        self._settings = settings

    @cached_property
    def images(self) -> ImagePool:
        """The images in the blob store: one pool for all that look at them, so that its limits hold for a process."""
        return ImagePool(partial(BlobStore(self._settings.blobs).get, most=MAX_BYTES + 1))

    def callers(self, handlers: Mapping[str, Handler], services: CallServices) -> dict[str, Caller]:
        """Return a caller for each handler; the image watcher is a stage of its own and has none.

        Raises ConfigError for what is missing, and for a request that the model's provider would not take.
        """
        called = {name: one for name, one in handlers.items() if not isinstance(one.spec, ImageDuplicateListener)}
        for handler in called.values():
            if handler.prompting is not None:
                self._check_requests(handler)
        return {name: self._caller(handler, services) for name, handler in called.items()}

    def _caller(self, handler: Handler, services: CallServices) -> Caller:
        other = handler.fallback
        return chain(
            self.backend(handler),
            services,
            samples=handler.confidence.samples if handler.confidence else 1,
            agree=comparison(handler.correct),
            other=chain(self.backend(other), services, stored=False) if other is not None else None,
        )

    def scorers(self, handlers: Mapping[str, Handler]) -> dict[str, ConfidenceScorer]:
        """Return each worker's scorer. Raises ConfigError if a verifier or a function cannot be loaded."""
        return {name: scorer(handler) for name, handler in handlers.items() if handler.confidence is not None}

    def check(self, handlers: Iterable[Handler]) -> None:
        """Try what can be tried without a model: functions, artifacts, parameters, schemas. Raises ConfigError."""
        mistakes = Mistakes()
        for handler in handlers:
            with mistakes:
                self._check(handler)
        mistakes.report()

    def _check(self, handler: Handler) -> None:
        if handler.confidence is not None:
            scorer(handler)
        comparison(handler.correct)
        if handler.function is not None:
            load_function(handler.function)
        elif handler.prompting is not None:
            self._check_requests(handler)
        elif not isinstance(handler.spec, ImageDuplicateListener):
            _classifier(handler)

    def _check_requests(self, handler: Handler) -> None:
        key, models = f"{handler.tier}s.{handler.name}", self._pipeline.spec.models
        check_request(handler, models[handler.prompts.model or ""], key)
        if handler.fallback is not None:
            check_request(handler.fallback, models[handler.fallback.prompts.model or ""], f"{key}.fallback")

    async def load(self) -> None:
        """Load what must be in memory before messages flow; it blocks everything else in the process."""
        await self.models.load()

    async def close(self) -> None:
        """Free every model."""
        await self.models.close()

    def backend(self, handler: Handler) -> LimitedBackend:
        """Return the backend of a handler. Raises ConfigError for what is missing."""
        slots = asyncio.Semaphore(handler.spec.concurrency)
        if handler.function is not None:
            callee = Callee(handler=handler, operation="function", provider="python", model=handler.function, free=True)
            function = PythonFunction(callee=callee, function=load_function(handler.function))
            return LimitedBackend(backend=function, slots=(slots,))
        if handler.prompting is None:
            return LimitedBackend(backend=_classifier(handler))
        shared, seeing = self.models.shared(handler.prompting.model_key), handler.prompting.sees_images
        model = PromptedModel(
            callee=_prompted(handler, shared),
            prompting=handler.prompting,
            language_model=shared.model,
            takes_seed=shared.is_local or (shared.spec.provider == "openai" and "seed" in handler.prompts.parameters),
            asks_logprobs=shared.spec.provider == "openai",
            readable=_readable(handler.prompting, shared.spec),
            show=partial(self.images.shown, limits=limits_of(shared.spec.provider)) if seeing else None,
        )
        return LimitedBackend(backend=model, limits=shared.limits, slots=(slots, shared.slots))

    def callees(self, handlers: Mapping[str, Handler]) -> Iterator[Callee]:
        """Yield each model that handlers call, fallbacks included."""
        for own in handlers.values():
            for one in (own, own.fallback):
                if one is not None and one.prompting is not None:
                    yield _prompted(one, self.models.shared(one.prompting.model_key))


def _prompted(handler: Handler, shared: SharedModel) -> Callee:
    seeing = handler.prompting is not None and handler.prompting.sees_images
    return Callee(
        handler=handler,
        operation="chat",
        provider=shared.provider,
        model=shared.spec.model,
        priced_as=shared.spec.priced_as or (None if shared.is_local else shared.spec.model),
        bills_cache=not shared.is_local,
        image_tokens=limits_of(shared.spec.provider).tokens if seeing else 0,
        caches_unasked=shared.spec.provider == "openai",
        answered_within=partial(shared.limits.answered, handler.name),
    )


def _readable(prompting: Prompting, spec: ModelSpec) -> Callable[[str, Mapping[str, Any] | None], str] | None:
    """Return the function that brings a model's replies into the contract's form; None if they have it."""
    if prompting.stated:
        return lambda text, _: unfenced(text)
    if spec.provider == "openai" and spec.dialect in ALL_REQUIRED:
        from streams.models.providers.openai_schema import nulls_absent

        return nulls_absent
    return None


def comparison(correct: CorrectSpec) -> Agree:
    """Return the rule, or the function, that compares a handler's answer with a label. Raises ConfigError."""
    if correct.by in get_args(By):
        return Comparison(cast(By, correct.by), correct.fields, correct.tolerance)
    function = load_function(correct.by)
    if inspect.iscoroutinefunction(function):
        raise ConfigError(f"{correct.by} is asynchronous.", "Give a plain function of two values.", "correct")
    return partial(_agrees, function)


def _agrees(function: Agree, answer: Any, label: Any) -> bool:
    """True if a function says that both agree; values it cannot handle do not."""
    try:
        return bool(function(answer, label))
    except Exception:
        log.exception("comparing %.200r with %.200r failed, so they count as different", answer, label)
        return False


def scorer(handler: Handler) -> ConfidenceScorer:
    """Return the scorer of a worker's confidence. Raises ConfigError."""
    config = handler.confidence
    if config is None:
        raise ConfigError(f"{handler.name} is not a worker.", "Name one of the pipeline's workers.", "handler")
    return ConfidenceScorer(
        config=config,
        verify=_verify(config.verifier, config.verifier_score) if config.verifier else None,
        functions={path: load_function(path) for path in config.functions},
        timeout=handler.spec.timeout,
    )


def _verify(path: Path, score: VerifierScore) -> Verify:
    from streams.models.verifier.artifact import Verifier

    verifier = Verifier.load(path)
    if score == "gain" and not verifier.knows_reasoner:
        what = f"{path} was trained without knowing when the reasoner is right."
        remedy = 'Label events that the reasoner answered and train it again, or set verifier_score = "correctness".'
        raise ConfigError(what, remedy, "verifier_score")
    asked = verifier.keeps if score == "gain" else verifier.scores
    return lambda task, attempt: float(asked([example_of(task, attempt)])[0])


def _classifier(handler: Handler) -> Backend:
    """Return the backend of a router, of rules or of a classifier. Each imports its own, because rules use no NumPy."""
    named = partial(Callee, handler=handler, operation="classify", provider="escalon", free=True)
    if isinstance(handler.spec, RouterListener):
        from streams.models.listeners.router import Router

        return RouterBackend(
            callee=named(model="router", instant=True), router=Router.load(cast(Path, handler.artifact))
        )
    if isinstance(handler.spec, RulesListener):
        from streams.models.listeners.rules import RuleSet

        return RulesBackend(callee=named(model="re", instant=True), rules=RuleSet(handler.spec.rules))
    from streams.models.listeners.classifier import Classifier

    classifier = Classifier.load(cast(Path, handler.artifact))
    return ClassifierBackend(callee=named(model=classifier.embedder.name), predict=Batched(classifier.predict))
