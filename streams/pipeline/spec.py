"""What a pipeline file may say. Every key is checked here; what a key means is in docs/pipeline.md."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from streams.core.contract import RefusalContract
from streams.core.messages import EventKind
from streams.core.routing import CombineRule

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d)")


def seconds(value: Any) -> Any:
    """`"30s"`, `"12h"` or `"7d"` as seconds; numbers are seconds already."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise ValueError('write a duration as a number with a unit, for example "30s", "5m", "12h" or "7d"')
        return float(match["number"]) * _UNITS[match["unit"]]
    return value


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=100 * 365 * 86400.0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Probability = Annotated[float, Field(ge=0, le=1)]
FunctionPath = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Input = Literal["text", "data", "image"]
CachePolicy = Literal["shared", "own", "off"]
"""`shared`: an answer serves other events with the same input; `own`: only its own event; `off`: nobody."""
ConfidenceSource = Literal["none", "verbalized", "logprob"]


class Strict(BaseModel):
    """Unknown keys are errors, so that a misspelt one is never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), populate_by_name=True)


class ClaudeModelSpec(Strict):
    """A Claude model at Anthropic's API or at a gateway that speaks it."""

    provider: Literal["claude"]
    model: str
    base_url: str | None = None
    priced_as: str | None = None


class LocalModelSpec(Strict):
    """A GGUF model run in the worker's own process."""

    provider: Literal["local"]
    model: str
    """A name from `escalon models list`, or a path to a GGUF file."""
    threads: int = Field(2, ge=1, le=256)
    context: int = Field(4096, ge=512, le=1_000_000)
    """Tokens of context for each of the parallel calls."""
    parallel: int = Field(1, ge=1, le=64)
    priced_as: str | None = None


class RecordedModelSpec(Strict):
    """Answers from a cassette, without a network."""

    provider: Literal["recorded"]
    model: str
    cassette: str
    priced_as: str | None = None


ModelSpec = Annotated[ClaudeModelSpec | LocalModelSpec | RecordedModelSpec, Field(discriminator="provider")]


class CallPolicy(Strict):
    """How any handler is called. Nothing here changes what it answers."""

    timeout: Duration = 60.0
    concurrency: int = Field(4, ge=1, le=1024)
    retries: int = Field(2, ge=0, le=10)
    cache: CachePolicy = "shared"
    cache_ttl: Duration = 7 * 86400.0


class ListenerPolicy(CallPolicy):
    """What every listener has."""

    timeout: Duration = 10.0
    retries: int = Field(1, ge=0, le=10)
    applies_to: tuple[EventKind, ...] = ("text", "json", "image")
    threshold: Probability | None = None
    """A finding under this confidence counts as nothing found."""


class ClassifierListener(ListenerPolicy):
    """Local embeddings and a calibrated linear model, trained by `escalon train`."""

    kind: Literal["classifier"]
    artifact: str
    cache: CachePolicy = "off"
    applies_to: tuple[EventKind, ...] = ("text", "json")


class RulesListener(ListenerPolicy):
    """Regular expressions; the first label with a match is found."""

    kind: Literal["rules"]
    rules: dict[str, tuple[str, ...]] = Field(min_length=1)
    cache: CachePolicy = "off"


class ImageDuplicateListener(ListenerPolicy):
    """Perceptual hashes against the images seen so far."""

    kind: Literal["image-duplicate"]
    max_distance: int = Field(10, ge=0, le=32)
    """Bits of 64 in which two hashes may differ and still be one image."""
    capacity: int = Field(100_000, ge=1, le=10_000_000)
    """Images remembered; the oldest are forgotten first."""
    applies_to: tuple[EventKind, ...] = ("image",)
    cache: CachePolicy = "off"


class PromptPolicy(Strict):
    """What a handler asks a language model."""

    model: Name
    prompt: str | None = None
    """A Jinja2 template file with the blocks `system` and `user`."""
    output_schema: str | None = Field(None, alias="schema")
    """A JSON schema file; without one the answer is plain text."""
    knowledge: str | None = None
    """A text file the template sees as `knowledge`."""
    refusal: RefusalContract = "field"
    refusal_token: str = Field("REFUSE", min_length=3, max_length=40)
    confidence: ConfidenceSource = "none"
    max_tokens: int = Field(512, ge=1, le=128_000)
    parameters: dict[str, JsonValue] = {}
    inputs: tuple[Input, ...] = ("text", "data", "image")
    """What of an event the handler sees; two events alike in these are the same task."""


class LanguageModelListener(ListenerPolicy, PromptPolicy):
    """A language model that names one of `labels`."""

    kind: Literal["language-model"]
    labels: tuple[str, ...] = Field(min_length=2)
    refusal: RefusalContract = "none"
    max_tokens: int = Field(64, ge=1, le=4096)
    inputs: tuple[Input, ...] = ("text", "data")


class FunctionListener(ListenerPolicy):
    """A Python function from an event to a label."""

    kind: Literal["function"]
    handler: FunctionPath
    inputs: tuple[Input, ...] = ("text", "data", "image")


ListenerSpec = Annotated[
    ClassifierListener | RulesListener | ImageDuplicateListener | LanguageModelListener | FunctionListener,
    Field(discriminator="kind"),
]

Task = Literal["summarise", "extract", "answer", "resolve"]


class TaskHandler(CallPolicy, PromptPolicy):
    """A worker or reasoner: a language model with a prompt, or a Python function."""

    model: Name | None = None  # type: ignore[assignment]
    handler: FunctionPath | None = None
    task: Task | None = None
    """A shipped task type: it brings a prompt and a schema where the file gives none."""

    @model_validator(mode="after")
    def _one_kind(self) -> TaskHandler:
        if (self.model is None) == (self.handler is None):
            raise ValueError('give either a model (with a prompt or a task) or handler = "package.module:function"')
        if self.model is not None and self.prompt is None and self.task is None:
            raise ValueError("give a prompt file, or a task type (summarise, extract, answer, resolve)")
        if self.confidence == "verbalized" and self.output_schema is None and self.task is None:
            raise ValueError('confidence = "verbalized" needs a schema, since it is a field of the answer')
        return self


class WorkerSpec(TaskHandler):
    """Tier 2. What it refuses, is unsure of or fails at goes to its reasoner."""

    threshold: Probability | None = None
    reasoner: Name | None = None
    """Needed only where the pipeline has several reasoners."""


class ReasonerSpec(TaskHandler):
    """Tier 3. The last word; its answers are not shared between events unless the file says so."""

    timeout: Duration = 180.0
    concurrency: int = Field(2, ge=1, le=1024)
    max_tokens: int = Field(2048, ge=1, le=128_000)
    cache: CachePolicy = "own"


class VerdictSpec(Strict):
    """How several listeners' findings become one verdict."""

    combine: CombineRule = "first"


class BudgetSpec(Strict):
    """Exact money a day (UTC), which `escalon report` holds the spending against."""

    usd_per_day: Decimal = Field(gt=0)


class PipelineSpec(Strict):
    """The whole file."""

    name: Name
    models: dict[Name, ModelSpec] = {}
    listeners: dict[Name, ListenerSpec] = Field(min_length=1)
    verdict: VerdictSpec = VerdictSpec()
    routes: dict[str, str]
    workers: dict[Name, WorkerSpec] = {}
    reasoners: dict[Name, ReasonerSpec] = {}
    prices: str | None = None
    """A price file; without one the dated list that escalon ships."""
    budgets: dict[Literal["listener", "worker", "reasoner"], BudgetSpec] = {}
