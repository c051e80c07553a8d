"""The nouns of escalon: what travels on the topics. Frozen, without behaviour; times are aware and in UTC.

Field names equal those of the Avro schemas in schemas/ and, flattened, the columns in infra/clickhouse/.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from streams.core.errors import UnreadableError

Tier = Literal["listener", "worker", "reasoner"]
EventKind = Literal["text", "json", "image"]
Action = Literal["ignore", "duplicate", "work", "reason"]
AttemptStatus = Literal["answered", "refused", "invalid", "failed"]
RefusalClass = Literal["out_of_scope", "missing_information", "unsafe", "policy", "other"]
EscalationReason = Literal["routed", "refused", "unsure", "invalid", "failed", "explored"]
Decision = Literal["found", "accepted", "escalated", "retried", "sampled", "explored", "deferred", "failed"]
DeferralCause = Literal["budget", "provider"]
OutcomeState = Literal["answered", "ignored", "duplicate", "failed"]
RunState = Literal["running", "done", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent:
    """An event as a producer publishes it. Everything but the content is optional."""

    id: str | None = None
    time: datetime | None = None
    text: str = ""
    data: str | None = None
    """Further fields as a JSON object."""
    image: str | None = None
    """The image's sha256 (hex) in the blob store."""
    trace_id: str | None = None
    """W3C trace id, 32 hexadecimal digits."""
    data_subject: str | None = None
    """Whom the event is about, so that a person's data can be erased. Only a hash of it travels on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which event something is about: its identity, its time and where it stood in Kafka."""

    event_id: str
    run: str
    """`live`, or the name of a replay."""
    event_time: datetime
    trace_id: str
    topic: str
    partition: int
    offset: int
    data_subject: str | None = None
    """A hash of whom it is about; None where the producer named nobody."""
    content_digest: str = ""
    """A hash of what it says: another event under the same id has another one. Empty where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An identified event: its origin and its content."""

    origin: Origin
    kind: EventKind
    text: str
    data: str | None = None
    image: str | None = None
    deadline: datetime | None = None
    """When it must be done; None where the pipeline sets no deadline, and in a replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One label and its probability, 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one listener saw. `label` None means it has nothing to say about this event."""

    listener: str
    label: str | None
    confidence: float | None = None
    scores: tuple[Score, ...] = ()
    duplicate_of: str | None = None
    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """An image on its way to the one owner of the hashes seen so far."""

    event: Event
    listener: str
    image_hash: str
    """64-bit perceptual hash, 16 hexadecimal digits; empty where only the same bytes are the same image."""
    findings: tuple[Finding, ...]
    """What the other listeners saw."""
    thumbnail: bytes | None = None
    """32 x 32 grey levels, row by row; None without a hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the listeners saw in one event, and the one route chosen for it."""

    event: Event
    findings: tuple[Finding, ...]
    intents: tuple[str, ...]
    """Every intent found, the deciding one first."""
    confidence: float | None
    action: Action
    handler: str
    """The worker or reasoner the event goes to; empty when it goes nowhere."""
    duplicate_of: str | None = None
    fingerprint: str
    """Of the routed task: handler version and input."""
    pipeline: str
    decided_at: datetime
    budget_deferrals: int = 0
    """Times it has waited for a budget."""
    failures: tuple[str, ...] = ()
    """Why its worker failed in each earlier round, oldest first, where this event may have been at fault."""
    outages: int = 0
    """How often it has waited because its model could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How far a worker or reasoner came."""

    tier: Tier
    handler: str
    status: AttemptStatus
    answer: str | None = None
    """JSON text, or plain text of a handler without a schema."""
    refusal_class: RefusalClass | None = None
    refusal_reason: str | None = None
    sources: tuple[Score, ...] = ()
    """What each source of confidence gave, by the source's name."""
    raw_confidence: float | None = None
    """The sources combined, before calibration."""
    confidence: float | None = None
    error_type: str | None = None
    error: str | None = None
    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """A task for a reasoner, with the attempt that fell short and why."""

    event: Event
    intents: tuple[str, ...]
    handler: str
    reason: EscalationReason
    detail: str = ""
    attempt: Attempt | None = None
    fingerprint: str
    pipeline: str
    decided_at: datetime
    budget_deferrals: int = 0
    """Times it has waited for a budget."""
    failures: tuple[str, ...] = ()
    """Why its reasoner failed in each earlier round, oldest first, where this event may have been at fault."""
    outages: int = 0
    """How often it has waited because its model could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An answer or a terminal finding of any tier."""

    origin: Origin
    state: OutcomeState
    tier: Tier
    handler: str
    intent: str
    answer: str | None = None
    reasons: tuple[str, ...] = ()
    """Why it was escalated or failed, oldest first."""
    duplicate_of: str | None = None
    call_id: str | None = None
    pipeline: str
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The terminal state of one event; SETTLE writes exactly one."""

    origin: Origin
    state: OutcomeState
    tier: Tier
    handler: str
    intent: str
    answer: str | None = None
    reasons: tuple[str, ...] = ()
    duplicate_of: str | None = None
    call_id: str | None = None
    pipeline: str
    settled_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One model call: the audit record. None means unknown or not applicable, never zero.

    Names follow OpenTelemetry's GenAI conventions where these have one (`gen_ai.request.model` is
    `request_model`, `gen_ai.usage.input_tokens` is `input_tokens`, and so on).
    """

    origin: Origin
    call_id: str
    parent_call_id: str | None = None
    tier: Tier
    handler: str
    handler_version: str
    pipeline: str
    operation: str
    """`chat`, `classify`, `match` or `function`."""
    provider: str
    request_model: str
    response_model: str | None = None
    system_prompt: str = ""
    prompt: str = ""
    response: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cost_usd: Decimal | None = None
    saved_usd: Decimal | None = None
    """What a cache hit would have cost; None for other calls."""
    priced_as: str | None = None
    """The model in the price list the cost was computed with."""
    cache_hit: bool = False
    started_at: datetime
    queue_seconds: float | None = None
    """From the message's timestamp to the start of the call."""
    first_token_seconds: float | None = None
    duration_seconds: float | None = None
    finish_reason: str | None = None
    status: AttemptStatus
    refusal_class: RefusalClass | None = None
    refusal_reason: str | None = None
    sources: tuple[Score, ...] = ()
    """What each source of confidence gave, by the source's name."""
    raw_confidence: float | None = None
    confidence: float | None = None
    threshold: float | None = None
    calibration: str | None = None
    """The calibration artifact whose threshold decided."""
    propensity: float | None = None
    """The probability with which a reasoner was asked as well, for an accepted answer; None where none could be."""
    explored: bool = False
    """Whether the answer was accepted and a reasoner asked as well."""
    decision: Decision
    decision_reason: str = ""
    attempt: int = 1
    sample: int = 0
    error_type: str | None = None
    error: str | None = None
    response_id: str | None = None
    """The provider's id of the reply, for example `msg_…`; None where there is no reply."""
    fingerprint: str = ""
    reused_from: str | None = None
    """The run whose stored answer this is, in a replay. It cost nothing; `saved_usd` is what it cost then, and
    `duration_seconds` how long it took then."""
    redaction: str | None = None
    """The redaction policy its texts were put through; None for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One Kafka header."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that could not be read or done, so that nothing is lost."""

    dead_letter_id: str
    run: str
    topic: str
    partition: int
    offset: int
    key: bytes | None = None
    headers: tuple[Header, ...] = ()
    payload: bytes
    """The original bytes, of a larger message the first 64 kB."""
    payload_size: int
    payload_sha256: str
    reference: str | None = None
    """Where the whole of a larger message lies in the blob store."""
    reason: str
    """A short code, for example `invalid_utf8`."""
    detail: str
    error_class: str
    event_id: str
    event_time: datetime
    content_digest: str = ""
    """Its event's, as in Origin; empty where it cannot be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """A worker's or a reasoner's task that goes on later: its budget is spent, or its model failed."""

    cause: DeferralCause
    verdict: Verdict | None = None
    escalation: Escalation | None = None
    not_before: datetime
    reason: str

    @property
    def task(self) -> Verdict | Escalation:
        """The verdict or the escalation. Raises UnreadableError where the message holds neither."""
        task = self.verdict or self.escalation
        if task is None:
            raise UnreadableError("empty_deferral", "A deferral holds neither a verdict nor an escalation.")
        return task


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The truth about one event, from a person or a system."""

    event_id: str
    run: str = "live"
    label: str
    """JSON text comparable with an answer, or an intent."""
    aspect: Literal["intent", "answer"] = "answer"
    source: str = ""
    labelled_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One judge's verdict on a reasoner's answer, by one question of a rubric."""

    event_id: str
    run: str = "live"
    call_id: str
    judge: str
    question: str
    verdict: str
    comment: str = ""
    judged_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One replay: which events, through which pipeline, and how far it came."""

    run: str
    base: str
    """The run whose events and stored answers it takes."""
    pipeline: str
    """Hash of the candidate pipeline."""
    pipeline_name: str
    topic: str
    selection: str
    """Which events, in words: since, until, offsets, ids, a condition."""
    state: RunState
    events: int
    """Events that have come to an end so far."""
    paid_calls: int
    reused_calls: int
    cost_usd: Decimal
    max_cost_usd: Decimal | None = None
    started_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """An attempt kept under its task's fingerprint, with the records of the calls that made it."""

    attempt: Attempt
    calls: tuple[Call, ...] = field(default=())
    stored_at: datetime


Message = (
    RawEvent | Sighting | Verdict | Escalation | Result | Outcome | Call | DeadLetter | Deferred | Label | Judgement
)
