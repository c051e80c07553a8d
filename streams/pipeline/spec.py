"""The keys of a pipeline file and their checks. docs/pipeline.md explains them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from streams.core.answer_comparison import By
from streams.core.budget import AtLimit
from streams.core.messages import EventKind
from streams.core.reply_contract import RefusalContract
from streams.core.routing import CombineRule
from streams.core.thinking import MOST_MAX_TOKENS
from streams.pipeline.model_specs import ModelSpec
from streams.pipeline.redaction import RedactionSpec
from streams.pipeline.source import SourceSpec, one_or_several
from streams.pipeline.values import (
    CachePolicy,
    Confidence,
    Duration,
    FunctionPath,
    Input,
    Name,
    Probability,
    StrictTable,
    named_or_function,
)


class CallPolicy(StrictTable):
    """Settings for calling any handler. Nothing here changes an answer."""

    timeout: Duration = 60.0
    concurrency: int = Field(4, ge=1, le=1024)
    retries: int = Field(2, ge=0, le=10)
    cache: CachePolicy = "shared"
    cache_ttl: Duration = 7 * 86400.0


class ListenerPolicy(CallPolicy):
    """Settings of every listener."""

    timeout: Duration = 10.0
    retries: int = Field(1, ge=0, le=10)
    applies_to: tuple[EventKind, ...] = ("text", "json", "image")
    threshold: Probability | None = None
    """A finding under this confidence counts as none."""


class ClassifierListener(ListenerPolicy):
    kind: Literal["classifier"]
    artifact: str
    cache: CachePolicy = "off"
    applies_to: tuple[EventKind, ...] = ("text", "json")


class RulesListener(ListenerPolicy):
    """Regular expressions; the first label with a match is found."""

    kind: Literal["rules"]
    rules: dict[str, tuple[str, ...]] = Field(min_length=1)
    inputs: tuple[Literal["text", "data"], ...] = Field(("text",), min_length=1)
    cache: CachePolicy = "off"


class ImageDuplicateListener(ListenerPolicy):
    """Compares perceptual hashes, and then pixels, with the images seen so far."""

    kind: Literal["image-duplicate"]
    max_distance: int = Field(10, ge=0, le=32)
    """Bits of 64 in which the hashes of two copies may differ."""
    capacity: int = Field(100_000, ge=1, le=10_000_000)
    """Images remembered; the oldest are forgotten first."""
    applies_to: tuple[EventKind, ...] = ("image",)
    cache: CachePolicy = "off"


AnyPrompt = TypeVar("AnyPrompt", bound="PromptPolicy")


class PromptPolicy(StrictTable):
    """A handler's question to a language model."""

    model: Name
    fallback: Name | None = None
    """Asked once when the model has failed through its provider's fault."""
    prompt: str | None = None
    """A template file with the blocks `system` and `user`."""
    output_schema: str | None = Field(None, alias="schema")
    """A JSON Schema file; without one the answer is plain text."""
    knowledge: str | None = None
    """A text file, the variable `knowledge` in the template."""
    refusal: RefusalContract = "field"
    refusal_token: str = Field("REFUSE", min_length=3, max_length=40)
    confidence: Confidence = ()
    max_tokens: int = Field(512, ge=1, le=MOST_MAX_TOKENS)
    """Without the key, models that think get more."""
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    inputs: tuple[Input, ...] = ("text", "data", "image")
    """Parts of an event that the handler sees. Two events alike in these are the same task."""


def _only_stated(spec: AnyPrompt) -> AnyPrompt:
    if set(spec.confidence) - {"verbalized", "logprob"}:
        raise ValueError('its confidence may be "verbalized" or "logprob"; the other sources are for workers')
    return spec


class LanguageModelListener(ListenerPolicy, PromptPolicy):
    kind: Literal["language-model"]
    labels: tuple[str, ...] = Field(min_length=2)
    refusal: RefusalContract = "none"
    max_tokens: int = Field(64, ge=1, le=MOST_MAX_TOKENS)
    inputs: tuple[Input, ...] = ("text", "data")

    @model_validator(mode="after")
    def _its_own_words(self) -> LanguageModelListener:
        return _only_stated(self)


class RouterListener(ListenerPolicy):
    """A model trained by `escalon train router` on the outcomes of earlier events; it finds a route."""

    kind: Literal["router"]
    artifact: str
    cache: CachePolicy = "off"
    applies_to: tuple[EventKind, ...] = ("text", "json")


class FunctionListener(ListenerPolicy):
    kind: Literal["function"]
    handler: FunctionPath
    inputs: tuple[Input, ...] = ("text", "data", "image")


ListenerSpec = Annotated[
    ClassifierListener
    | RulesListener
    | ImageDuplicateListener
    | LanguageModelListener
    | RouterListener
    | FunctionListener,
    Field(discriminator="kind"),
]

SHORTEST_BATCH, LONGEST_BATCH = 600.0, 86400.0
Task = Literal["summarise", "extract", "answer", "resolve"]
Combine = Literal["mean", "min", "product"]
VerifierScore = Literal["correctness", "gain"]
"""`correctness`: the answer is right; `gain`: asking the reasoner would gain nothing."""


class CorrectSpec(StrictTable):
    """The rule by which an answer agrees with a label."""

    by: Annotated[str, named_or_function(*get_args(By))] = "exact"
    """A function `package.module:function` gets the answer and the label, as JSON values, and returns a bool."""
    fields: tuple[str, ...] = ()
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Relative to the label's size."""

    @model_validator(mode="after")
    def _fields_where_they_count(self) -> CorrectSpec:
        if (self.by == "fields") != bool(self.fields):
            raise ValueError('by = "fields" needs fields = [...], and only it takes them')
        return self


