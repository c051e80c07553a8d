"""REASON: an escalation in, the final result out, or the task deferred because its model failed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from streams.calling.caller import Caller
from streams.calling.record import CallRecords
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget, Postponed
from streams.core.errors import HANDLER_GONE, ConfigError
from streams.core.escalation import explain
from streams.core.fingerprint import task_fingerprint
from streams.core.messages import Deferred, Escalation, Message, Result
from streams.pipeline.load import Pipeline
from streams.stages.deadline import overdue, too_late
from streams.stages.escalate import reasoner_task
from streams.stages.for_batch import for_batch
from streams.stages.over_budget import accepted, unaffordable, wait_or_end
from streams.stages.retry_later import TooLate, earlier_rounds, retry_later


async def reason(
    escalation: Escalation,
    received_at: datetime,
    pipeline: Pipeline,
    callers: Mapping[str, Caller],
    records: CallRecords,
) -> list[Message]:
    """Return what an escalation causes in tier 3: a result, answered or failed for good, or the task for later.

    An explored one has its outcome already: the reasoner's answer to it is for the audit alone.
    """
    handler = pipeline.reasoners.get(escalation.handler)
    if handler is None:
        what = f"The pipeline has no reasoner {escalation.handler!r} any more."
        raise ConfigError(what, HANDLER_GONE)
    attempt, task = escalation.attempt, reasoner_task(escalation, handler)
    caller = callers[handler.name]
    request = CallRequest(
        task=task,
        origin=escalation.event.origin,
        task_fingerprint=task_fingerprint(handler.version, task.input()),  # of the handler's version here and now
        received_at=received_at,
        parent_call_id=attempt.call_id if attempt else None,
        deadline=escalation.event.deadline,
        round=escalation.budget_deferrals + len(escalation.failures) + escalation.outages,
        batched=escalation.batch_reply,
    )
    done = await caller.call(request)
    explored = escalation.reason == "explored"
    if isinstance(done, Postponed):
        return [for_batch(escalation, records)]
    if isinstance(done, OutOfBudget):
        return [*done.calls, *(() if explored else (_out_of_budget(escalation, pipeline, records),))]
    if explored:
        return [*records.decided(done, "explored", "asked as well, to learn what was accepted")]
    later = retry_later(escalation, done, caller.callee, pipeline.spec.retry_later, records.now())
    if isinstance(later, Deferred):
        return [*records.decided(done, "deferred", f"{later.reason}; asked again later"), later]
    late = isinstance(later, TooLate) or overdue(escalation.event, records.now())
    return _settle(escalation, done, records, (too_late(escalation.event),) if late else ())


def _why(escalation: Escalation) -> tuple[str, ...]:
    return (f"{escalation.reason}: {escalation.detail}".rstrip(": "), *earlier_rounds(escalation, "reasoner"))


def _out_of_budget(escalation: Escalation, pipeline: Pipeline, records: CallRecords) -> Message:
    """Return the deferral or the result. Without a worker's answer to accept, the escalation waits."""
    at_limit, why = pipeline.spec.budgets["reasoner"].at_limit, _why(escalation)
    if at_limit == "fail":
        return unaffordable(escalation, "reasoner", records, why)
    answer = accepted(escalation, records, why) if at_limit == "accept" else None
    return answer or wait_or_end(escalation, "reasoner", records, why)


def _settle(escalation: Escalation, done: CallOutcome, records: CallRecords, late: tuple[str, ...]) -> list[Message]:
    attempt = done.attempt
    answered = attempt.status == "answered"
    why = [*_why(escalation)]
    if not answered:
        why.append(f"reasoner {attempt.status}: {explain(attempt)}")
    result = Result(
        origin=escalation.event.origin,
        state="answered" if answered else "failed",
        tier="reasoner",
        handler=escalation.handler,
        intent=escalation.intents[0],
        answer=attempt.answer if answered else None,
        reasons=(*why, *(() if answered else late)),
        call_id=attempt.call_id,
        pipeline=records.pipeline_hash,
        decided_at=records.now(),
    )
    return [*records.decided(done, "accepted" if answered else "failed", why[-1]), result]
