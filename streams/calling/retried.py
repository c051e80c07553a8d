"""Retries of a call that failed in a way that may pass: each attempt is a call with a record of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from streams.calling.caller import CallWrapper
from streams.calling.limited import LONGEST_HOLD, ModelLimits
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget
from streams.core.errors import NOT_CALLED, ModelError
from streams.core.messages import Call

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried(CallWrapper):
    """Calls until an attempt succeeds or a further one is not allowed. It holds no slot while it waits."""

    limits: ModelLimits | None
    """Its budget of retries; None for plain code."""
    has_fallback: bool
    now: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]]
    jitter: Callable[[], float]
    """A random number from 0 to 1."""

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Return the last attempt with the calls of all."""
        calls: list[Call] = []
        while True:
            outcome = await self.caller.call(request.after(len(calls)))
            if isinstance(outcome, OutOfBudget):
                return OutOfBudget((*calls, *outcome.calls))
            error = outcome.reply.error if outcome.reply is not None else None
            pause = self._pause(request, error, len(calls) + 1)
            if pause is None:
                return dataclasses.replace(outcome, calls=(*calls, *outcome.calls)) if calls else outcome
            calls.append(dataclasses.replace(outcome.calls[-1], decision="retried"))
            await self.sleep(pause)

    def _pause(self, request: CallRequest, error: ModelError | None, attempts: int) -> float | None:
        """Return the seconds until the next attempt; None for the end."""
        if error is None or attempts > self.callee.handler.spec.retries:
            return None
        pause = next_pause(error, attempts, self.jitter(), self.has_fallback)
        if pause is None or pause >= request.seconds_left(self.now()):
            return None
        # An attempt without a call has cost the provider nothing, so the next one does not count as a retry.
        counts = self.limits is not None and error.error_type not in NOT_CALLED
        return pause if not counts or (self.limits is not None and self.limits.may_retry()) else None


def next_pause(error: ModelError, attempts: int, jitter: float, has_fallback: bool) -> float | None:
    """Return the seconds to wait after some attempts; None where the same call would not succeed, or a fallback can."""
    called = error.error_type not in NOT_CALLED
    if not error.retryable or (not called and has_fallback):
        return None
    backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** (attempts - 1)) * (0.5 + jitter / 2)
    # A breaker's rest ends for all at once, so each waits its own back-off on top.
    wished = min(error.retry_after or 0.0, LONGEST_HOLD)
    return max(backoff, wished) if called else wished + backoff
