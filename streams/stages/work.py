"""WORK: a routed task in, an answer out, or an escalation with the attempt that fell short."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from streams.calling.caller import Caller
from streams.calling.confidence import ConfidenceScorer
from streams.calling.record import CallRecords
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget, Postponed
from streams.calling.task import task_of
from streams.calling.threshold import ThresholdPolicy
from streams.core.errors import HANDLER_GONE, ConfigError
from streams.core.escalation import Accept, Escalate, Threshold, decide
from streams.core.fingerprint import draw, task_fingerprint
from streams.core.messages import Call, Deferred, Message, Result, Verdict
from streams.core.routing import deciding
from streams.pipeline.confidence import ConfidenceConfig
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.stages.deadline import overdue, too_late
from streams.stages.escalate import escalate
from streams.stages.for_batch import for_batch
from streams.stages.over_budget import unaffordable, wait_or_end
from streams.stages.retry_later import TooLate, earlier_rounds, retry_later


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    verdict: Verdict
    handler: Handler
    config: ConfidenceConfig
    reasoner: Handler | None
    pipeline: Pipeline
    caller: Caller
    records: CallRecords
    thresholds: ThresholdPolicy | None


async def work(
    verdict: Verdict,
    received_at: datetime,
    pipeline: Pipeline,
    callers: Mapping[str, Caller],
    records: CallRecords,
    scorers: Mapping[str, ConfidenceScorer],
    thresholds: ThresholdPolicy | None = None,
) -> list[Message]:
    """Return what a verdict causes in tier 2; nothing if its route does not lead here.

    Without `thresholds` each worker's own one applies.
    """
    if verdict.action != "work":
        return []
    handler = pipeline.workers.get(verdict.handler)
    if handler is None or handler.confidence is None:
        raise ConfigError(f"The pipeline has no worker {verdict.handler!r} any more.", HANDLER_GONE)
    job = _Job(
        verdict=verdict,
        handler=handler,
        config=handler.confidence,
        reasoner=pipeline.reasoner_of(handler.name),
        pipeline=pipeline,
        caller=callers[handler.name],
        records=records,
        thresholds=thresholds,
    )
    request = _request(job, received_at)
    done = await job.caller.call(request)
    if isinstance(done, Postponed):
        return [for_batch(verdict, records)]
    if isinstance(done, OutOfBudget):
        return [*done.calls, _out_of_budget(job)]
    if (scorer := scorers.get(handler.name)) is not None:
        attempt = await scorer(request.task, done.attempt)
        if _by_fallback(job, done):  # the worker's calibration says nothing of it
            attempt = dataclasses.replace(attempt, confidence=attempt.raw_confidence)
        done = dataclasses.replace(done, attempt=attempt)
    return _settle(job, done)


def _request(job: _Job, received_at: datetime) -> CallRequest:
    verdict, handler = job.verdict, job.handler
    task = task_of(verdict.event, handler.inputs)
    found = deciding(verdict.findings, verdict.intents[0])
    return CallRequest(
        task=task,
        origin=verdict.event.origin,
        task_fingerprint=task_fingerprint(handler.version, task.input()),
        received_at=received_at,
        parent_call_id=found.call_id if found else None,
        deadline=verdict.event.deadline,
        round=verdict.budget_deferrals + len(verdict.failures) + verdict.outages,
        batched=verdict.batch_reply,
    )


def _settle(job: _Job, done: CallOutcome) -> list[Message]:
    threshold = _threshold(job, done)
    match decide(done.attempt, threshold.threshold, threshold.raw_threshold):
        case Accept(reason):
            calls = job.records.decided(done, "accepted", f"{reason}{threshold.note}", threshold)
            return _explore(job, done, [*calls, _result(job, done)])
        case Escalate(reason, detail):
            why = f"{reason}: {detail}{threshold.note}"
            late = (too_late(job.verdict.event),) if overdue(job.verdict.event, job.records.now()) else ()
            if job.reasoner is None or late:  # a reasoner could not be asked in time either
                return _without_reasoner(job, done, why, late, threshold)
            escalation = escalate(
                job.verdict, job.reasoner, job.records, reason, f"{detail}{threshold.note}", done.attempt
            )
            return [*job.records.decided(done, "escalated", why, threshold), escalation]


def _without_reasoner(
    job: _Job, done: CallOutcome, why: str, late: tuple[str, ...], threshold: Threshold
) -> list[Message]:
    """End a task that no reasoner can take; where its model failed it is asked again later, if the policy allows."""
    verdict, records = job.verdict, job.records
    later = (
        None if late else retry_later(verdict, done, job.caller.callee, job.pipeline.spec.retry_later, records.now())
    )
    if isinstance(later, Deferred):
        return [*records.decided(done, "deferred", f"{later.reason}; asked again later", threshold), later]
    if isinstance(later, TooLate):
        late = (too_late(verdict.event),)
    reasons = (*earlier_rounds(verdict, "worker"), why, *late)
    return [*records.decided(done, "failed", why, threshold), _result(job, done, *reasons)]


def _explore(job: _Job, done: CallOutcome, messages: list[Message]) -> list[Message]:
    """Return the messages of an accepted answer; for a random share of answers the reasoner is asked as well.

    The draw follows from the call's id, so an event that is delivered again is drawn alike.
    """
    explore = job.config.explore
    if explore == 0 or job.reasoner is None:
        return messages
    *others, call, result = messages
    assert isinstance(call, Call)  # noqa: S101
    explored = draw("explore", call.call_id) < explore
    call = dataclasses.replace(call, propensity=explore, explored=explored)
    if not explored:
        return [*others, call, result]
    escalation = escalate(job.verdict, job.reasoner, job.records, "explored", "", done.attempt)
    return [*others, call, result, escalation]


def _threshold(job: _Job, done: CallOutcome) -> Threshold:
    config, thresholds, worker = job.config, job.thresholds, job.handler.name
    if config.artifact is not None and _by_fallback(job, done):
        return config.fallback_model_threshold
    if thresholds is None:
        return config.current_threshold
    if not done.calls[-1].cache_hit:  # a stored answer's score was observed when it was made
        thresholds.observe(worker, done.attempt)
    return thresholds.threshold(worker)


def _by_fallback(job: _Job, done: CallOutcome) -> bool:
    """True if the fallback model has a part in the answer; the worker's calibration does not cover its answers."""
    return any(call.status == "answered" and call.handler_version != job.handler.version for call in done.calls)


def _out_of_budget(job: _Job) -> Message:
    if job.pipeline.spec.budgets["worker"].at_limit == "fail":
        return unaffordable(job.verdict, "worker", job.records)
    return wait_or_end(job.verdict, "worker", job.records)


def _result(job: _Job, done: CallOutcome, *reasons: str) -> Result:
    return Result(
        origin=job.verdict.event.origin,
        state="failed" if reasons else "answered",
        tier="worker",
        handler=job.verdict.handler,
        intent=job.verdict.intents[0],
        answer=None if reasons else done.attempt.answer,
        reasons=reasons,
        call_id=done.attempt.call_id,
        pipeline=job.records.pipeline_hash,
        decided_at=job.records.now(),
    )
