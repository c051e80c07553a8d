"""A small pipeline, and fakes for all that the stages need of the world."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from streams.app.providers import comparison
from streams.calling.cached import AnswerStore, StoredAnswers
from streams.calling.caller import Callee, Caller
from streams.calling.chain import EXACT, CallServices, LimitedBackend, chain
from streams.calling.confidence import ConfidenceScorer
from streams.calling.limited import ModelLimits
from streams.calling.python_function import PythonFunction
from streams.calling.record import CallRecords
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget, Reply
from streams.calling.task import Task
from streams.calling.threshold import ThresholdPolicy
from streams.core.answer_comparison import Agree
from streams.core.breaker import Breaker, BreakerPolicy
from streams.core.errors import HandlerError, ModelError, UnreadableError
from streams.core.fingerprint import task_fingerprint
from streams.core.messages import (
    AttemptStatus,
    Escalation,
    Event,
    Finding,
    Message,
    Origin,
    Score,
    StoredAnswer,
    Tier,
    Verdict,
)
from streams.core.pricing import Price, PriceList
from streams.core.rate import RateLimit
from streams.core.reply_contract import Reading
from streams.core.retry_budget import RetryBudget
from streams.models.listeners.image import ImageFeatures
from streams.models.listeners.image_index import HashIndex, likeliest
from streams.models.listeners.seen_image import Nominee, SeenImage
from streams.models.providers.protocol import ModelReply
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline, load_pipeline
from streams.pipeline.spec import WorkerSpec
from streams.replay.replayed import ReplayedAnswers
from streams.stages.listen import listen
from streams.stages.ports import Images
from streams.stages.reason import reason
from streams.stages.work import work
from tests import builders
from tests.builders import START as START
from tests.builders import event as event

M = TypeVar("M")

PIPELINE = """
name = "desk"

[models.m]
provider = "recorded"
model = "m"
cassette = "none.jsonl"

[listeners.rules]
kind = "function"
handler = "json:loads"
applies_to = ["text", "json"]
cache = "off"

[listeners.intent]
kind = "function"
handler = "json:dumps"
threshold = 0.5
cache = "off"

[listeners.seen]
kind = "image-duplicate"
max_distance = 10

[routes]
nothing = "ignore"
order = "workers.extract"
question = "workers.answer"
photo = "workers.file"
open-ended = "reasoners.resolve"
unsure = "workers.answer"

[workers.extract]
task = "extract"
model = "m"
threshold = 0.8
inputs = ["text"]

[workers.answer]
task = "answer"
model = "m"
cache_ttl = "1h"

[workers.file]
task = "summarise"
model = "m"
cache = "off"

[reasoners.resolve]
task = "resolve"
model = "m"
"""


def build(directory: Path, text: str = PIPELINE) -> Pipeline:
    """A pipeline loaded from a file in a directory."""
    (directory / "pipeline.toml").write_text(text, "utf-8")
    return load_pipeline(directory / "pipeline.toml", ANY_PYTHON)


def handlers(pipeline: Pipeline) -> dict[str, Handler]:
    """All handlers of a pipeline by name."""
    return {**pipeline.listeners, **pipeline.workers, **pipeline.reasoners}


def verdict(of: Event, handler: str = "extract", intent: str = "order", **more: Any) -> Verdict:
    """A verdict that routes an event to a worker by the finding of a listener."""
    finding = Finding(listener="intent", label=intent, confidence=0.9, call_id="listener-call")
    return builders.verdict(of, handler, **{"intents": (intent,), "findings": (finding,), "confidence": 0.9} | more)


def said(value: Any = "yes", confidence: float | None = None, status: AttemptStatus = "answered", **more: Any) -> Reply:
    """A backend's reply, with the tokens of a model's."""
    answer = json.dumps(value) if status == "answered" else None
    reply = ModelReply(
        text=answer or "",
        model="m-1",
        stop_reason="end_turn",
        input_tokens=1000,
        output_tokens=100,
        response_id="msg-1",
    )
    reading = Reading(status=status, answer=answer, **more)
    sources = () if confidence is None else (Score(label="verbalized", probability=confidence),)
    return Reply(
        reading=reading, sources=sources, system="be brief", prompt="hello?", response=reply.text, model_reply=reply
    )


def confidence_of(one: Reply) -> float | None:
    """Return the probability of the only source of confidence; None if there is none."""
    assert len(one.sources) <= 1
    return one.sources[0].probability if one.sources else None


def refusal(reason: str = "no order number") -> Reply:
    """A refusal for missing information."""
    return said(status="refused", refusal_class="missing_information", refusal_reason=reason)


def broken_schema() -> Reply:
    """An answer that breaks its schema."""
    return said(status="invalid", error_type="schema", error="$.number: 'x'")


def model_error(error_type: str = "overloaded", *, retryable: bool = True, after: float | None = None) -> ModelError:
    """A model's error; a time-out may be billed, the others are not."""
    return ModelError(
        error_type,
        "It is busy.",
        retryable=retryable,
        retry_after=after,
        request_id="req-e",
        unbilled=error_type != "timeout",
    )


