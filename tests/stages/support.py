"""A small pipeline, and fakes for all that the stages need of the world."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from streams.core.contract import Reading
from streams.core.errors import HandlerError, ModelError, UnreadableError
from streams.core.messages import AttemptStatus, Event, Finding, Score, StoredAnswer, Verdict
from streams.core.pricing import Price, PriceList
from streams.models.listeners.image import ImageFeatures
from streams.models.listeners.image_index import HashIndex, likeliest
from streams.models.listeners.seen_image import Nominee, SeenImage
from streams.models.providers.protocol import ModelReply
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline, load_pipeline
from streams.stages.lane import Lane
from streams.stages.ports import Asker, Desk, Said
from streams.stages.task import Task
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


def said(value: Any = "yes", confidence: float | None = None, status: AttemptStatus = "answered", **more: Any) -> Said:
    """An asker's words, with the tokens of a reply."""
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
    return Said(reading=reading, sources=sources, system="be brief", prompt="hello?", response=reply.text, reply=reply)


def confidence_of(one: Said) -> float | None:
    """What the one source of confidence said; None without any."""
    assert len(one.sources) <= 1
    return one.sources[0].probability if one.sources else None


def refusal(reason: str = "no order number") -> Said:
    """A refusal for missing information."""
    return said(status="refused", refusal_class="missing_information", refusal_reason=reason)


def broken_schema() -> Said:
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


Turn = Said | ModelError | HandlerError


@dataclass
class FakeAsker:
    """Says what its script says, turn by turn, the last turn ever after; counts what it is asked.

    With a `gate` each ask waits until the gate opens.
    """

    handler: Handler
    script: Sequence[Turn]
    gate: asyncio.Event | None = None
    operation: str = "chat"
    provider: str = "fake"
    model: str = "m"
    priced_as: str | None = "m"
    bills_cache: bool = True
    free: bool = False
    lane: Lane | None = None
    fallback: Asker | None = None
    asked: list[Task] = field(default_factory=list)
    within: list[float] = field(default_factory=list)
    """The time each call was given."""

    def size(self, task: Task) -> int:
        """As long as the text."""
        return len(task.text)

    def slot(self) -> AbstractAsyncContextManager[None]:
        """No limit."""
        return nullcontext()

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Said:  # noqa: ARG002
        """The next turn of the script."""
        turn = self.script[min(len(self.asked), len(self.script) - 1)]
        self.asked.append(task)
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
        """Raises UnreadableError for an image that nobody knows."""
        if image not in self.known:
            raise UnreadableError("not_an_image", f"The bytes of {image} are no image.")
        return self.known[image]

    async def same(self, one: str, other: str) -> bool:
        """Whether the two were said to be the same."""
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
        """What is stored."""
        return self.kept.get(fingerprint)

    def put(self, fingerprint: str, answer: StoredAnswer) -> None:
        """Keep it."""
        self.kept[fingerprint] = answer


@dataclass
class Clock:
    """Time that passes only when told to, and while something sleeps."""

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
    """A pipeline with its desk, its askers by name, its clock and its store."""

    pipeline: Pipeline
    desk: Desk
    askers: dict[str, FakeAsker]
    clock: Clock
    answers: FakeAnswers


def office(directory: Path, text: str = PIPELINE, jitter: Callable[[], float] = lambda: 1.0, **scripts: Turn) -> Office:
    """An office whose askers each say one thing; `office.askers[name].script` may be changed."""
    pipeline, clock, answers = build(directory, text), Clock(), FakeAnswers()
    askers = {
        name: FakeAsker(handler, [scripts.get(name, said(None if handler.tier == "listener" else "yes"))])
        for name, handler in handlers(pipeline).items()
    }
    price = Price(Decimal(1), Decimal(5), Decimal(1), Decimal(1))
    desk = Desk(
        pipeline_hash=pipeline.hash,
        askers=askers,
        answers=answers,
        prices=PriceList(date(2026, 11, 1), {"m": price}),
        now=clock.now,
        timer=clock.timer,
        sleep=clock.sleep,
        jitter=jitter,
    )
    return Office(pipeline, desk, askers, clock, answers)


def with_spec(handler: Handler, **changes: Any) -> Handler:
    """A handler with some options changed."""
    return dataclasses.replace(handler, spec=handler.spec.model_copy(update=changes))


def the(kind: type[M], messages: Sequence[Any]) -> M:
    """The one message of a kind."""
    found = [message for message in messages if isinstance(message, kind)]
    assert len(found) == 1, f"{len(found)} messages are {kind.__name__}"
    return found[0]
