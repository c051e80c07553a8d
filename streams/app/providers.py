"""From the pipeline file's models and handlers to things that can be asked."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

from streams.app.language_models import LanguageModels
from streams.app.provider_limits import check_request
from streams.app.settings import Settings
from streams.core.answer_comparison import Agree, By, Comparison
from streams.core.errors import ConfigError
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.pipeline.spec import CorrectSpec, VerifierScore
from streams.stages.askers import FunctionAsker, PromptAsker, load_function
from streams.stages.assess import Assess, Verify, example_of
from streams.stages.light import ClassifierAsker, RouterAsker, RulesAsker
from streams.stages.listen import IMAGE_DUPLICATE
from streams.stages.ports import Asker

log = logging.getLogger("escalon.providers")


class Providers:
    """Builds the askers of handlers, and what else the stages need of them."""

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self._pipeline = pipeline
        self._models = LanguageModels(pipeline, settings)

    def askers(self, handlers: Mapping[str, Handler]) -> dict[str, Asker]:
        """An asker for each handler; the image watcher is a stage of its own and has none.

        Raises ConfigError for what cannot be had, and for a request that the model's provider would not take.
        """
        asked = {n: one for n, one in handlers.items() if getattr(one.spec, "kind", None) != IMAGE_DUPLICATE}
        for handler in asked.values():
            if handler.prompting is not None:
                self._check_requests(handler)
        return {name: self._asker(handler) for name, handler in asked.items()}

    def agrees(self, handlers: Mapping[str, Handler]) -> dict[str, Agree]:
        """When two answers of each worker or reasoner are the same one. Raises ConfigError."""
        return {
            name: comparison(handler.spec.correct) for name, handler in handlers.items() if handler.tier != "listener"
        }

    def assessors(self, handlers: Mapping[str, Handler]) -> dict[str, Assess]:
        """What makes each worker's confidence. Raises ConfigError where a verifier or a function cannot be loaded."""
        return {name: assessor(handler) for name, handler in handlers.items() if handler.trust is not None}

    def check(self, handlers: Iterable[Handler]) -> None:
        """Try what can be tried without a model: functions, artifacts, parameters, schemas. Raises ConfigError."""
        for handler in handlers:
            if handler.trust is not None:
                assessor(handler)
            if handler.tier != "listener":
                comparison(handler.spec.correct)
            if handler.function is not None:
                load_function(handler.function)
            elif handler.prompting is not None:
                self._check_requests(handler)
            elif handler.spec.kind != IMAGE_DUPLICATE:
                _light(handler)

    def _check_requests(self, handler: Handler) -> None:
        key, models = f"{handler.tier}s.{handler.name}", self._pipeline.spec.models
        check_request(handler, models[handler.spec.model], key)
        if handler.fallback is not None:
            check_request(handler.fallback, models[handler.fallback.spec.model], f"{key}.fallback")

    async def load(self) -> None:
        """Load what must be in memory before messages flow; it holds up everything else in the process."""
        await self._models.load()

    async def close(self) -> None:
        """Free every model."""
        await self._models.close()

    def _asker(self, handler: Handler) -> Asker:
        if handler.function is not None:
            return FunctionAsker(handler=handler, function=load_function(handler.function))
        if handler.prompting is None:
            return _light(handler)
        shared = self._models.shared(handler.prompting.model_key)
        spec = shared.spec
        return PromptAsker(
            handler=handler,
            prompting=handler.prompting,
            language_model=shared.model,
            model_slots=shared.slots,
            lane=shared.lane,
            fallback=self._asker(handler.fallback) if handler.fallback is not None else None,
            provider=shared.provider,
            model=spec.model,
            bills_cache=spec.provider != "local",
            takes_seed=spec.provider == "local",
            priced_as=spec.priced_as or (None if spec.provider == "local" else spec.model),
        )


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
    from streams.models.verifier.artifact import Verifier

    verifier = Verifier.load(path)
    if score == "gain" and not verifier.knows_reasoner:
        what = f"{path} was trained without knowing when the reasoner is right."
        remedy = 'Label events that the reasoner answered and train it again, or set verifier_score = "correctness".'
        raise ConfigError(what, remedy, "verifier_score")
    asked = verifier.keeps if score == "gain" else verifier.scores
    return lambda task, attempt: float(asked([example_of(task, attempt)])[0])


def _light(handler: Handler) -> Asker:
    from streams.models.listeners.classifier import Classifier
    from streams.models.listeners.rules import RuleSet

    if handler.spec.kind == "router":
        from streams.models.listeners.router import Router

        return RouterAsker(handler=handler, router=Router.load(cast(Path, handler.artifact)))
    if handler.artifact is not None:
        classifier = Classifier.load(handler.artifact)
        return ClassifierAsker(handler=handler, classifier=classifier, model=classifier.embedder.name)
    return RulesAsker(handler=handler, rules=RuleSet(handler.spec.rules))
