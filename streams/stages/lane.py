"""The way of all calls of a process to one model: its rate limit, its circuit breaker, its retry budget."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from streams.core.breaker import Breaker, Permit
from streams.core.errors import PROVIDER_FAULTS, ModelError
from streams.core.rate import RateLimit
from streams.core.retry_budget import RetryBudget

LONGEST_HOLD = 60.0
"""Seconds for which a provider's retry-after is honoured at most."""
CACHE_SECONDS = 300.0
"""For how long a provider keeps a prompt in its cache after it was last read."""
STEP = 1.0
"""Seconds between two looks at a limit; tokens that a call did not use come back meanwhile."""


class Telling(Protocol):
    """Who hears of a lane, by the model's key in the pipeline file."""

    def breaker(self, model_key: str, state: str) -> None:
        """The breaker is in this state now."""
        ...

    def retry(self, model_key: str, fate: str) -> None:
        """A retry was `made`, or `refused` because the budget is spent."""
        ...

    def held(self, model_key: str, seconds: float) -> None:
        """A call has waited for the rate limit."""
        ...


class Untold:
    """Hears nothing."""

    def breaker(self, model_key: str, state: str) -> None:
        """Forgets it."""

    def retry(self, model_key: str, fate: str) -> None:
        """Forgets it."""

    def held(self, model_key: str, seconds: float) -> None:
        """Forgets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One call that may be made: about how many input tokens it takes, its permit from the breaker, whose it is."""

    size: int
    permit: Permit
    handler: str
    measured: int
    """Its size before anything was learnt of the handler's calls."""


@dataclass(kw_only=True)
class Lane:
    """One model's. `timer` is monotonic seconds. Every call is let in, and either left or abandoned."""

    model_key: str
    timer: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    limit: RateLimit = field(default_factory=RateLimit)
    breaker: Breaker = field(default_factory=Breaker)
    retries: RetryBudget = field(default_factory=lambda: RetryBudget(0.5))
    telling: Telling = field(default_factory=Untold)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Whoever waits for the limit is let in first; those behind wait for the turn."""
    _answered: dict[str, float] = field(default_factory=dict)
    """When each handler was last answered."""
    _counted: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Of each handler's latest answer: when, and which share of its measured size counted against the limit."""

    def expected(self, handler: str, measured: int) -> int:
        """About how many tokens a call of this measured size counts, by what the handler's latest call counted.

        A prompt that the provider reads from its cache counts for next to nothing, for as long as the cache lasts.
        """
        at, share = self._counted.get(handler, (-math.inf, 1.0))
        return math.ceil(measured * share) if self.timer() - at <= CACHE_SECONDS else measured

    async def admit(self, size: int, left: Callable[[], float]) -> ModelError | None:
        """Wait for the limit while there are seconds `left`; the error where no call may be made."""
        began = self.timer()
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
            self.telling.held(self.model_key, now - began)
        return None

    def enter(self, size: int, handler: str = "", measured: int = 0) -> Pass:
        """The call begins, in the same breath in which it was admitted."""
        now = self.timer()
        self.limit.take(now, size)
        self.retries.deposit(now)
        return Pass(size=size, permit=self.breaker.enter(), handler=handler, measured=measured)

    def leave(self, given: Pass, error: ModelError | None, tokens: tuple[int | None, int | None]) -> None:
        """The call has ended, with an error or not, and these input and output tokens count against the limit."""
        now, counted = self.timer(), tokens[0]
        self.limit.settle(now, given.size, *tokens)
        if given.measured and counted is not None:
            self._counted[given.handler] = now, min(1.0, counted / given.measured)
        if error is not None and error.error_type in PROVIDER_FAULTS:
            self.breaker.failed(given.permit, now)
        else:
            self.breaker.answered(given.permit)
        if error is None:
            self._answered[given.handler] = now
        if error is not None and error.error_type == "rate_limited" and error.retry_after:
            self.limit.hold(now, min(error.retry_after, LONGEST_HOLD))
        self.telling.breaker(self.model_key, self.breaker.state)

    def abandon(self, given: Pass) -> None:
        """The call was cut off by this process itself, as a rehearsal does with every one."""
        self.limit.give_back(self.timer(), given.size)
        self.breaker.abandoned(given.permit)

    def answers(self, handler: str, within: float) -> bool:
        """Whether a call of the handler was answered in the last `within` seconds: its requests are in order."""
        at = self._answered.get(handler)
        return at is not None and self.timer() - at <= within

    def may_retry(self) -> bool:
        """Whether the budget has a retry left; it is then counted."""
        granted = self.retries.withdraw(self.timer())
        self.telling.retry(self.model_key, "made" if granted else "refused")
        return granted

    def _rests(self) -> float:
        """Seconds until the breaker lets a call in."""
        before, rests = self.breaker.state, self.breaker.wait(self.timer())
        if self.breaker.state != before:
            self.telling.breaker(self.model_key, self.breaker.state)
        return rests


def circuit_open(model_key: str, seconds: float) -> ModelError:
    """No call was made, for the model's latest calls failed; it may be asked again in some seconds."""
    what = f"Most of the latest calls of the model {model_key} failed, so it is left alone for {seconds:.1f} s."
    remedy = "Look at its provider; set a fallback to have another model asked meanwhile."
    return ModelError("circuit_open", what, remedy, retryable=True, retry_after=seconds)


def past_deadline() -> ModelError:
    """No call was made, for the event's deadline has passed."""
    remedy = "Raise the pipeline's deadline, or let more calls run at once."
    return ModelError("deadline", "The event's deadline has passed.", remedy, retryable=False)
