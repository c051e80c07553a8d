"""REASON: an escalation in, the last word out."""

from __future__ import annotations

from datetime import datetime

from streams.core.errors import ConfigError
from streams.core.escalation import explain
from streams.core.messages import Escalation, Message, Result
from streams.pipeline.load import Pipeline
from streams.stages.consult import Consultation, Question, consult
from streams.stages.escalate import fingerprinted, reasoner_task
from streams.stages.ports import Desk


async def reason(escalation: Escalation, received_at: datetime, pipeline: Pipeline, desk: Desk) -> list[Message]:
    """What an escalation causes in tier 3: a result, answered or failed for good."""
    handler = pipeline.reasoners.get(escalation.handler)
    if handler is None:
        what = f"The pipeline has no reasoner {escalation.handler!r} any more."
        raise ConfigError(what, "Put it back, or retry the dead letters under a route that exists.")
    attempt = escalation.attempt
    question = Question(
        asker=desk.askers[handler.name],
        task=reasoner_task(escalation, handler),
        origin=escalation.event.origin,
        fingerprint=fingerprinted(escalation, handler).fingerprint,  # of the handler's version here and now
        received_at=received_at,
        parent_call_id=attempt.call_id if attempt else None,
    )
    return _settle(escalation, await consult(question, desk), desk)


def _settle(escalation: Escalation, done: Consultation, desk: Desk) -> list[Message]:
    attempt = done.attempt
    answered = attempt.status == "answered"
    why = [f"{escalation.reason}: {escalation.detail}".rstrip(": ")]
    if not answered:
        why.append(f"reasoner {attempt.status}: {explain(attempt)}")
    result = Result(
        origin=escalation.event.origin,
        state="answered" if answered else "failed",
        tier="reasoner",
        handler=escalation.handler,
        intent=escalation.intents[0],
        answer=attempt.answer if answered else None,
        reasons=tuple(why),
        call_id=attempt.call_id,
        pipeline=desk.pipeline_hash,
        decided_at=desk.now(),
    )
    return [*done.decided("accepted" if answered else "failed", why[-1]), result]