Turn = Reply | ModelError | HandlerError


@dataclass
class FakeBackend:
    """Replies as its script says, turn by turn, the last turn ever after; remembers what it is asked.

    With a `gate` each ask waits until the gate opens.
    """

    handler: Handler
    script: Sequence[Turn]
    gate: asyncio.Event | None = None
    priced_as: str | None = "m"
    model: str = "m"
    free: bool = False
    instant: bool = False
    limits: ModelLimits | None = None
    fallback: FakeBackend | None = None
    asked: list[Task] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    within: list[float] = field(default_factory=list)
    """The time each call was given."""

    @property
    def callee(self) -> Callee:
        """Return a callee like a prompted model's, where it has limits."""
        return Callee(
            handler=self.handler,
            operation="chat",
            provider="fake",
            model=self.model,
            priced_as=self.priced_as,
            bills_cache=True,
            free=self.free,
            instant=self.instant,
            answered_within=partial(self.limits.answered, self.handler.name) if self.limits else None,
        )

    def size(self, task: Task) -> int:
        """Return the length of the text."""
        return len(task.text)

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Reply:
        """The next turn of the script."""
        turn = self.script[min(len(self.asked), len(self.script) - 1)]
        self.asked.append(task)
        self.samples.append(sample)
        self.within.append(within)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(turn, Exception):
            raise turn
        return turn


@dataclass
class FakeImages:
    """Images by their SHA-256, with what they are found again by; the same are those that were said to be."""

    known: dict[str, ImageFeatures] = field(default_factory=dict)
    alike: set[frozenset[str]] = field(default_factory=set)
    looks: list[tuple[str, str]] = field(default_factory=list)

    async def features(self, image: str) -> ImageFeatures:
        """Return the features of a known image. Raises UnreadableError for another one."""
        if image not in self.known:
            raise UnreadableError("not_an_image", f"The bytes of {image} are no image.")
        return self.known[image]

    async def same(self, one: str, other: str) -> bool:
        """True if the test declared the two to be the same."""
        self.looks.append((one, other))
        return frozenset((one, other)) in self.alike


class FakeSeen:
    """The images seen so far, in a dictionary."""

    def __init__(self, capacity: int = 100) -> None:
        self.kept: dict[str, SeenImage] = {}
        self.index = HashIndex(capacity)

    def likeliest(self, new: SeenImage, max_distance: int) -> list[Nominee]:
        """The earlier images that are near."""
        near = self.index.near(new, max_distance)
        return likeliest(new, (Nominee(self.kept[event_id], distance) for event_id, distance in near))

    def add(self, new: SeenImage) -> None:
        """Remember an image."""
        self.kept[new.event_id] = new
        self.index.add(new)


