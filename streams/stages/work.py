"""WORK: a routed task in, an answer out, or an escalation with what fell short."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime

from streams.core.answer_comparison import Comparison
from streams.core.errors import HANDLER_GONE, ConfigError
from streams.core.escalation import Accept, Bar, Escalate, decide
from streams.core.fingerprint import draw, task_fingerprint
from streams.core.messages import Call, Deferred, Message, Result, Verdict
from streams.core.routing import deciding
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.stages.deadline import overdue, too_late
from streams.stages.escalate import escalate
from streams.stages.over_budget import unaffordable, wait_or_end
from streams.stages.ports import Desk
from streams.stages.question import Consultation, OutOfBudget, Question
from streams.stages.retry_later import TooLate, earlier_rounds, retry_later
from streams.stages.sample import consult_samples
from streams.stages.task import task_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What the parts of this stage all need."""

    verdict: Verdict
    handler: Handler
    reasoner: Handler | None
    pipeline: Pipeline
    desk: Desk


async def work(verdict: Verdict, received_at: datetime, pipeline: Pipeline, desk: Desk) -> list[Message]:
    """What a verdict causes in tier 2; nothing, when its route does not lead here."""
    if verdict.action != "work":
        return []
    handler = pipeline.workers.get(verdict.handler)
    if handler is None or handler.trust is None:
        what = f"The pipeline has no worker {verdict.handler!r} any more."
        raise ConfigError(what, HANDLER_GONE)
    job = _Job(
        verdict=verdict, handler=handler, reasoner=pipeline.reasoner_of(handler.name), pipeline=pipeline, desk=desk
    )
    question = _question(job, received_at)
    done = await consult_samples(question, desk, handler.trust.samples, desk.agrees.get(handler.name, Comparison()))
    if isinstance(done, OutOfBudget):
        return [*done.calls, _out_of_budget(job)]
    assess = desk.assessors.get(handler.name)
    if assess is not None:
        done = _uncalibrated(job, Consultation(await assess(question.task, done.attempt), done.calls))
    return _settle(job, done)


def _question(job: _Job, received_at: datetime) -> Question:
    verdict, handler = job.verdict, job.handler
    task = task_of(verdict.event, handler.spec.inputs)
    found = deciding(verdict.findings, verdict.intents[0])
    return Question(
        asker=job.desk.askers[handler.name],
        task=task,
        origin=verdict.event.origin,
        task_fingerprint=task_fingerprint(handler.version, task.input()),
        received_at=received_at,
        parent_call_id=found.call_id if found else None,
        deadline=verdict.event.deadline,
        round=verdict.budget_deferrals + len(verdict.failures) + verdict.outages,
    )


def _settle(job: _Job, done: Consultation) -> list[Message]:
    bar = _bar(job, done)
    match decide(done.attempt, bar.threshold, bar.raw_threshold):
        case Accept(reason):
            calls = done.decided(job.desk, "accepted", f"{reason}{bar.note}", bar)
            return _explore(job, done, [*calls, _result(job, done)])
        case Escalate(reason, detail):
            why = f"{reason}: {detail}{bar.note}"
            late = (too_late(job.verdict.event),) if overdue(job.verdict.event, job.desk.now()) else ()
            if job.reasoner is None or late:  # a reasoner could not be asked in time either
                return _without_reasoner(job, done, why, late, bar)
            escalation = escalate(job.verdict, job.reasoner, job.desk, reason, f"{detail}{bar.note}", done.attempt)
            return [*done.decided(job.desk, "escalated", why, bar), escalation]


def _without_reasoner(job: _Job, done: Consultation, why: str, late: tuple[str, ...], bar: Bar) -> list[Message]:
    """The end of a task that nobody else can take; where its model failed it is asked again later, if it may be."""
    verdict, desk = job.verdict, job.desk
    asker = desk.askers[job.handler.name]
    later = None if late else retry_later(verdict, done, asker, job.pipeline.spec.retry_later, desk.now())
    if isinstance(later, Deferred):
        return [*done.decided(desk, "deferred", f"{later.reason}; asked again later", bar), later]
    if isinstance(later, TooLate):
        late = (too_late(verdict.event),)
    reasons = (*earlier_rounds(verdict, "worker"), why, *late)
    return [*done.decided(desk, "failed", why, bar), _result(job, done, *reasons)]


def _explore(job: _Job, done: Consultation, messages: list[Message]) -> list[Message]:
    """The messages of an accepted answer; for a random share of them the reasoner is asked as well.

    The draw follows from the call's id, so an event that is delivered again is drawn alike.
    """
    explore = job.handler.trust.explore if job.handler.trust else 0.0
    if explore == 0 or job.reasoner is None:
        return messages
    *others, call, result = messages
    assert isinstance(call, Call)  # noqa: S101
    explored = draw("explore", call.call_id) < explore
    call = dataclasses.replace(call, propensity=explore, explored=explored)
    if not explored:
        return [*others, call, result]
    escalation = escalate(job.verdict, job.reasoner, job.desk, "explored", "", done.attempt)
    return [*others, call, result, escalation]


def _bar(job: _Job, done: Consultation) -> Bar:
    gate, worker = job.desk.gate, job.handler
    if worker.trust is not None and worker.trust.artifact is not None and _by_fallback(job, done):
        return worker.trust.bar_of_fallback
    if gate is None:
        return worker.trust.bar if worker.trust else Bar(None)
    if not done.calls[-1].cache_hit:  # the score of a stored answer was seen, and a frequent task is no change
        gate.observe(worker.name, done.attempt)
    return gate.bar(worker.name)


def _by_fallback(job: _Job, done: Consultation) -> bool:
    """Whether the fallback model has a part in the answer; of its answers the worker's calibration says nothing."""
    return any(call.status == "answered" and call.handler_version != job.handler.version for call in done.calls)


def _uncalibrated(job: _Job, done: Consultation) -> Consultation:
    """The attempt with the confidence it came with, where that is the fallback's."""
    if not _by_fallback(job, done):
        return done
    return Consultation(dataclasses.replace(done.attempt, confidence=done.attempt.raw_confidence), done.calls)


def _out_of_budget(job: _Job) -> Message:
    if job.pipeline.spec.budgets["worker"].at_limit == "fail":
        return unaffordable(job.verdict, "worker", job.desk)
    return wait_or_end(job.verdict, "worker", job.desk)


def _result(job: _Job, done: Consultation, *reasons: str) -> Result:
    return Result(
        origin=job.verdict.event.origin,
        state="failed" if reasons else "answered",
        tier="worker",
        handler=job.verdict.handler,
        intent=job.verdict.intents[0],
        answer=None if reasons else done.attempt.answer,
        reasons=reasons,
        call_id=done.attempt.call_id,
        pipeline=job.desk.pipeline_hash,
        decided_at=job.desk.now(),
    )
