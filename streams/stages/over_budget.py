"""The end or the deferral of a task whose tier has spent the day's money."""

from __future__ import annotations

import dataclasses

from streams.calling.record import CallRecords
from streams.core.budget import day_of, next_day
from streams.core.messages import Deferred, Escalation, Result, Tier, Verdict
from streams.stages.deadline import overdue, too_late


def wait_or_end(
    task: Verdict | Escalation, tier: Tier, records: CallRecords, reasons: tuple[str, ...] = ()
) -> Deferred | Result:
    """Defer the task to the next day, or fail it if its deadline has passed by then."""
    if overdue(task.event, next_day(records.now())):
        return unaffordable(task, tier, records, reasons, too_late(task.event))
    return defer(task, tier, records)


def defer(task: Verdict | Escalation, tier: Tier, records: CallRecords) -> Deferred:
    """Return the task, to continue when the next day begins."""
    now = records.now()
    waiting = dataclasses.replace(task, budget_deferrals=task.budget_deferrals + 1, batch_reply=None)
    return Deferred(
        cause="budget",
        verdict=waiting if isinstance(waiting, Verdict) else None,
        escalation=waiting if isinstance(waiting, Escalation) else None,
        not_before=next_day(now),
        reason=spent(tier, records),
    )


def spent(tier: Tier, records: CallRecords) -> str:
    """Return the reason why a task is not done today."""
    return f"budget: this partition's share of the {tier}s' money for {day_of(records.now())} is spent"


def unaffordable(
    task: Verdict | Escalation, tier: Tier, records: CallRecords, reasons: tuple[str, ...] = (), *further: str
) -> Result:
    """Return the task as failed because the money is spent; `reasons` come before that one, `further` ones after it."""
    return Result(
        origin=task.event.origin,
        state="failed",
        tier=tier,
        handler=task.handler,
        intent=task.intents[0],
        reasons=(*reasons, spent(tier, records), *further),
        pipeline=records.pipeline_hash,
        decided_at=records.now(),
    )


def accepted(escalation: Escalation, records: CallRecords, reasons: tuple[str, ...]) -> Result | None:
    """Return the worker's answer after all, marked so; None if the worker gave none."""
    attempt = escalation.attempt
    if attempt is None or attempt.status != "answered":
        return None
    return Result(
        origin=escalation.event.origin,
        state="answered",
        tier="worker",
        handler=attempt.handler,
        intent=escalation.intents[0],
        answer=attempt.answer,
        reasons=(*reasons, f"{spent('reasoner', records)}; the worker's answer is accepted"),
        call_id=attempt.call_id,
        pipeline=records.pipeline_hash,
        decided_at=records.now(),
    )