class FakeAnswers:
    """A store of answers in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, StoredAnswer] = {}

    def get(self, fingerprint: str) -> StoredAnswer | None:
        """Return the stored answer."""
        return self.kept.get(fingerprint)

    def put(self, fingerprint: str, answer: StoredAnswer) -> None:
        """Keep it."""
        self.kept[fingerprint] = answer


@dataclass
class Clock:
    """A clock that moves only by `passes` and `sleep`."""

    at: datetime = START
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        """The time of day."""
        return self.at

    def timer(self) -> float:
        """Seconds since the start."""
        return (self.at - START).total_seconds()

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Pass the time at once."""
        self.slept.append(seconds)
        self.passes(seconds)


@dataclass
class Office:
    """A pipeline with its backends by name, what their calls share, its clock and its store."""

    pipeline: Pipeline
    services: CallServices
    backends: dict[str, FakeBackend]
    clock: Clock
    answers: FakeAnswers
    scorers: dict[str, ConfidenceScorer] = field(default_factory=dict)
    thresholds: ThresholdPolicy | None = None

    @property
    def records(self) -> CallRecords:
        """Those of all its calls."""
        return self.services.records

    @property
    def callers(self) -> dict[str, Caller]:
        """The chain of each handler."""
        return {name: self._caller_of(one) for name, one in self.backends.items()}

    def _caller_of(self, one: FakeBackend) -> Caller:
        config = one.handler.confidence
        return self.caller(one, config.samples if config else 1, comparison(one.handler.correct))

    def caller(self, one: FakeBackend, samples: int = 1, agree: Agree = EXACT) -> Caller:
        """The chain around a backend, as the live tiers build it."""
        spare = one.fallback
        other = chain(_limited(spare), self.services, stored=False) if spare is not None else None
        return chain(_limited(one), self.services, samples=samples, agree=agree, other=other)

    async def call(self, one: FakeBackend, asked: CallRequest) -> CallOutcome | OutOfBudget:
        """Return the outcome of a call through the chain."""
        return await self.caller(one).call(asked)

    async def ask(
        self, one: FakeBackend, event_id: str = "e1", text: str = "hello", parent: str | None = None
    ) -> CallOutcome:
        """Return the outcome of a call about an event, within budget."""
        done = await self.call(one, request(one, event_id, text, parent))
        assert isinstance(done, CallOutcome)
        return done

    async def listen(self, of: Event, images: Images | None = None) -> list[Message]:
        """Return the messages that an event causes."""
        return await listen(of, START, self.pipeline, self.callers, self.records, images or FakeImages())

    async def work(self, task: Verdict) -> list[Message]:
        """Return the messages that a verdict causes."""
        return await work(task, START, self.pipeline, self.callers, self.records, self.scorers, self.thresholds)

    async def reason(self, task: Escalation) -> list[Message]:
        """Return the messages that an escalation causes."""
        return await reason(task, START, self.pipeline, self.callers, self.records)


def _limited(one: FakeBackend) -> LimitedBackend:
    return LimitedBackend(backend=one, limits=one.limits)


def call_services(
    pipeline: Pipeline, clock: Clock, answers: AnswerStore, jitter: Callable[[], float] = lambda: 1.0
) -> CallServices:
    """The dependencies that the calls of a tier share, on a test's clock."""
    records = CallRecords(pipeline_hash=pipeline.hash, prices=pipeline.prices, now=clock.now, timer=clock.timer)
    stored = StoredAnswers(store=answers, records=records)
    return CallServices(answers=stored, records=records, sleep=clock.sleep, jitter=jitter)


