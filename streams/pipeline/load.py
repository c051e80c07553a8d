"""Read a pipeline file and all it names into one checked, hashed `Pipeline`."""

from __future__ import annotations

import difflib
import importlib.util
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from jsonschema import SchemaError
from pydantic import BaseModel, ValidationError

from streams.core.contract import Contract, check_schema
from streams.core.errors import ConfigError
from streams.core.fingerprint import digest
from streams.core.messages import Tier
from streams.core.pricing import PriceList
from streams.core.routing import DUPLICATE, UNSURE, CombineRule, Route
from streams.pipeline import spec as s
from streams.pipeline.template import PromptTemplate

SHIPPED_PRICES = "prices-2026-11.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompting:
    """What a language-model handler asks with."""

    model_key: str
    template: PromptTemplate
    contract: Contract
    knowledge: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One listener, worker or reasoner, resolved. `version` hashes what determines its answer."""

    name: str
    tier: Tier
    spec: Any
    version: str
    prompting: Prompting | None = None
    artifact: Path | None = None

    @property
    def function(self) -> str | None:
        """The dotted path of a Python handler."""
        return getattr(self.spec, "handler", None)


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

    def reasoner_of(self, worker: str) -> Handler | None:
        """Who takes over from a worker; None when the pipeline has no reasoner."""
        named = self.workers[worker].spec.reasoner
        return self.reasoners[named] if named else next(iter(self.reasoners.values()), None)


def load_pipeline(path: Path) -> Pipeline:
    """Read and check a pipeline file. Raises ConfigError that names the key at fault and the remedy."""
    source = _Files(path.parent)
    text = source.read(path.name, "pipeline file")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.name} is no valid TOML: {error}.", "Mend the line it names.") from error
    spec = parse_spec(table)
    tiers = {
        tier: {name: _handler(tier, name, item, spec, source) for name, item in items.items()}
        for tier, items in _items(spec)
    }
    routes = _routes(spec)
    _check_reasoners(spec)
    prices = _prices(spec, source)
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
    )


def parse_spec(table: Mapping[str, Any]) -> s.PipelineSpec:
    """Validate the file's table alone, without the files it names."""
    try:
        return s.PipelineSpec.model_validate(table)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors(include_url=False)]
        first = problems[0]
        more = "".join(f"\n{problem}" for problem in problems[1:])
        raise ConfigError(first.what, f"{first.remedy}{more}", first.key) from error


