"""WORK: a routed task in, an answer out, or an escalation with what fell short."""

from __future__ import annotations

from datetime import datetime

from streams.core.errors import ConfigError
from streams.core.escalation import Accept, Escalate, decide
from streams.core.fingerprint import task_fingerprint
from streams.core.messages import Message, Result, Verdict
from streams.core.routing import deciding
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.stages.consult import Consultation, Question, consult
from streams.stages.escalate import escalate
from streams.stages.ports import Desk
from streams.stages.task import task_of


async def work(verdict: Verdict, received_at: datetime, pipeline: Pipeline, desk: Desk) -> list[Message]:
    """What a verdict causes in tier 2; nothing, when its route does not lead here."""
    if verdict.action != "work":
        return []
    handler = pipeline.workers.get(verdict.handler)
    if handler is None:
        what = f"The pipeline has no worker {verdict.handler!r} any more."
        raise ConfigError(what, "Put it back, or retry the dead letters under a route that exists.")
    task = task_of(verdict.event, handler.spec.inputs)
    found = deciding(verdict.findings, verdict.intents[0])
    question = Question(
        asker=desk.askers[handler.name],
        task=task,
        origin=verdict.event.origin,
        fingerprint=task_fingerprint(handler.version, task.input()),
        received_at=received_at,
        parent_call_id=found.call_id if found else None,
    )
    return _settle(verdict, handler, pipeline, await consult(question, desk), desk)


def _settle(verdict: Verdict, handler: Handler, pipeline: Pipeline, done: Consultation, desk: Desk) -> list[Message]:
    threshold = handler.spec.threshold
    match decide(done.attempt, threshold):
        case Accept(reason):
            return [*done.decided("accepted", reason, threshold), _result(verdict, done, desk, ())]
        case Escalate(reason, detail):
            why = f"{reason}: {detail}"
            reasoner = pipeline.reasoner_of(handler.name)
            if reasoner is None:
                return [*done.decided("failed", why, threshold), _result(verdict, done, desk, (why,))]
            escalation = escalate(verdict, reasoner, desk, reason, detail, done.attempt)
            return [*done.decided("escalated", why, threshold), escalation]


def _result(verdict: Verdict, done: Consultation, desk: Desk, reasons: tuple[str, ...]) -> Result:
    return Result(
        origin=verdict.event.origin,
        state="failed" if reasons else "answered",
        tier="worker",
        handler=verdict.handler,
        intent=verdict.intents[0],
        answer=None if reasons else done.attempt.answer,
        reasons=reasons,
        call_id=done.attempt.call_id,
        pipeline=desk.pipeline_hash,
        decided_at=desk.now(),
    )
