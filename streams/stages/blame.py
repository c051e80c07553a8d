"""Whose fault a failure was: the event's own, or an outage that would have met any event."""

from __future__ import annotations

from typing import Literal

from streams.core.errors import OUTAGES, PROVIDER_FAULTS
from streams.stages.ports import Asker
from streams.stages.question import Consultation

Blame = Literal["event", "unclear", "outage"]
RECENT = 60.0
"""Seconds for which an answer shows that a handler's requests are in order."""


def blame(done: Consultation, asker: Asker, within: float) -> Blame:
    """Whose fault it is that a consultation failed; `unclear` where this event or the provider may be at fault.

    Where it may be either, it is an outage as long as no other call of the handler was answered in the last `within`
    seconds.
    """
    if in_outage(done):
        return "outage"
    if done.attempt.status != "failed":
        return "event"
    if not may_pass(done.attempt.error_type, asker):
        return "event"
    return "unclear" if asker.lane is None or asker.lane.answers(asker.handler.name, within) else "outage"


def in_outage(done: Consultation) -> bool:
    """Whether a model, the handler's own or its fallback, could not be asked and so has not seen the question."""
    last = {call.request_model: call.error_type for call in done.calls}  # of each model's calls the last one
    return done.attempt.status == "failed" and not OUTAGES.isdisjoint(last.values())


def may_pass(error_type: str | None, asker: Asker) -> bool:
    """Whether an error need not be about the question: a model's bad request may come of the handler's own settings,
    while plain code that raises it means the question."""
    return error_type in PROVIDER_FAULTS or (error_type == "bad_request" and asker.lane is not None)