def office(directory: Path, text: str = PIPELINE, jitter: Callable[[], float] = lambda: 1.0, **scripts: Turn) -> Office:
    """An office whose backends each say one thing; `office.backends[name].script` may be changed."""
    pipeline, clock, answers = build(directory, text), Clock(), FakeAnswers()
    backends = {
        name: FakeBackend(handler, [scripts.get(name, said(None if handler.tier == "listener" else "yes"))])
        for name, handler in handlers(pipeline).items()
    }
    prices = PriceList(date(2026, 11, 1), {"m": Price(Decimal(1), Decimal(5), Decimal(1), Decimal(1))})
    services = call_services(dataclasses.replace(pipeline, prices=prices), clock, answers, jitter)
    return Office(pipeline, services, backends, clock, answers)


def with_records(here: Office, **changes: Any) -> Office:
    """An office with the same store, whose records are made otherwise."""
    records = dataclasses.replace(here.records, **changes)
    answers = StoredAnswers(store=here.answers, records=records)
    return dataclasses.replace(here, services=dataclasses.replace(here.services, records=records, answers=answers))


@dataclass
class FakePrior:
    """Answers of another run by fingerprint, of any event."""

    kept: dict[str, StoredAnswer]

    def find(self, fingerprint: str, origin: Origin) -> StoredAnswer | None:  # noqa: ARG002
        """Return the stored value."""
        return self.kept.get(fingerprint)


def replays(here: Office, prior: dict[str, StoredAnswer]) -> None:
    """Let an office replay what another run was answered, by fingerprint."""
    answers = ReplayedAnswers(store=here.answers, prior=FakePrior(prior), records=here.records)
    here.services = dataclasses.replace(here.services, answers=answers)


def backend(here: Office, script: Sequence[Turn] | Turn = (), **policy: Any) -> FakeBackend:
    """A backend of the worker `answer`, with some of its options changed."""
    handler = with_spec(here.pipeline.workers["answer"], **policy)
    turns = script if isinstance(script, Sequence) else [script]
    return FakeBackend(handler, turns or [said("yes", 0.9)])


def request(of: FakeBackend, event_id: str = "e1", text: str = "hello", parent: str | None = None) -> CallRequest:
    """A request to a backend about an event."""
    task = Task(text=text)
    return CallRequest(
        task=task,
        origin=event(event_id, text).origin,
        task_fingerprint=task_fingerprint(of.handler.version, task.input()),
        received_at=START,
        parent_call_id=parent,
    )


async def until_asked(one: FakeBackend, times: int) -> None:
    """Let the loop run until a backend was asked so often."""
    for _ in range(1000):
        if len(one.asked) >= times:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"asked {len(one.asked)} times, not {times}")


async def settle_down() -> None:
    """Let the loop run until nothing moves."""
    for _ in range(50):
        await asyncio.sleep(0)


def with_limits(here: Office, one: FakeBackend, limit: RateLimit | None = None, share: float = 0.9) -> ModelLimits:
    """Give a backend limits whose breaker opens after three failures."""
    one.limits = ModelLimits(
        model_key="m",
        timer=here.clock.timer,
        sleep=here.clock.sleep,
        limit=limit or RateLimit(),
        breaker=Breaker(BreakerPolicy(least=3, rest=2.0)),
        retries=RetryBudget(share),
    )
    return one.limits


def with_spec(handler: Handler, **changes: Any) -> Handler:
    """A handler with some options changed."""
    return dataclasses.replace(handler, spec=handler.spec.model_copy(update=changes))


def the(kind: type[M], messages: Sequence[Any]) -> M:
    """The one message of a kind."""
    found = [message for message in messages if isinstance(message, kind)]
    assert len(found) == 1, f"{len(found)} messages are {kind.__name__}"
    return found[0]


def python_function(function: Callable[[Task], Any], tier: Tier = "worker", timeout: float = 5.0) -> PythonFunction:
    """A Python function as the backend of a handler."""
    spec = WorkerSpec.model_validate({"handler": "desk:do", "timeout": timeout})
    handler = Handler(name="do", tier=tier, spec=spec, version="v")
    callee = Callee(handler=handler, operation="function", provider="python", model="desk:do", free=True)
    return PythonFunction(callee=callee, function=function)