class _Files:
    """Every file a pipeline is made of, read once and remembered for the hash."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._seen: dict[str, bytes] = {}

    def read(self, name: str, key: str) -> str:
        try:
            return self.read_bytes(name, key).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{name} is not UTF-8.", "Save it as UTF-8.", key) from error

    def read_bytes(self, name: str, key: str) -> bytes:
        path = self.directory / name
        try:
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            remedy = f"Give a path relative to {self.directory} to a file that can be read."
            raise ConfigError(f"{name} cannot be read ({getattr(error, 'strerror', error)}).", remedy, key) from error
        return self.remember(name, data)

    def remember(self, name: str, data: bytes) -> bytes:
        self._seen[name] = data
        return data

    def shipped(self, name: str) -> str:
        text = (package_files("streams.pipeline") / name).read_text("utf-8")
        self._seen[f"escalon:{name}"] = text.encode()
        return text

    def digest(self) -> str:
        return digest(*(part for name in sorted(self._seen) for part in (name, self._seen[name])))


_TIERS: tuple[tuple[Tier, str], ...] = (
    ("listener", "listeners"),
    ("worker", "workers"),
    ("reasoner", "reasoners"),
)


def _items(spec: s.PipelineSpec) -> list[tuple[Tier, Mapping[str, Any]]]:
    return [(tier, getattr(spec, table)) for tier, table in _TIERS]


def _handler(tier: Tier, name: str, item: Any, spec: s.PipelineSpec, source: _Files) -> Handler:
    key = f"{dict(_TIERS)[tier]}.{name}"
    prompting = _prompting(key, item, spec, source) if getattr(item, "model", None) else None
    artifact = getattr(item, "artifact", None)
    determines: list[str | bytes] = [tier, _version_options(item)]
    if prompting is not None:
        model = spec.models[prompting.model_key].model
        determines += [
            model,
            prompting.template.source,
            json.dumps(prompting.contract.wire_schema),  # in the file's order, for models answer in it
            prompting.knowledge,
        ]
    if artifact is not None:
        determines.append(source.read_bytes(artifact, f"{key}.artifact"))
    if getattr(item, "handler", None):
        determines.append(_function_source(item.handler, key, source))
    return Handler(
        name=name,
        tier=tier,
        spec=item,
        version=digest(*determines),
        prompting=prompting,
        artifact=source.directory / artifact if artifact else None,
    )


# What of a handler's options changes its answers; the rest leaves its cache valid.
_DETERMINING = (
    "kind", "handler", "rules", "labels", "max_distance", "refusal", "refusal_token", "confidence", "max_tokens",
    "parameters", "inputs",
)  # fmt: skip


def _version_options(item: BaseModel) -> str:
    # Unsorted and untrimmed: the order of rules decides which one is found, and a space is part of a pattern.
    return json.dumps(item.model_dump(mode="json", include=set(_DETERMINING)))


def _function_source(path: str, key: str, source: _Files) -> bytes:
    """The bytes of the module a Python handler lives in, so that editing it makes a new version.

    It is looked for beside the pipeline file, then where Python looks.
    """
    module = path.partition(":")[0]
    beside = module.replace(".", "/") + ".py"
    if (source.directory / beside).is_file():
        return source.read_bytes(beside, f"{key}.handler")
    try:
        found = importlib.util.find_spec(module)
    except Exception:  # finding a module inside a package runs the package
        found = None
    if found is None or found.origin is None or not found.has_location:
        remedy = f"Put it beside the pipeline file, in {source.directory}, or install its package."
        raise ConfigError(f"the module {module} cannot be found.", remedy, f"{key}.handler")
    return source.remember(f"module:{module}", Path(found.origin).read_bytes())


def _prompting(key: str, item: Any, spec: s.PipelineSpec, source: _Files) -> Prompting:
    if item.model not in spec.models:
        raise ConfigError(f"no model is named {item.model!r}.", _known(spec.models, "[models.NAME]"), f"{key}.model")
    if item.confidence == "logprob" and spec.models[item.model].provider == "claude":
        remedy = 'Use "verbalized", or a local model.'
        raise ConfigError("Claude gives no log-probabilities.", remedy, f"{key}.confidence")
    task = getattr(item, "task", None)
    labels = getattr(item, "labels", ())
    if item.prompt:
        template = PromptTemplate(source.read(item.prompt, f"{key}.prompt"), item.prompt, f"{key}.prompt")
    else:
        shipped = f"tasks/{task or 'label'}.j2"
        template = PromptTemplate(source.shipped(shipped), shipped, f"{key}.prompt")
    contract = Contract(
        schema=_schema(key, item, task, labels, source),
        refusal=item.refusal,
        token=item.refusal_token,
        verbalized=item.confidence == "verbalized",
    )
    if contract.schema is None and contract.refusal == "field":
        remedy = 'Give a schema, or set refusal = "token" or "none".'
        raise ConfigError('refusal = "field" needs a schema.', remedy, f"{key}.refusal")
    knowledge = source.read(item.knowledge, f"{key}.knowledge") if item.knowledge else ""
    return Prompting(
        model_key=item.model, template=template, contract=contract, knowledge=knowledge, labels=tuple(labels)
    )


def _schema(key: str, item: Any, task: str | None, labels: tuple[str, ...], source: _Files) -> dict[str, Any] | None:
    if labels:
        return {"type": "string", "enum": list(labels)}
    if item.output_schema is None:
        return json.loads(source.shipped(f"tasks/{task}.json")) if task else None
    at = f"{key}.schema"
    try:
        schema = json.loads(source.read(item.output_schema, at))
        check_schema(schema)
    except ValueError as error:
        raise ConfigError(f"{item.output_schema} is no JSON: {error}.", "Mend the file.", at) from error
    except SchemaError as error:
        remedy = "Write a JSON Schema of draft 2020-12."
        raise ConfigError(f"{item.output_schema} is no JSON Schema: {error.message}.", remedy, at) from error
    return dict(schema)


def _routes(spec: s.PipelineSpec) -> dict[str, Route]:
    routes = {intent: _route(intent, target, spec) for intent, target in spec.routes.items()}
    if UNSURE not in routes:
        remedy = f'Add for example {UNSURE} = "ignore", or a worker or reasoner.'
        raise ConfigError("says nothing of events no listener is sure about.", remedy, f"routes.{UNSURE}")
    return routes


def _route(intent: str, target: str, spec: s.PipelineSpec) -> Route:
    key = f"routes.{intent}"
    if intent == DUPLICATE:
        raise ConfigError("duplicates need no route.", "Remove the line.", key)
    if target == "ignore":
        return Route("ignore")
    table, _, name = target.partition(".")
    if table == "workers" and name in spec.workers:
        return Route("work", name)
    if table == "reasoners" and name in spec.reasoners:
        return Route("reason", name)
    known = [f"workers.{name}" for name in spec.workers] + [f"reasoners.{name}" for name in spec.reasoners]
    raise ConfigError(f"{target!r} leads nowhere.", _known(["ignore", *known], "a target"), key)


def _check_reasoners(spec: s.PipelineSpec) -> None:
    for name, worker in spec.workers.items():
        if worker.reasoner is not None and worker.reasoner not in spec.reasoners:
            remedy = _known(spec.reasoners, "[reasoners.NAME]")
            raise ConfigError(f"no reasoner is named {worker.reasoner!r}.", remedy, f"workers.{name}.reasoner")
        if worker.reasoner is None and len(spec.reasoners) > 1:
            remedy = f"Name one of {', '.join(spec.reasoners)}."
            raise ConfigError("the pipeline has several reasoners.", remedy, f"workers.{name}.reasoner")


def _prices(spec: s.PipelineSpec, source: _Files) -> PriceList:
    text = source.read(spec.prices, "prices") if spec.prices else source.shipped(SHIPPED_PRICES)
    try:
        return PriceList.parse(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{spec.prices} is no valid TOML: {error}.", "Mend the line it names.", "prices") from error


_REMEDIES = {
    "missing": "Add it.",
    "union_tag_not_found": "Add it; docs/pipeline.md lists the kinds.",
    "too_short": "Give as many.",
}


def _problem(error: Any) -> ConfigError:
    location = [str(part) for part in error["loc"]]
    if location and location[0] in ("listeners", "models") and len(location) > 2:
        del location[2]  # the union's tag, which is no key of the file
    if location and location[-1] == "[key]":
        location.pop()  # pydantic's mark for a table's name that is wrong
    if error["type"].startswith("union_tag"):
        location.append(str(error["ctx"]["discriminator"]).strip("'"))
    remedy = _REMEDIES.get(error["type"], "")
    if error["type"] == "extra_forbidden":
        return ConfigError("unknown key.", _closest(location[-1]), ".".join(location))
    what = str(error["msg"]).removeprefix("Value error, ")
    return ConfigError(f"{what}.", remedy, ".".join(location))


def _closest(key: str) -> str:
    models = [value for value in vars(s).values() if isinstance(value, type) and issubclass(value, BaseModel)]
    known = {field.alias or name for model in models for name, field in model.model_fields.items()}
    near = difflib.get_close_matches(key, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else "Remove it, or see docs/pipeline.md for the keys there are."


def _known(names: Any, what: str) -> str:
    listed = ", ".join(names)
    return f"Use one of: {listed}." if listed else f"Add {what} to the file."
