"""Handlers with their prompts, schemas and artifacts read, and a version that hashes all that decides their answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streams.core.errors import ConfigError
from streams.core.fingerprint import digest
from streams.core.messages import CallTier, Tier
from streams.core.reply_contract import Contract, check_schema
from streams.core.stated_schema import stated
from streams.pipeline import spec as s
from streams.pipeline.confidence import ConfidenceConfig, resolve_confidence
from streams.pipeline.files import PipelineFiles
from streams.pipeline.model_specs import ModelSpec, enforces_schema, gives_logprobs, sees_images
from streams.pipeline.problems import Mistakes, known
from streams.pipeline.template import PromptTemplate
from streams.pipeline.thinking import with_max_tokens
from streams.pipeline.values import Input


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompting:
    """The prompt and the contract of a language-model handler."""

    model_key: str
    template: PromptTemplate
    contract: Contract
    knowledge: str
    labels: tuple[str, ...] = ()
    sees_images: bool = False
    """True if the model is shown the event's image: it is able to see, and `inputs` has it."""
    stated: str = ""
    """Added to the system prompt: the schema, for a model that is not held to it."""


PromptSpec = s.LanguageModelListener | s.WorkerSpec | s.ReasonerSpec
HandlerSpec = (
    s.ClassifierListener
    | s.RulesListener
    | s.ImageDuplicateListener
    | s.RouterListener
    | s.FunctionListener
    | PromptSpec
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One listener, worker or reasoner, or a judge, resolved. `version` hashes what determines its answer."""

    name: str
    tier: CallTier
    spec: HandlerSpec
    version: str
    prompting: Prompting | None = None
    artifact: Path | None = None
    confidence: ConfidenceConfig | None = None
    """Workers only."""
    fallback: Handler | None = None
    """The same handler with another model, under a version of its own: its answers are another model's answers."""

    @property
    def function(self) -> str | None:
        """The dotted path of a Python handler."""
        return self.spec.handler if isinstance(self.spec, (s.FunctionListener, s.TaskHandler)) else None

    @property
    def prompts(self) -> PromptSpec:
        """The options of a handler that asks a language model."""
        if not isinstance(self.spec, PromptSpec):
            raise TypeError(f"{self.name} does not ask a language model")
        return self.spec

    @property
    def inputs(self) -> Sequence[Input]:
        """The parts of an event that it sees."""
        without = (s.ClassifierListener, s.ImageDuplicateListener, s.RouterListener)
        return WHOLE_EVENT if isinstance(self.spec, without) else self.spec.inputs

    @property
    def batch(self) -> float | None:
        """The seconds that a call may take in a provider's batch; None if none waits for one."""
        return self.spec.batch if isinstance(self.spec, s.TaskHandler) else None

    @property
    def waits(self) -> bool:
        """True if its calls may have been in a batch, under this file or an earlier one."""
        return isinstance(self.spec, s.TaskHandler) and self.prompting is not None

    @property
    def threshold(self) -> float | None:
        """The confidence below which a finding or an answer does not count; None accepts any."""
        return None if isinstance(self.spec, s.ReasonerSpec) else self.spec.threshold

    @property
    def correct(self) -> s.CorrectSpec:
        """The rule by which its answer agrees with another one."""
        return self.spec.correct if isinstance(self.spec, s.TaskHandler) else s.CorrectSpec()


TABLES: dict[Tier, str] = {"listener": "listeners", "worker": "workers", "reasoner": "reasoners"}
"""Each tier's table in the file."""
WHOLE_EVENT: tuple[Input, ...] = ("text", "data", "image")


def resolve(tier: Tier, name: str, item: HandlerSpec, spec: s.PipelineSpec, source: PipelineFiles) -> Handler:
    """Read one handler of the file, with all it names. Raises ConfigError."""
    key = f"{TABLES[tier]}.{name}"
    own = _resolved(key, tier, name, item, spec, source)
    _check_compared_fields(key, own)
    config = resolve_confidence(name, item, own.version, source) if isinstance(item, s.WorkerSpec) else None
    return replace(own, confidence=config, fallback=_fallback(key, own, item, spec, source))


def _check_compared_fields(key: str, own: Handler) -> None:
    """Raise ConfigError if `correct` names a field that the handler's schema has not: no answer would ever be right."""
    schema = own.prompting.contract.schema if own.prompting else None
    fields = schema.get("properties") if schema else None
    if fields and (odd := [name for name in own.correct.fields if name not in fields]):
        raise ConfigError(f"the answers' schema has no field {odd[0]!r}.", known(fields, "fields"), f"{key}.correct")


def _fallback(key: str, own: Handler, item: HandlerSpec, spec: s.PipelineSpec, source: PipelineFiles) -> Handler | None:
    """Return the handler with its fallback for a model; it is asked once."""
    name = item.fallback if isinstance(item, PromptSpec) else None
    if name is None:
        return None
    if name == own.prompts.model:
        raise ConfigError("it is the handler's own model.", "Name another one.", f"{key}.fallback")
    if name not in spec.models:
        raise ConfigError(f"no model is named {name!r}.", known(spec.models, "[models.NAME]"), f"{key}.fallback")
    if own.prompting is not None and own.prompting.sees_images and not sees_images(spec.models[name]):
        remedy = 'Name a model with images = true, or leave "image" out of its inputs.'
        raise ConfigError(f"{name!r} sees no images, and the handler's own model does.", remedy, f"{key}.fallback")
    item = item.model_copy(update={"model": name, "fallback": None, "retries": 0})
    try:
        return _resolved(key, own.tier, own.name, item, spec, source)
    except ConfigError as error:
        raise ConfigError(f"with its fallback {name!r}: {error.what}", error.remedy, f"{key}.fallback") from error


def _resolved(
    key: str, tier: CallTier, name: str, item: HandlerSpec, spec: s.PipelineSpec, source: PipelineFiles
) -> Handler:
    prompting = None
    if isinstance(item, PromptSpec) and item.model is not None:
        prompting = _prompting(key, item, item.model, spec, source)
        item = with_max_tokens(item, spec.models[item.model], source)
    artifact = item.artifact if isinstance(item, (s.ClassifierListener, s.RouterListener)) else None
    determines: list[str | bytes] = [tier, _version_options(item)]
    if prompting is not None:
        determines += [
            spec.models[prompting.model_key].model,
            prompting.template.source,
            json.dumps(prompting.contract.wire_schema),  # in the file's order, for models answer in it
            prompting.knowledge,
        ]
        determines += ["sees images"] if prompting.sees_images else []
        determines += [prompting.stated] if prompting.stated else []
    if artifact is not None:
        determines.append(source.read_bytes(artifact, f"{key}.artifact", made_by=_TRAINING[type(item)]))
    function = item.handler if isinstance(item, (s.FunctionListener, s.TaskHandler)) else None
    if function is not None:
        determines.append(source.module(function, f"{key}.handler"))
    version = digest(*determines)
    return Handler(
        name=name,
        tier=tier,
        spec=item,
        version=version,
        prompting=prompting,
        artifact=source.directory / artifact if artifact else None,
    )


_TRAINING: dict[type, str] = {
    s.ClassifierListener: "escalon train listener FILE",
    s.RouterListener: "escalon train router",
}
"""The command that makes the artifact of a listener."""

# What of a handler's options changes its answers; the rest leaves its cache valid.
_DETERMINING = (
    "kind", "handler", "rules", "labels", "max_distance", "refusal", "refusal_token", "max_tokens", "parameters",
    "inputs",
)  # fmt: skip
_STATED = ("verbalized", "logprob")
"""Sources of confidence that are part of a reply and are stored with it; the others are computed from it later."""


def _version_options(item: HandlerSpec) -> str:
    # Unsorted and untrimmed: the order of rules decides which one is found, and a space is part of a pattern.
    options = item.model_dump(mode="json", include=set(_DETERMINING))
    sources = item.confidence if isinstance(item, PromptSpec) else ()
    stated = [name for name in _STATED if name in sources]
    # Of several samples the majority answers: how many there are, and when two agree, decides the answer.
    majority = []
    if isinstance(item, s.WorkerSpec) and "self-consistency" in sources:
        majority = [item.samples, item.correct.model_dump()]
    return json.dumps([options, stated, *majority])


def _prompting(key: str, item: PromptSpec, model: str, spec: s.PipelineSpec, source: PipelineFiles) -> Prompting:
    if model not in spec.models:
        raise ConfigError(f"no model is named {model!r}.", known(spec.models, "[models.NAME]"), f"{key}.model")
    if "logprob" in item.confidence and not gives_logprobs(spec.models[model]):
        claude = spec.models[model].provider == "claude"
        remedy = 'Use "verbalized", or a local model.' if claude else 'Use "verbalized", or set logprobs = true.'
        what = f"{'Claude' if claude else f'the model {model!r}'} gives no log-probabilities."
        raise ConfigError(what, remedy, f"{key}.confidence")
    if "self-consistency" in item.confidence and _says_the_same(item, spec.models[model]):
        remedy = "Set its temperature above 0, for example parameters = { temperature = 0.7 }."
        kind = "local model" if spec.models[model].provider == "local" else "model"
        raise ConfigError(f"a {kind} at temperature 0 gives one answer to all samples.", remedy, f"{key}.parameters")
    mistakes = Mistakes()
    with mistakes:
        template = _template(key, item, source)
    with mistakes:
        contract = _contract(key, item, source)
    with mistakes:
        knowledge = source.read(item.knowledge, f"{key}.knowledge") if item.knowledge else ""
    mistakes.report()
    labels = item.labels if isinstance(item, s.LanguageModelListener) else ()
    wire = None if enforces_schema(spec.models[model]) else contract.wire_schema
    return Prompting(
        model_key=model,
        template=template,
        contract=contract,
        knowledge=knowledge,
        labels=labels,
        sees_images="image" in item.inputs and sees_images(spec.models[model]),
        stated=stated(wire) if wire is not None else "",
    )


def _template(key: str, item: PromptSpec, source: PipelineFiles) -> PromptTemplate:
    if item.prompt:
        return PromptTemplate(source.read(item.prompt, f"{key}.prompt"), item.prompt, f"{key}.prompt")
    shipped = f"tasks/{(item.task if isinstance(item, s.TaskHandler) else None) or 'label'}.j2"
    return PromptTemplate(source.shipped(shipped), shipped, f"{key}.prompt")


def _contract(key: str, item: PromptSpec, source: PipelineFiles) -> Contract:
    contract = Contract(
        schema=_schema(key, item, source),
        refusal=item.refusal,
        token=item.refusal_token,
        verbalized="verbalized" in item.confidence,
    )
    if contract.schema is None and contract.refusal == "field":
        remedy = 'Give a schema, or set refusal = "token" or "none".'
        raise ConfigError('refusal = "field" needs a schema.', remedy, f"{key}.refusal")
    return contract


def _says_the_same(item: PromptSpec, model: ModelSpec) -> bool:
    """True if each sample of a model would be the same; a local model's temperature is 0 unless it is given."""
    given = item.parameters.get("temperature")
    return (model.provider == "local" and not given) or (model.provider == "openai" and given == 0)


def _schema(key: str, item: PromptSpec, source: PipelineFiles) -> dict[str, Any] | None:
    if isinstance(item, s.LanguageModelListener):
        return {"type": "string", "enum": list(item.labels)}
    if item.output_schema is None:
        task = item.task
        return json.loads(source.shipped(f"tasks/{task}.json")) if task else None
    from jsonschema import SchemaError

    at = f"{key}.schema"
    try:
        schema = json.loads(source.read(item.output_schema, at))
        check_schema(schema)
    except ValueError as error:
        raise ConfigError(f"{item.output_schema} is not valid JSON: {error}.", "Fix the file.", at) from error
    except SchemaError as error:
        remedy = "Write a JSON Schema of draft 2020-12."
        raise ConfigError(f"{item.output_schema} is not a JSON Schema: {error.message}.", remedy, at) from error
    return dict(schema)
