"""Read a pipeline file and all it names into one checked, hashed `Pipeline`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from streams.core.errors import ConfigError
from streams.core.messages import Tier
from streams.core.pricing import Price, PriceList
from streams.core.routing import DUPLICATE, NONE, UNSURE, CombineRule, Route
from streams.pipeline import spec as s
from streams.pipeline.code import NO_PYTHON, AllowedPython, check_allowed, refused_functions
from streams.pipeline.files import PipelineFiles
from streams.pipeline.handlers import TABLES, Handler, resolve
from streams.pipeline.model_specs import ModelSpec
from streams.pipeline.problems import Mistakes, corrected, findings, known, placed
from streams.pipeline.redaction import Redaction, redaction_in

UNREADABLE = (ValueError, RecursionError)
"""Raised by tomllib for text that is not TOML, for numbers of thousands of digits and for too deep a nesting."""
SHIPPED_PRICES = "prices-2026-11.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A pipeline ready to run. `hash` covers the file and every prompt, schema and artifact it names."""

    name: str
    path: Path
    hash: str
    spec: s.PipelineSpec
    listeners: Mapping[str, Handler]
    workers: Mapping[str, Handler]
    reasoners: Mapping[str, Handler]
    routes: Mapping[str, Route]
    combine: CombineRule
    prices: PriceList

    redaction: Redaction | None = None
    """Hides texts from the audit; None hides nothing."""

    @property
    def batches(self) -> bool:
        """True if calls of a handler may wait for a batch."""
        return any(one.batch is not None for tier in (self.workers, self.reasoners) for one in tier.values())

    def reasoner_of(self, worker: str) -> Handler | None:
        """Return the reasoner that a worker escalates to; None when the pipeline has no reasoner."""
        spec = self.workers[worker].spec
        named = spec.reasoner if isinstance(spec, s.WorkerSpec) else None
        return self.reasoners[named] if named else next(iter(self.reasoners.values()), None)


def load_pipeline(path: Path, python: AllowedPython = NO_PYTHON) -> Pipeline:
    """Read and check a pipeline file, which may name functions of the modules in `python` and no others.

    It runs none of them. Raises ConfigError with the key at fault and the remedy.
    """
    return _load(path, python, lambda spec: spec)


def load_uncalibrated(path: Path, python: AllowedPython = NO_PYTHON) -> Pipeline:
    """Load a pipeline without the workers' calibrations, in order to make new ones."""
    return _load(path, python, _without_calibrations)


def _load(path: Path, python: AllowedPython, prepared: Callable[[s.PipelineSpec], s.PipelineSpec]) -> Pipeline:
    source, mistakes = PipelineFiles(path.parent), Mistakes()
    text = source.read(path.name, "pipeline file")
    try:
        table = tomllib.loads(text)
    except UNREADABLE as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}.", "Fix the line named above.") from error
    with mistakes:
        spec, wrong = readable_part(table)
        mistakes.found += wrong
        pipeline = _resolved(path, prepared(spec), python, source, mistakes)
    mistakes.found = placed(mistakes.found, path.name, text)
    mistakes.report()
    return pipeline


def _resolved(
    path: Path, spec: s.PipelineSpec, python: AllowedPython, source: PipelineFiles, mistakes: Mistakes
) -> Pipeline:
    """Read all that the file names. What is wrong is added to `mistakes`; then the result must not be used."""
    with mistakes:
        check_allowed(spec, python)
    tiers: dict[Tier, dict[str, Handler]] = {tier: {} for tier in TABLES}
    refused = {key.rpartition(".")[0] for key in refused_functions(spec, python)}
    for tier, table in TABLES.items():
        for name, item in getattr(spec, table).items():
            if f"{table}.{name}" not in refused:  # even looking for a module may run code
                with mistakes:
                    tiers[tier][name] = resolve(tier, name, item, spec, source)
    routes, redaction, prices = _routes(spec, mistakes), None, PriceList(date.min, {})
    _check_reasoners(spec, mistakes)
    with mistakes:
        prices = _prices(spec, source)
        _check_budgets(spec, prices, mistakes)
    with mistakes:
        redaction = None if "redaction" in refused else redaction_in(spec.redaction, source)
    return Pipeline(
        name=spec.name,
        path=path,
        hash=source.digest(),
        spec=spec,
        listeners=tiers["listener"],
        workers=tiers["worker"],
        reasoners=tiers["reasoner"],
        routes=routes,
        combine=spec.verdict.combine,
        prices=prices,
        redaction=redaction,
    )


def parse_spec(table: Mapping[str, Any]) -> s.PipelineSpec:
    """Validate the file's table alone, without the files it names."""
    mistakes = Mistakes()
    spec, mistakes.found = readable_part(table)
    mistakes.report()
    return spec


