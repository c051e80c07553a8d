"""Handlers resolved: their prompts, schemas and artifacts read, and the version that hashes what decides answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streams.core.contract import Contract, check_schema
from streams.core.errors import ConfigError
from streams.core.fingerprint import digest
from streams.core.messages import Tier
from streams.pipeline import spec as s
from streams.pipeline.files import Files
from streams.pipeline.problems import known
from streams.pipeline.template import PromptTemplate
from streams.pipeline.thinking import with_max_tokens
from streams.pipeline.trust import ConfidenceConfig, trust_in


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
    trust: ConfidenceConfig | None = None
    """Workers only."""
    fallback: Handler | None = None
    """The same handler with another model, under a version of its own: what it answers is another model's answer."""

    @property
    def function(self) -> str | None:
        """The dotted path of a Python handler."""
        return getattr(self.spec, "handler", None)

    @property
    def watches_images(self) -> bool:
        """True of the listener that compares images with those seen so far."""
        return isinstance(self.spec, s.ImageDuplicateListener)


TABLES: dict[Tier, str] = {"listener": "listeners", "worker": "workers", "reasoner": "reasoners"}
"""Each tier's table in the file."""


def resolve(tier: Tier, name: str, item: Any, spec: s.PipelineSpec, source: Files) -> Handler:
    """One handler of the file, with all it names. Raises ConfigError."""
    key = f"{TABLES[tier]}.{name}"
    own = _resolved(key, tier, name, item, spec, source)
    trust = trust_in(name, item, own.version, source) if isinstance(item, s.WorkerSpec) else None
    return replace(own, trust=trust, fallback=_fallback(key, own, item, spec, source))


def _fallback(key: str, own: Handler, item: Any, spec: s.PipelineSpec, source: Files) -> Handler | None:
    """The handler with its fallback for a model; it is asked once."""
    name = getattr(own.spec, "fallback", None)
    if name is None:
        return None
    if name == own.spec.model:
        raise ConfigError("it is the handler's own model.", "Name another one.", f"{key}.fallback")
    if name not in spec.models:
        raise ConfigError(f"no model is named {name!r}.", known(spec.models, "[models.NAME]"), f"{key}.fallback")
    item = item.model_copy(update={"model": name, "fallback": None, "retries": 0})
    try:
        return _resolved(key, own.tier, own.name, item, spec, source)
    except ConfigError as error:
        raise ConfigError(f"with its fallback {name!r}: {error.what}", error.remedy, f"{key}.fallback") from error


def _resolved(key: str, tier: Tier, name: str, item: Any, spec: s.PipelineSpec, source: Files) -> Handler:
    prompting = _prompting(key, item, spec, source) if getattr(item, "model", None) else None
    item = with_max_tokens(item, spec.models[prompting.model_key], source) if prompting else item
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
        determines.append(source.module(item.handler, f"{key}.handler"))
    version = digest(*determines)
    return Handler(
        name=name,
        tier=tier,
        spec=item,
        version=version,
        prompting=prompting,
        artifact=source.directory / artifact if artifact else None,
    )


# What of a handler's options changes its answers; the rest leaves its cache valid.
_DETERMINING = (
    "kind", "handler", "rules", "labels", "max_distance", "refusal", "refusal_token", "max_tokens", "parameters",
    "inputs",
)  # fmt: skip
_STATED = ("verbalized", "logprob")
"""Sources of confidence that are part of a reply and are stored with it; the others are computed from it later."""


def _version_options(item: Any) -> str:
    # Unsorted and untrimmed: the order of rules decides which one is found, and a space is part of a pattern.
    options = item.model_dump(mode="json", include=set(_DETERMINING))
    sources = getattr(item, "confidence", ())
    stated = [name for name in _STATED if name in sources]
    # Of several samples the majority answers: how many there are, and when two agree, decides the answer.
    majority = [item.samples, item.correct.model_dump()] if "self-consistency" in sources else []
    return json.dumps([options, stated, *majority])


def _prompting(key: str, item: Any, spec: s.PipelineSpec, source: Files) -> Prompting:
    if item.model not in spec.models:
        raise ConfigError(f"no model is named {item.model!r}.", known(spec.models, "[models.NAME]"), f"{key}.model")
    if "logprob" in item.confidence and spec.models[item.model].provider == "claude":
        remedy = 'Use "verbalized", or a local model.'
        raise ConfigError("Claude gives no log-probabilities.", remedy, f"{key}.confidence")
    if "self-consistency" in item.confidence and _says_the_same(item, spec):
        remedy = "Set its temperature above 0, for example parameters = { temperature = 0.7 }."
        raise ConfigError(
            "a local model at temperature 0 gives one answer to all samples.", remedy, f"{key}.parameters"
        )
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
        verbalized="verbalized" in item.confidence,
    )
    if contract.schema is None and contract.refusal == "field":
        remedy = 'Give a schema, or set refusal = "token" or "none".'
        raise ConfigError('refusal = "field" needs a schema.', remedy, f"{key}.refusal")
    knowledge = source.read(item.knowledge, f"{key}.knowledge") if item.knowledge else ""
    return Prompting(
        model_key=item.model, template=template, contract=contract, knowledge=knowledge, labels=tuple(labels)
    )


def _says_the_same(item: Any, spec: s.PipelineSpec) -> bool:
    """Whether each sample of a model would be the same; a local model's temperature is 0 unless it is given."""
    return spec.models[item.model].provider == "local" and not item.parameters.get("temperature")


def _schema(key: str, item: Any, task: str | None, labels: tuple[str, ...], source: Files) -> dict[str, Any] | None:
    if labels:
        return {"type": "string", "enum": list(labels)}
    if item.output_schema is None:
        return json.loads(source.shipped(f"tasks/{task}.json")) if task else None
    from jsonschema import SchemaError

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
