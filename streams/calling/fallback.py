"""The handler's second model, asked when the first has failed for its provider's fault."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from streams.calling.cached import KnownAnswers
from streams.calling.caller import Caller, CallWrapper
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget
from streams.core.errors import PROVIDER_FAULTS

RECENT = 60.0
"""Seconds for which an answer shows that a handler's requests are well-formed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback(CallWrapper):
    """Calls another caller where the wrapped one failed without having said anything about the task."""

    other: Caller
    answers: KnownAnswers | None
    """The rules for the other's stored answers; None asks it each time."""

    async def call(self, request: CallRequest) -> CallOutcome | OutOfBudget:
        """Return the first outcome that is not the provider's fault, with the calls of both."""
        outcome = await self.caller.call(request)
        if isinstance(outcome, OutOfBudget) or not self._is_needed(outcome.attempt.error_type):
            return outcome
        failed = (*outcome.calls[:-1], dataclasses.replace(outcome.calls[-1], decision="retried"))
        second = request.to(self.other.callee.handler).after(len(failed))
        known = self.answers.find(second, self.other.callee) if self.answers is not None else None
        more = known or await self.other.call(second)
        return dataclasses.replace(more, calls=(*failed, *more.calls))

    def _is_needed(self, error_type: str | None) -> bool:
        answered = self.callee.answered_within
        if error_type == "bad_request" and answered is not None:
            return not answered(RECENT)
        return error_type in PROVIDER_FAULTS
