"""Escalations, and the task that a reasoner is given."""

from __future__ import annotations

import dataclasses

from streams.calling.record import CallRecords
from streams.calling.task import Task, task_of
from streams.core.fingerprint import task_fingerprint
from streams.core.messages import Attempt, Escalation, EscalationReason, Verdict
from streams.pipeline.handlers import Handler


def escalate(
    verdict: Verdict,
    reasoner: Handler,
    records: CallRecords,
    reason: EscalationReason,
    detail: str,
    attempt: Attempt | None,
) -> Escalation:
    """Return an escalation to `reasoner`; `attempt` is None when a route leads to it directly."""
    escalation = Escalation(
        event=verdict.event,
        intents=verdict.intents,
        handler=reasoner.name,
        reason=reason,
        detail=detail,
        attempt=attempt,
        fingerprint="",
        pipeline=records.pipeline_hash,
        decided_at=records.now(),
    )
    return fingerprinted(escalation, reasoner)


def fingerprinted(escalation: Escalation, reasoner: Handler) -> Escalation:
    fingerprint = task_fingerprint(reasoner.version, reasoner_task(escalation, reasoner).input())
    return dataclasses.replace(escalation, fingerprint=fingerprint)


def reasoner_task(escalation: Escalation, reasoner: Handler) -> Task:
    """Return what the reasoner sees.

    How far a confidence fell short is left out: it would make every threshold's escalation of the same attempt a task
    of its own.
    """
    unsure = escalation.reason in ("unsure", "explored")
    told = "unsure" if unsure else f"{escalation.reason}: {escalation.detail}"
    return task_of(escalation.event, reasoner.inputs, told.rstrip(": "), escalation.attempt)
