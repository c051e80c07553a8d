"""Handlers resolved: their prompts, schemas and artifacts read, and the version that hashes what decides answers."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import SchemaError
from pydantic import BaseModel

from streams.core.contract import Contract, check_schema
from streams.core.errors import ConfigError
from streams.core.fingerprint import digest
from streams.core.messages import Tier
from streams.pipeline import spec as s
from streams.pipeline.files import Files
from streams.pipeline.problems import known
from streams.pipeline.template import PromptTemplate


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


TABLES: dict[Tier, str] = {"listener": "listeners", "worker": "workers", "reasoner": "reasoners"}
"""Each tier's table in the file."""


def resolve(tier: Tier, name: str, item: Any, spec: s.PipelineSpec, source: Files) -> Handler:
    """One handler of the file, with all it names. Raises ConfigError."""
    key = f"{TABLES[tier]}.{name}"
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


def _function_source(path: str, key: str, source: Files) -> bytes:
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


def _prompting(key: str, item: Any, spec: s.PipelineSpec, source: Files) -> Prompting:
    if item.model not in spec.models:
        raise ConfigError(f"no model is named {item.model!r}.", known(spec.models, "[models.NAME]"), f"{key}.model")
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


def _schema(key: str, item: Any, task: str | None, labels: tuple[str, ...], source: Files) -> dict[str, Any] | None:
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
