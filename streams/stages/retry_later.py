"""Deferral of a task whose model failed: a few times if the task may be the cause, indefinitely in an outage."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

from streams.calling.caller import Callee
from streams.calling.request import CallOutcome
from streams.core.errors import OPERATOR_FAULTS, ServiceError
from streams.core.escalation import explain
from streams.core.messages import Deferred, Escalation, Verdict
from streams.pipeline.spec import RetryLaterSpec
from streams.stages.blame import blame
from streams.stages.deadline import overdue

MAX_REASON = 300
"""Characters kept of the reason why each round failed."""


@dataclasses.dataclass(frozen=True, slots=True)
class TooLate:
    """The task would be asked again, but its deadline has passed by then."""


def retry_later(
    task: Verdict | Escalation, done: CallOutcome, callee: Callee, policy: RetryLaterSpec | None, now: datetime
) -> Deferred | TooLate | None:
    """Return the task, to continue later; None where it has ended, as the cause itself or after too many failures.

    Without a policy, as in a replay, nothing continues later. A fault that an operator must correct then raises
    ServiceError, because no event may end because of it.
    """
    why = explain(done.attempt)[:MAX_REASON]
    if policy is None:
        if done.attempt.error_type in OPERATOR_FAULTS:
            raise ServiceError(f"{callee.handler.name} cannot ask its model: {why}", "Then run the same command again.")
        return None
    match blame(done, callee, policy.wait):
        case "outage":
            waiting = dataclasses.replace(task, outages=task.outages + 1, batch_reply=None)
        case "unclear" if len(task.failures) < policy.times:
            waiting = dataclasses.replace(task, failures=(*task.failures, why), batch_reply=None)
        case _:
            return None
    until = now + timedelta(seconds=policy.wait)
    if overdue(task.event, until):
        return TooLate()
    return Deferred(
        cause="provider",
        verdict=waiting if isinstance(waiting, Verdict) else None,
        escalation=waiting if isinstance(waiting, Escalation) else None,
        not_before=until,
        reason=why,
    )


def earlier_rounds(task: Verdict | Escalation, tier: str) -> list[str]:
    """Return the reasons why a task was deferred in earlier rounds."""
    said = [f"{tier} failed: {failure}" for failure in task.failures]
    if task.outages:
        said.append(f"put off {task.outages} times by an outage")
    return said
