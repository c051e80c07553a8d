"""What the stages need of the world. A replay or a test hands in its own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol, Self

from streams.core.answer_comparison import Agree
from streams.core.contract import Reading, encodable
from streams.core.errors import HandlerError, ModelError
from streams.core.escalation import Bar
from streams.core.messages import Attempt, Call, Origin, Score, StoredAnswer
from streams.core.pricing import PriceList
from streams.core.process_fault import raise_process_fault
from streams.core.redaction.fields import redacted
from streams.core.redaction.policy import RedactionPolicy
from streams.models.listeners.image import ImageFeatures
from streams.models.listeners.seen_image import Nominee, SeenImage
from streams.models.providers.protocol import ModelReply
from streams.pipeline.handlers import Handler
from streams.stages.lane import Lane
from streams.stages.task import Task

MAX_ERROR = 2000
OWN = "own"
"""The source of a confidence that plain code gives with its answer."""


class AnswerStore(Protocol):
    """Answers by the fingerprint of their task."""

    def get(self, fingerprint: str) -> StoredAnswer | None:
        """What is stored, however old; None when nothing is."""
        ...

    def put(self, fingerprint: str, answer: StoredAnswer) -> None:
        """Keep an answer; it must be there for the next `get` at once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one try of a handler came to, and the words on both sides."""

    reading: Reading
    sources: tuple[Score, ...] = ()
    """What the reply says of its own confidence, by source."""
    system: str = ""
    prompt: str = ""
    response: str | None = None
    reply: ModelReply | None = None
    error: ModelError | None = None
    """Why the model gave no reply."""

    @classmethod
    def failed(cls, error: ModelError | HandlerError, system: str = "", prompt: str = "") -> Self:
        """A try that gave no answer. Raises ProcessError where this process was the reason."""
        raise_process_fault(error)
        model_error = error if isinstance(error, ModelError) else None
        error_type = model_error.error_type if model_error else "handler_error"
        reading = Reading(status="failed", error_type=error_type, error=encodable(str(error)[:MAX_ERROR]))
        return cls(reading=reading, system=system, prompt=prompt, error=model_error)


@asynccontextmanager
async def holding(*limits: asyncio.Semaphore) -> AsyncIterator[None]:
    """Hold a place under each of some limits, taken in order."""
    async with AsyncExitStack() as held:
        for limit in limits:
            await held.enter_async_context(limit)
        yield


class Asker(Protocol):
    """One handler that can be asked. `operation` and `provider` name the kind of call in the audit."""

    handler: Handler
    operation: str
    provider: str
    model: str
    priced_as: str | None
    """Its name in the price list; None when it has no price."""
    bills_cache: bool
    """Whether its provider bills prompt-cache tokens apart. A local model priced as another is billed nothing, and
    its cached tokens count as plain input."""
    free: bool
    """Whether a call costs nothing by its nature, as plain code does."""
    lane: Lane | None
    """What all calls of its model have to pass in this process; None: nothing, as for plain code."""
    fallback: Asker | None
    """Who is asked when this one has failed for its provider's fault."""

    def size(self, task: Task) -> int:
        """About how many input tokens a call takes."""
        ...

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A place among the calls that may run at once; waiting for one is queueing, not calling."""
        ...

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Said:
        """One try, within the handler's timeout and `within` seconds; `Said.failed`, or a ModelError or HandlerError,
        without an answer.

        Samples of one task with different numbers are independent of each other, where the model is random.
        """
        ...


class PriorAnswers(Protocol):
    """What another run was answered: a replay asks nothing anew that did not change."""

    def find(self, fingerprint: str, origin: Origin) -> StoredAnswer | None:
        """The answer to a question with this fingerprint: this event's own, else that of the event nearest before it,
        else after it."""
        ...


class Purse(Protocol):
    """The money of the partition whose message is being handled."""

    def may_spend(self, now: datetime) -> bool:
        """Whether a call may still start today."""
        ...

    def spend(self, usd: Decimal, now: datetime) -> None:
        """Count what a call cost, or the most it can have cost where that is not known."""
        ...


class Assessor(Protocol):
    """Makes a worker's confidence of all its sources, and calibrates it."""

    async def __call__(self, task: Task, attempt: Attempt) -> Attempt:
        """The attempt with its confidence; unknown where a source is."""
        ...


class Gate(Protocol):
    """What a worker's confidence must reach, for as long as its calibration holds."""

    def observe(self, worker: str, attempt: Attempt) -> None:
        """Hold the score of a new answer against those of the calibration."""
        ...

    def bar(self, worker: str) -> Bar:
        """The bar for the worker's next decision."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Everything a tier works with."""

    pipeline_hash: str
    askers: Mapping[str, Asker]
    answers: AnswerStore
    prices: PriceList
    now: Callable[[], datetime]
    timer: Callable[[], float]
    """Monotonic seconds."""
    sleep: Callable[[float], Awaitable[None]]
    jitter: Callable[[], float]
    """A random number from 0 to 1."""
    purse: Purse | None = None
    """None: the tier has no budget."""
    prior: PriorAnswers | None = None
    """Whose answers serve however old they are and whatever the cache policy; None but in a replay."""
    assessors: Mapping[str, Assessor] = field(default_factory=dict)
    """By worker."""
    gate: Gate | None = None
    """None: each worker's own threshold."""
    agrees: Mapping[str, Agree] = field(default_factory=dict)
    """When two answers of a handler are the same one; exactly, where it says nothing."""
    flights: dict[str, asyncio.Future[StoredAnswer]] = field(default_factory=dict)
    """Tasks being asked right now, by fingerprint; as many as the agent's concurrency at most."""
    redaction: RedactionPolicy | None = None
    """What records of calls must not hold; None: they hold all that was said."""

    def recorded(self, call: Call) -> Call:
        """A call as it may be stored and published."""
        return call if self.redaction is None else redacted(call, self.redaction)


class Images(Protocol):
    """The images in the blob store, by their SHA-256."""

    async def features(self, image: str) -> ImageFeatures:
        """What an image is found again by. Raises UnreadableError when it is not an image, too large, or not there."""
        ...

    async def same(self, one: str, other: str) -> bool:
        """Whether two images show the same; False where one of them cannot be read."""
        ...


class SeenImages(Protocol):
    """The images seen so far. One owner; safe against delivering the same event twice."""

    def likeliest(self, new: SeenImage, max_distance: int) -> list[Nominee]:
        """Earlier images that a new one may be a copy of, the likeliest first, MOST_LOOKS at most; none of its own
        event, nor of events that say other words."""
        ...

    def add(self, new: SeenImage) -> None:
        """Remember an image; the oldest beyond the capacity are forgotten."""
        ...
