"""The cause of a failure: the event itself, or an outage that would have met any event."""

from __future__ import annotations

from typing import Literal

from streams.calling.caller import Callee
from streams.calling.request import CallOutcome
from streams.core.errors import OUTAGES, PROVIDER_FAULTS

Blame = Literal["event", "unclear", "outage"]


def blame(done: CallOutcome, callee: Callee, within: float) -> Blame:
    """Return the cause of a failed call; `unclear` where it may be this event or the provider.

    An unclear failure is an outage as long as no other call of the handler was answered in the last `within` seconds.
    """
    if in_outage(done):
        return "outage"
    if done.attempt.status != "failed":
        return "event"
    if not may_pass(done.attempt.error_type, callee):
        return "event"
    return "unclear" if callee.answered_within is None or callee.answered_within(within) else "outage"


def in_outage(done: CallOutcome) -> bool:
    """True if a model, the handler's own or its fallback, could not be asked and so has not seen the task."""
    last = {call.request_model: call.error_type for call in done.calls}  # of each model's calls the last one
    return done.attempt.status == "failed" and not OUTAGES.isdisjoint(last.values())


def may_pass(error_type: str | None, callee: Callee) -> bool:
    """True if an error need not be about the task: a model's bad request may come of the handler's own settings, while
    plain code that raises it means the task."""
    return error_type in PROVIDER_FAULTS or (error_type == "bad_request" and callee.answered_within is not None)
