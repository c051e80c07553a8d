"""A reasoner whose provider failed is asked again later, some times, until it has failed for good."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

from streams.core.errors import PROVIDER_FAULTS
from streams.core.escalation import explain
from streams.core.messages import Attempt, Escalation, Postponed
from streams.pipeline.spec import RetryLaterSpec
from streams.stages.deadline import overdue

MAX_REASON = 300
"""Characters kept of why each round failed."""


def asked_again(escalation: Escalation, attempt: Attempt, policy: RetryLaterSpec, now: datetime) -> datetime:
    """When the task goes on; `now`, that is never, where it has failed by its own fault or too often."""
    passes = attempt.status == "failed" and attempt.error_type in PROVIDER_FAULTS
    again = passes and len(escalation.failures) < policy.times
    return now + timedelta(seconds=policy.wait if again else 0)


def postpone(escalation: Escalation, attempt: Attempt, policy: RetryLaterSpec, now: datetime) -> Postponed | None:
    """The task, to go on later; None where it has failed for good: by its own fault, too often, or too late."""
    until = asked_again(escalation, attempt, policy, now)
    if until <= now or overdue(escalation.event, until):
        return None
    why = explain(attempt)[:MAX_REASON]
    waiting = dataclasses.replace(escalation, failures=(*escalation.failures, why))
    return Postponed(escalation=waiting, not_before=until, reason=why)
