"""Limits on the calls of a model: at once, in a minute, and after failures."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from streams.calling.caller import Callee, CallWrapper
from streams.calling.record import CallRecords, cache_tokens
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget, Reply, past_deadline
from streams.calling.task import Task
from streams.core.breaker import Breaker, Permit
from streams.core.errors import PROVIDER_FAULTS, HandlerError, ModelError
from streams.core.rate import RateLimit
from streams.core.retry_budget import RetryBudget

LONGEST_HOLD = 60.0
"""Seconds for which a provider's retry-after is honoured at most."""
CACHE_SECONDS = 300.0
"""Seconds for which a provider keeps a prompt in its cache after it was last read."""
STEP = 1.0
"""Seconds between two looks at a limit; tokens that a call did not use come back meanwhile."""


class LimitObserver(Protocol):
    """Counts what a model's limits do, by the model's key in the pipeline file."""

    def breaker(self, model_key: str, state: str) -> None:
        """The breaker is in this state now."""
        ...

    def retry(self, model_key: str, fate: str) -> None:
        """A retry was `made`, or `refused` because the budget is spent."""
        ...

    def held(self, model_key: str, seconds: float) -> None:
        """A call has waited for the rate limit."""
        ...


class NullObserver:
    """Counts nothing."""

    def breaker(self, model_key: str, state: str) -> None:
        """Do nothing."""

    def retry(self, model_key: str, fate: str) -> None:
        """Do nothing."""

    def held(self, model_key: str, seconds: float) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPermit:
    """One call that may be made now. It is released or cancelled once."""

    size: int
    """About how many input tokens it takes."""
    breaker: Permit
    handler: str
    measured: int
    """Its size before anything was learnt of the handler's calls."""