def _by_name(value: Any) -> Any:
    return {"by": value} if isinstance(value, str) else value


Correct = Annotated[CorrectSpec, BeforeValidator(_by_name)]


def check_batch(batch: float, model: str | None, confidence: Confidence) -> None:
    """Raise ValueError for a handler whose calls cannot wait for a batch."""
    if model is None:
        raise ValueError("batch is for calls of a model; remove it")
    if "self-consistency" in confidence:
        raise ValueError("batch and self-consistency do not go together; remove one of the two")
    if not SHORTEST_BATCH <= batch <= LONGEST_BATCH:
        raise ValueError("batch is from 10m to 24h: no provider promises a batch sooner, or takes longer")


class TaskHandler(CallPolicy, PromptPolicy):
    """A worker or reasoner: a language model with a prompt, or a Python function."""

    model: Name | None = None  # type: ignore[assignment]
    handler: FunctionPath | None = None
    task: Task | None = None
    """A shipped task type: brings a prompt and a schema where the file gives none."""
    correct: Correct = CorrectSpec()
    batch: Duration | None = None
    """Seconds that a call may take in a provider's batch, at its lower price; None asks at once."""

    @model_validator(mode="after")
    def _one_kind(self) -> TaskHandler:
        if (self.model is None) == (self.handler is None):
            raise ValueError('give either a model (with a prompt or a task) or handler = "package.module:function"')
        if self.model is None and self.fallback is not None:
            raise ValueError("a fallback replaces a model, and a Python function has no model")
        if self.model is not None and self.prompt is None and self.task is None:
            raise ValueError("give a prompt file, or a task type (summarise, extract, answer, resolve)")
        if "verbalized" in self.confidence and self.output_schema is None and self.task is None:
            raise ValueError('confidence = "verbalized" needs a schema, since it is a field of the reply')
        if self.handler is not None and {"verbalized", "logprob"} & set(self.confidence):
            raise ValueError('a Python function gives its confidence with its Answer; "logprob" is for models')
        if self.batch is not None:
            check_batch(self.batch, self.model, self.confidence)
        return self


class WorkerSpec(TaskHandler):
    """Tier 2. Refusals, unsure answers and failures go to the worker's reasoner."""

    threshold: Probability | None = None
    reasoner: Name | None = None
    """Required where the pipeline has several reasoners."""
    combine_confidence: Combine = "mean"
    samples: int = Field(5, ge=2, le=50)
    """Calls for self-consistency."""
    verifier: str | None = None
    """The artifact of `escalon train verifier`."""
    verifier_score: VerifierScore = "correctness"
    calibration: str | None = None
    """The artifact of `escalon calibrate`; it brings the threshold."""
    on_expiry: Literal["warn", "fallback"] = "warn"
    fallback_threshold: Probability = 1.0
    explore: Probability = 0.0
    """Share of accepted answers for which the reasoner is asked as well."""

    @model_validator(mode="after")
    def _believed_for_a_reason(self) -> WorkerSpec:
        if ("verifier" in self.confidence) != (self.verifier is not None):
            raise ValueError('confidence = "verifier" and verifier = "FILE" go together')
        if self.calibration is not None and self.threshold is not None:
            raise ValueError("the calibration brings the threshold; remove one of the two")
        return self


class ReasonerSpec(TaskHandler):
    """Tier 3. Its answers are not shared between events unless the file says so."""

    timeout: Duration = 180.0
    concurrency: int = Field(2, ge=1, le=1024)
    max_tokens: int = Field(2048, ge=1, le=MOST_MAX_TOKENS)
    cache: CachePolicy = "own"

    @model_validator(mode="after")
    def _its_own_words(self) -> ReasonerSpec:
        return _only_stated(self)


class VerdictSpec(StrictTable):
    combine: CombineRule = "first"


class BudgetSpec(StrictTable):
    """Exact US dollars a day (UTC), and the fate of a task when they are spent."""

    usd_per_day: Decimal = Field(gt=0)
    at_limit: AtLimit = "defer"


class RetryLaterSpec(StrictTable):
    """Delay and count of later rounds for a task whose model failed through no fault of the task."""

    wait: Duration = 300.0
    times: Annotated[int, Field(ge=0, le=100)] = 3
    """Further rounds before the task fails, while the model answers other tasks. During an outage there is no limit."""


# Listeners have no choice: one that is not asked finds nothing.
AT_LIMIT: dict[str, tuple[AtLimit, ...]] = {
    "listener": (),
    "worker": ("defer", "fail"),
    "reasoner": ("defer", "accept", "fail"),
}


class PipelineSpec(StrictTable):
    name: Name
    deadline: Duration | None = None
    """Seconds after the record's timestamp in which an event is worked on; None: no limit."""
    source: Annotated[tuple[SourceSpec, ...], BeforeValidator(one_or_several)] = ()
    """The user's own topics, besides escalon's topic `events`."""
    models: dict[Name, ModelSpec] = Field(default_factory=dict)
    listeners: dict[Name, ListenerSpec] = Field(min_length=1)
    verdict: VerdictSpec = VerdictSpec()
    routes: dict[str, str]
    workers: dict[Name, WorkerSpec] = Field(default_factory=dict)
    reasoners: dict[Name, ReasonerSpec] = Field(default_factory=dict)
    prices: str | None = None
    """Replaces the shipped price list."""
    budgets: dict[Literal["listener", "worker", "reasoner"], BudgetSpec] = Field(default_factory=dict)
    retry_later: RetryLaterSpec | None = RetryLaterSpec()
    """None in a replay, which has no later rounds."""
    redaction: RedactionSpec | None = None
    """Without the table nothing is hidden."""
