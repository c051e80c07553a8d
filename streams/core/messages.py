"""The messages on the topics. Frozen, without behaviour; times are aware and in UTC.

Field names equal those of the Avro schemas in schemas/ and, flattened, the columns in infra/clickhouse/.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from streams.core.errors import UnreadableError

Tier = Literal["listener", "worker", "reasoner"]
CallTier = Literal["listener", "worker", "reasoner", "judge"]
"""The tier of a call. A judge is a model that rates a panel's cases; it has no part in an event's outcome."""
EventKind = Literal["text", "json", "image"]
Action = Literal["ignore", "duplicate", "work", "reason"]
AttemptStatus = Literal["answered", "refused", "invalid", "failed"]
RefusalClass = Literal["out_of_scope", "missing_information", "unsafe", "policy", "other"]
EscalationReason = Literal["routed", "refused", "unsure", "invalid", "failed", "explored"]
Decision = Literal["found", "accepted", "escalated", "retried", "sampled", "explored", "deferred", "failed"]
DeferralCause = Literal["budget", "provider", "batch"]
BatchEnd = Literal["answered", "failed", "passed"]
OutcomeState = Literal["answered", "ignored", "duplicate", "failed"]
RunState = Literal["running", "done", "stopped"]
PanelState = Literal["open", "paused", "closed"]
PanelRole = Literal["rater", "adjudicator"]
CasePurpose = Literal["sample", "gold", "repeat", "judge"]
JudgementKind = Literal["rating", "adjudication", "skip"]
JudgeKind = Literal["person", "model"]


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
    """The person that the event is about, for later erasure. Only its hash is passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The identity of an event, its time, and its position in Kafka."""

    event_id: str
    run: str
    """`live`, or the name of a replay."""
    event_time: datetime
    trace_id: str
    topic: str
    partition: int
    offset: int
    data_subject: str | None = None
    """Hash of the person that it is about; None if the producer named none."""
    content_digest: str = ""
    """Hash of its content, which distinguishes events under one id. Empty if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An identified event: its origin and its content."""

    origin: Origin
    kind: EventKind
    text: str
    data: str | None = None
    image: str | None = None
    deadline: datetime | None = None
    """None if the pipeline sets no deadline, and in a replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One label and its probability, 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The finding of one listener. `label` None means that it found nothing."""

    listener: str
    label: str | None
    confidence: float | None = None
    scores: tuple[Score, ...] = ()
    duplicate_of: str | None = None
    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """An image sent to the owner of the hashes of all earlier images."""

    event: Event
    listener: str
    image_hash: str
    """64-bit perceptual hash, 16 hexadecimal digits; empty if only equal bytes count as the same image."""
    findings: tuple[Finding, ...]
    """The findings of the other listeners."""
    thumbnail: bytes | None = None
    """32 x 32 grey levels, row by row; None without a hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReply:
    """The end of a task in a provider's batch. A `passed` one has no reply: the ordinary API is asked."""

    end: BatchEnd
    handler_version: str = ""
    """Of the handler whose request was in the batch."""
    batch_id: str = ""
    """The provider's id of the batch."""
    reply: str | None = None
    """The model's reply as JSON, with the fields of ModelReply."""
    error_type: str | None = None
    error: str | None = None
    retryable: bool = False
    queued_at: datetime
    """The time from which the task waited for a batch."""
    asked_at: datetime | None = None
    """The time at which the batch was created."""
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The findings of all listeners about one event, and the chosen route."""

    event: Event
    findings: tuple[Finding, ...]
    intents: tuple[str, ...]
    """Every intent found, the deciding one first."""
    confidence: float | None
    action: Action
    handler: str
    """The worker or reasoner that the event is routed to; empty for none."""
    duplicate_of: str | None = None
    fingerprint: str
    """Hash of the routed task: handler version and input."""
    pipeline: str
    decided_at: datetime
    budget_deferrals: int = 0
    """Times that it waited for a budget."""
    failures: tuple[str, ...] = ()
    """The worker's error in each earlier round, oldest first, if this event may have been at fault."""
    outages: int = 0
    """Times that it waited because its model was unavailable."""
    batch_reply: BatchReply | None = None
    """None before it waited for a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The result of a worker or reasoner on one task."""

    tier: CallTier
    handler: str
    status: AttemptStatus
    answer: str | None = None
    """JSON text, or plain text of a handler without a schema."""
    refusal_class: RefusalClass | None = None
    refusal_reason: str | None = None
    sources: tuple[Score, ...] = ()
    """The probability by each source of confidence, by the source's name."""
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
    """Times that it waited for a budget."""
    failures: tuple[str, ...] = ()
    """The reasoner's error in each earlier round, oldest first, if this event may have been at fault."""
    outages: int = 0
    """Times that it waited because its model was unavailable."""
    batch_reply: BatchReply | None = None
    """None before it waited for a batch."""


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
    """The reasons of escalations and failures, oldest first."""
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
    tier: CallTier
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
    """The cost that a cache hit saved; None for other calls."""
    priced_as: str | None = None
    """The model in the price list that the cost was computed with."""
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
    """The probability by each source of confidence, by the source's name."""
    raw_confidence: float | None = None
    confidence: float | None = None
    threshold: float | None = None
    calibration: str | None = None
    """The calibration artifact whose threshold decided."""
    propensity: float | None = None
    """The probability with which a reasoner was called as well, for an accepted answer; None if none could be."""
    explored: bool = False
    """True if the answer was accepted and a reasoner was called as well."""
    decision: Decision
    decision_reason: str = ""
    attempt: int = 1
    sample: int = 0
    error_type: str | None = None
    error: str | None = None
    response_id: str | None = None
    """The provider's id of the reply, for example `msg_…`; None without a reply."""
    fingerprint: str = ""
    reused_from: str | None = None
    """The run whose stored answer this is, in a replay. It cost nothing; `saved_usd` and `duration_seconds` are
    those of the original call."""
    redaction: str | None = None
    """The redaction policy applied to its texts; None for none."""
    batch_id: str | None = None
    """The provider's id of the batch that it was a part of; None for a call by the ordinary API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    key: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that could not be read or handled, kept so that nothing is lost."""

    dead_letter_id: str
    run: str
    topic: str
    partition: int
    offset: int
    key: bytes | None = None
    headers: tuple[Header, ...] = ()
    payload: bytes
    """The original bytes; of a larger message the first 64 kB."""
    payload_size: int
    payload_sha256: str
    reference: str | None = None
    """The place of a larger message in the blob store."""
    reason: str
    """A short code, for example `invalid_utf8`."""
    detail: str
    error_class: str
    event_id: str
    event_time: datetime
    content_digest: str = ""
    """Its event's, as in Origin; empty if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """A worker's or a reasoner's task that continues later: its budget is spent, or its model failed."""

    cause: DeferralCause
    verdict: Verdict | None = None
    escalation: Escalation | None = None
    not_before: datetime
    reason: str

    @property
    def task(self) -> Verdict | Escalation:
        """The verdict or the escalation. Raises UnreadableError if the message holds neither."""
        task = self.verdict or self.escalation
        if task is None:
            raise UnreadableError("empty_deferral", "A deferral holds neither a verdict nor an escalation.")
        return task


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The true intent or answer of one event, from a person or a system."""

    event_id: str
    run: str = "live"
    label: str
    """JSON text comparable with an answer, or an intent."""
    aspect: Literal["intent", "answer"] = "answer"
    source: str = ""
    labelled_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One judge's verdict on one question of a rubric: about one answer, or about two that are compared.

    Of two with the same panel, case, judge, question and option, the later one counts.
    """

    event_id: str
    run: str = "live"
    call_id: str
    """The call of the judged answer; empty for a comparison of two."""
    judge: str
    question: str
    """Empty for a skipped case."""
    verdict: str
    """A key of the question's choices; for a comparison, the chosen option, `tie` or `both bad`."""
    comment: str = ""
    """The judge's note; of a skipped case, the reason."""
    judged_at: datetime
    panel: str = ""
    """Empty for judgements from outside a panel."""
    case_id: str = ""
    option: str = ""
    """The option of the judged answer; empty for a comparison."""
    rubric: str = ""
    """Hash of the rubric that the judge read."""
    kind: JudgementKind = "rating"
    judge_kind: JudgeKind = "person"
    left: str = ""
    """The option that was shown on the left, or first; empty if only one was shown."""
    seconds: float | None = None
    """From the page with the case to the judgement; None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelRater:
    """A person with a link to a panel."""

    name: str
    role: PanelRole = "rater"
    links_from: datetime
    """Links that were made earlier do not work: a later time revokes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelStratum:
    """The part of a panel's population that one handler answered."""

    tier: Tier
    handler: str
    tasks: int
    weight: float
    """Sum of the tasks' weights in the draw."""
    prediction: float
    """Sum of the predicted probabilities that the delivered answer is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel of people who judge cases by a rubric. Each change is a new message; the latest one counts."""

    panel: str
    """Its name."""
    run: str
    """The run whose outcomes it judges."""
    options: tuple[str, ...]
    """The answers of a case: `outcome` alone, or two that are compared: `worker` and `reasoner`, or two runs."""
    rubric: str
    """The rubric file's text."""
    rubric_id: str
    """Hash of the rubric."""
    raters_per_case: int
    cases: int
    """The number of cases drawn for people."""
    seed: int
    since: datetime | None = None
    until: datetime
    population: tuple[PanelStratum, ...]
    """All tasks that the cases were drawn from, by the handler of the delivered answer."""
    stop: str = ""
    """The claim that ends the panel as soon as it is decided; empty for none."""
    pipeline: str
    """Hash of the pipeline whose policy redacts the cases."""
    people: tuple[PanelRater, ...] = ()
    state: PanelState = "open"
    operator: str = ""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelAnswer:
    """One answer of a case. Its text stays in the audit, where erasure reaches it."""

    option: str
    run: str
    tier: Tier
    handler: str
    call_id: str
    delivered: bool
    """True if it left the stream as the event's outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelCase:
    """One case of a panel: which event, which answers, and how likely it was to be drawn."""

    panel: str
    case_id: str
    event_id: str
    run: str
    event_time: datetime
    task: str
    """The id that events with the same task share."""
    purpose: CasePurpose = "sample"
    """`sample` and `judge` cases were drawn, the latter for a model alone; `gold` and `repeat` ones check raters."""
    answers: tuple[PanelAnswer, ...]
    left: str
    """The option that every second rater sees on the left; the others see it on the right. Empty for one answer."""
    reasons: tuple[str, ...] = ()
    """Why its weight is above the rest's, for example `near threshold`."""
    position: int
    """Place in the draw, from 1; 0 for gold cases and repeats."""
    weight: float = 0.0
    """Each next case is drawn with a chance in proportion to its weight among the tasks not drawn yet."""
    probability: float = 0.0
    """The chance of being among the `sample` cases, given the other tasks' draws."""
    judge_probability: float = 0.0
    """The chance of being among the `sample` and `judge` cases."""
    prediction: float = 0.0
    """The predicted probability that the delivered answer is wrong, before anybody judged it."""
    expected: str = ""
    """Of a gold case, the right verdict on the rubric's question about being right."""
    repeats: str = ""
    """Of a repeat, the case that it repeats."""
    content_digest: str
    """Hash of what raters see."""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A case that a rater has open: no other rater gets its place before it expires. A rater's latest one counts."""

    panel: str
    case_id: str
    judge: str
    reserved_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One replay: its events, its pipeline and its progress."""

    run: str
    base: str
    """The run whose events and stored answers it uses."""
    pipeline: str
    """Hash of the candidate pipeline."""
    pipeline_name: str
    topic: str
    selection: str
    """The selected events, in words: since, until, offsets, ids, a condition."""
    state: RunState
    events: int
    """Events that have ended so far."""
    paid_calls: int
    reused_calls: int
    cost_usd: Decimal
    max_cost_usd: Decimal | None = None
    started_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """An attempt stored under its task's fingerprint, with the records of its calls."""

    attempt: Attempt
    calls: tuple[Call, ...] = field(default=())
    stored_at: datetime


Message = (
    RawEvent
    | Sighting
    | Verdict
    | Escalation
    | Result
    | Outcome
    | Call
    | DeadLetter
    | Deferred
    | Label
    | Judgement
    | Panel
    | PanelCase
    | Reservation
)