@dataclass(kw_only=True)
class ModelLimits:
    """The rate limit, circuit breaker and retry budget of one model, shared by all its calls in this process."""

    model_key: str
    timer: Callable[[], float]
    """Monotonic seconds."""
    sleep: Callable[[float], Awaitable[None]]
    limit: RateLimit = field(default_factory=RateLimit)
    breaker: Breaker = field(default_factory=Breaker)
    retries: RetryBudget = field(default_factory=lambda: RetryBudget(0.5))
    observer: LimitObserver = field(default_factory=NullObserver)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the first call that waits for the limit; the others wait for it in order."""
    _answered: dict[str, float] = field(default_factory=dict)
    """The time of each handler's last answer."""
    _counted: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Of each handler's latest answer: the time, and the share of its measured size that counted against the limit."""

    async def acquire(self, handler: str, measured: int, left: Callable[[], float]) -> CallPermit | ModelError:
        """Wait for the limit while there are seconds `left`; return the error where no call may be made.

        `measured` is the call's size in input tokens; it is counted by what the handler's latest call counted.
        """
        began, size = self.timer(), self._expected(handler, measured)
        async with self._turn:
            while True:
                now, rests = self.timer(), self._rests()
                if rests > 0:
                    return circuit_open(self.model_key, rests)
                if left() <= 0:
                    return past_deadline()
                wait = self.limit.wait(now, size)
                if wait <= 0:
                    break
                await self.sleep(min(wait, STEP, left()))
            if now > began:
                self.observer.held(self.model_key, now - began)
            return self._begin(handler, measured)

    def release(self, permit: CallPermit, error: ModelError | None, tokens: tuple[int | None, int | None]) -> None:
        """End a call, with an error or not; these input and output tokens count against the limit."""
        now, counted = self.timer(), tokens[0]
        self.limit.settle(now, permit.size, *tokens)
        if permit.measured and counted is not None:
            self._counted[permit.handler] = now, min(1.0, counted / permit.measured)
        if error is not None and error.error_type in PROVIDER_FAULTS:
            self.breaker.failed(permit.breaker, now)
        else:
            self.breaker.answered(permit.breaker)
        if error is None:
            self._answered[permit.handler] = now
        if error is not None and error.error_type == "rate_limited" and error.retry_after:
            self.limit.hold(now, min(error.retry_after, LONGEST_HOLD))
        self.observer.breaker(self.model_key, self.breaker.state)

    def cancel(self, permit: CallPermit) -> None:
        """End a call that was not made, or that this process itself cut off."""
        self.limit.give_back(self.timer(), permit.size)
        self.retries.give_back()
        self.breaker.abandoned(permit.breaker)

    def answered(self, handler: str, within: float) -> bool:
        """True if a call of the handler was answered in the last `within` seconds, so its requests are well-formed."""
        at = self._answered.get(handler)
        return at is not None and self.timer() - at <= within

    def may_retry(self) -> bool:
        """Withdraw a retry from the budget; False if there is none left."""
        granted = self.retries.withdraw(self.timer())
        self.observer.retry(self.model_key, "made" if granted else "refused")
        return granted

    def _begin(self, handler: str, measured: int) -> CallPermit:
        now, size = self.timer(), self._expected(handler, measured)
        self.limit.take(now, size)
        self.retries.deposit(now)
        return CallPermit(size=size, breaker=self.breaker.enter(), handler=handler, measured=measured)

    def _expected(self, handler: str, measured: int) -> int:
        """Return the tokens that a call will count, about.

        A prompt that the provider reads from its cache counts for next to nothing, for as long as the cache lasts.
        """
        at, share = self._counted.get(handler, (-math.inf, 1.0))
        return math.ceil(measured * share) if self.timer() - at <= CACHE_SECONDS else measured

    def _rests(self) -> float:
        """Return the seconds until the breaker lets a call through."""
        before, rests = self.breaker.state, self.breaker.wait(self.timer())
        if self.breaker.state != before:
            self.observer.breaker(self.model_key, self.breaker.state)
        return rests


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited(CallWrapper):
    """Calls when the model's limits allow it. Waiting for them is queueing, not calling."""

    limits: ModelLimits
    records: CallRecords
    size: Callable[[Task], int]

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Return the outcome, or that of an attempt without a call where none may be made."""

        def left() -> float:
            return request.seconds_left(self.records.now())

        permit = await self.limits.acquire(self.callee.handler.name, self._measured(request.task), left)
        if isinstance(permit, ModelError):
            return self.records.not_called(request, self.callee, permit)
        reply = None
        try:
            outcome = await self.caller.call(request)
            reply = outcome.reply if isinstance(outcome, CallOutcome) else None
        finally:
            if reply is None or not reply.sent:
                self.limits.cancel(permit)
            else:
                self.limits.release(permit, reply.error, _counted_tokens(self.callee, reply))
        return outcome

    def _measured(self, task: Task) -> int:
        """Return the size of a task where input tokens are limited: measuring it means rendering the prompt."""
        if self.limits.limit.input_tokens is None:
            return 0
        try:
            return self.size(task)
        except HandlerError:  # the call will fail of it, and that is an attempt with a record of its own
            return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded(CallWrapper):
    """Makes at most so many calls at once."""

    slots: tuple[asyncio.Semaphore, ...]
    """A slot of each is taken, in order."""

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Wait for the slots, then call."""
        return await self._call(request, *self.slots)

    async def _call(self, request: CallRequest, *slots: asyncio.Semaphore) -> CallOutcome | OutOfBudget:
        if not slots:
            return await self.caller.call(request)
        async with slots[0]:
            return await self._call(request, *slots[1:])


def circuit_open(model_key: str, seconds: float) -> ModelError:
    """Return the error of a call that was not made because the model's latest calls failed."""
    what = f"Most of the latest calls of the model {model_key} failed, so it is not called for {seconds:.1f} s."
    remedy = "Look at its provider; set a fallback to have another model asked meanwhile."
    return ModelError("circuit_open", what, remedy, retryable=True, retry_after=seconds)


def _counted_tokens(callee: Callee, reply: Reply) -> tuple[int | None, int | None]:
    """Return the input and output tokens that count against the provider's limits: not those read from its cache.

    Anthropic's limits count so, for all models but long retired ones. Where it is not known what was read all counts.
    """
    said = reply.model_reply
    if said is None or said.input_tokens is None:
        return None, said.output_tokens if said else None
    read, _ = cache_tokens(callee, reply)
    return max(0, said.input_tokens - (read or 0)), said.output_tokens