def readable_part(table: Mapping[str, Any]) -> tuple[s.PipelineSpec, list[ConfigError]]:
    """Validate the file's table without the values that are wrong; return it with the mistakes.

    Raises the mistakes if too little is left.
    """
    mistakes = Mistakes()
    try:
        return s.PipelineSpec.model_validate(table), mistakes.found
    except ValidationError as error:
        mistakes.found, rest = list(findings(error)), corrected(table, error)
    try:
        return s.PipelineSpec.model_validate(rest), mistakes.found
    except ValidationError:
        mistakes.report()
        raise


def _without_calibrations(spec: s.PipelineSpec) -> s.PipelineSpec:
    workers = {name: one.model_copy(update={"calibration": None}) for name, one in spec.workers.items()}
    return spec.model_copy(update={"workers": workers})


def _routes(spec: s.PipelineSpec, mistakes: Mistakes) -> dict[str, Route]:
    routes = {DUPLICATE: Route("duplicate")}
    for intent, target in spec.routes.items():
        with mistakes:
            routes[intent] = _route(intent, target, spec)
    with mistakes:
        if any(listener.kind == "router" for listener in spec.listeners.values()):
            routes = _targets(spec) | routes
            _check_present(NONE, "the router finds some events to be none of these", spec)
        _check_present(UNSURE, "there may be events that no listener is sure of", spec)
    return routes


def _check_present(intent: str, why: str, spec: s.PipelineSpec) -> None:
    if intent not in spec.routes:
        remedy = f'Add for example {intent} = "ignore", or a worker or reasoner.'
        raise ConfigError(f"is missing: {why}.", remedy, f"routes.{intent}")


def _targets(spec: s.PipelineSpec) -> dict[str, Route]:
    """Return each handler as the route of its own name, which is what a router finds."""
    workers = {f"workers.{name}": Route("work", name) for name in spec.workers}
    return workers | {f"reasoners.{name}": Route("reason", name) for name in spec.reasoners}


def _route(intent: str, target: str, spec: s.PipelineSpec) -> Route:
    key = f"routes.{intent}"
    if target == "ignore":
        return Route("duplicate" if intent == DUPLICATE else "ignore")
    table, _, name = target.partition(".")
    if table == "workers" and name in spec.workers:
        return Route("work", name)
    if table == "reasoners" and name in spec.reasoners:
        return Route("reason", name)
    targets = [f"workers.{name}" for name in spec.workers] + [f"reasoners.{name}" for name in spec.reasoners]
    raise ConfigError(f"{target!r} is not a target.", known(["ignore", *targets], "a target"), key)


def _check_reasoners(spec: s.PipelineSpec, mistakes: Mistakes) -> None:
    for name, worker in spec.workers.items():
        with mistakes:
            if worker.reasoner is not None and worker.reasoner not in spec.reasoners:
                remedy = known(spec.reasoners, "[reasoners.NAME]")
                raise ConfigError(f"no reasoner is named {worker.reasoner!r}.", remedy, f"workers.{name}.reasoner")
            if worker.reasoner is None and len(spec.reasoners) > 1:
                remedy = f"Name one of {', '.join(spec.reasoners)}."
                raise ConfigError("the pipeline has several reasoners.", remedy, f"workers.{name}.reasoner")


def _check_budgets(spec: s.PipelineSpec, prices: PriceList, mistakes: Mistakes) -> None:
    """Note each limit that means nothing to its tier, and each call without a price, whose budget could not be kept."""
    for tier, budget in spec.budgets.items():
        with mistakes:
            if "at_limit" in budget.model_fields_set and budget.at_limit not in s.AT_LIMIT[tier]:
                what = f"{budget.at_limit!r} means nothing to a {tier}."
                choices = " or ".join(map(repr, s.AT_LIMIT[tier]))
                remedy = (
                    f"Use {choices}." if choices else "Remove the line: a listener that is not asked finds nothing."
                )
                raise ConfigError(what, remedy, f"budgets.{tier}.at_limit")
        handlers = getattr(spec, TABLES[tier]).values()
        used = dict.fromkeys(getattr(one, model, None) for one in handlers for model in ("model", "fallback"))
        for key in used:
            with mistakes:
                if key in spec.models and price_of(spec.models[key], prices) is None:
                    what = f"its calls have no price, so the {tier}s' budget cannot be kept."
                    raise ConfigError(what, "Set priced_as to a model of the price list.", f"models.{key}.priced_as")


def price_of(model: ModelSpec, prices: PriceList) -> Price | None:
    """Return the price of a model's calls; None if it has none."""
    return prices.find(model.priced_as or ("" if model.provider == "local" else model.model))


def _prices(spec: s.PipelineSpec, source: PipelineFiles) -> PriceList:
    text = source.read(spec.prices, "prices") if spec.prices else source.shipped(SHIPPED_PRICES)
    try:
        return PriceList.parse(tomllib.loads(text))
    except UNREADABLE as error:
        raise ConfigError(
            f"{spec.prices} is not valid TOML: {error}.", "Fix the line named above.", "prices"
        ) from error
