"""Read a pipeline file and all it names into one checked, hashed `Pipeline`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from streams.core.errors import ConfigError
from streams.core.pricing import PriceList
from streams.core.routing import DUPLICATE, NONE, UNSURE, CombineRule, Route
from streams.pipeline import spec as s
from streams.pipeline.code import NO_PYTHON, AllowedPython, check_allowed
from streams.pipeline.files import PipelineFiles
from streams.pipeline.handlers import TABLES, Handler, resolve
from streams.pipeline.problems import as_config_error, known
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
    source = PipelineFiles(path.parent)
    text = source.read(path.name, "pipeline file")
    try:
        table = tomllib.loads(text)
    except UNREADABLE as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}.", "Fix the line named above.") from error
    spec = prepared(parse_spec(table))
    check_allowed(spec, python)
    tiers = {
        tier: {name: resolve(tier, name, item, spec, source) for name, item in items.items()}
        for tier, items in ((tier, getattr(spec, table)) for tier, table in TABLES.items())
    }
    routes = _routes(spec)
    _check_reasoners(spec)
    prices = _prices(spec, source)
    _check_budgets(spec, prices)
    redaction = redaction_in(spec.redaction, source)
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
    try:
        return s.PipelineSpec.model_validate(table)
    except ValidationError as error:
        raise as_config_error(error) from error


def _without_calibrations(spec: s.PipelineSpec) -> s.PipelineSpec:
    workers = {name: one.model_copy(update={"calibration": None}) for name, one in spec.workers.items()}
    return spec.model_copy(update={"workers": workers})


def _routes(spec: s.PipelineSpec) -> dict[str, Route]:
    routes = {DUPLICATE: Route("duplicate")}
    routes |= {intent: _route(intent, target, spec) for intent, target in spec.routes.items()}
    if any(listener.kind == "router" for listener in spec.listeners.values()):
        routes = _targets(spec) | routes
        if NONE not in routes:
            remedy = f'Add for example {NONE} = "ignore", or a worker or reasoner.'
            raise ConfigError("is missing: the router finds some events to be none of these.", remedy, "routes.none")
    if UNSURE not in routes:
        remedy = f'Add for example {UNSURE} = "ignore", or a worker or reasoner.'
        raise ConfigError("is missing: there may be events that no listener is sure of.", remedy, f"routes.{UNSURE}")
    return routes


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


def _check_reasoners(spec: s.PipelineSpec) -> None:
    for name, worker in spec.workers.items():
        if worker.reasoner is not None and worker.reasoner not in spec.reasoners:
            remedy = known(spec.reasoners, "[reasoners.NAME]")
            raise ConfigError(f"no reasoner is named {worker.reasoner!r}.", remedy, f"workers.{name}.reasoner")
        if worker.reasoner is None and len(spec.reasoners) > 1:
            remedy = f"Name one of {', '.join(spec.reasoners)}."
            raise ConfigError("the pipeline has several reasoners.", remedy, f"workers.{name}.reasoner")


def _check_budgets(spec: s.PipelineSpec, prices: PriceList) -> None:
    """Raise ConfigError for a call without a price, whose budget could not be kept."""
    for tier, budget in spec.budgets.items():
        if "at_limit" in budget.model_fields_set and budget.at_limit not in s.AT_LIMIT[tier]:
            what = f"{budget.at_limit!r} means nothing to a {tier}."
            choices = " or ".join(map(repr, s.AT_LIMIT[tier]))
            remedy = f"Use {choices}." if choices else "Remove the line: a listener that is not asked finds nothing."
            raise ConfigError(what, remedy, f"budgets.{tier}.at_limit")
        handlers = getattr(spec, TABLES[tier]).values()
        for key in (getattr(one, model, None) for one in handlers for model in ("model", "fallback")):
            if key is None:
                continue
            model = spec.models[key]
            priced_as = model.priced_as or ("" if model.provider == "local" else model.model)
            if prices.find(priced_as) is None:
                what = f"its calls have no price, so the {tier}s' budget cannot be kept."
                raise ConfigError(what, "Set priced_as to a model of the price list.", f"models.{key}.priced_as")


def _prices(spec: s.PipelineSpec, source: PipelineFiles) -> PriceList:
    text = source.read(spec.prices, "prices") if spec.prices else source.shipped(SHIPPED_PRICES)
    try:
        return PriceList.parse(tomllib.loads(text))
    except UNREADABLE as error:
        raise ConfigError(
            f"{spec.prices} is not valid TOML: {error}.", "Fix the line named above.", "prices"
        ) from error
