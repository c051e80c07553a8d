"""LISTEN: an event in, the findings of all listeners and one route out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streams.calling.caller import Caller
from streams.calling.concurrency import gather
from streams.calling.record import CallRecords
from streams.calling.request import CallRequest, OutOfBudget
from streams.calling.task import task_of
from streams.core.confidence import probability
from streams.core.errors import ServiceError
from streams.core.escalation import Threshold, explain
from streams.core.fingerprint import task_fingerprint
from streams.core.messages import Attempt, Call, Decision, Event, Finding, Message, Result, Score, Sighting, Verdict
from streams.core.routing import UNSURE, RouteChoice, choose, deciding
from streams.models.listeners.image import ImageFeatures
from streams.pipeline.handlers import WHOLE_EVENT, Handler
from streams.pipeline.load import Pipeline
from streams.pipeline.spec import ImageDuplicateListener, ListenerPolicy
from streams.stages.blame import in_outage
from streams.stages.deadline import overdue, too_late
from streams.stages.escalate import escalate
from streams.stages.ports import Images


@dataclass(frozen=True, slots=True)
class Look:
    """One listener's finding and the calls it took."""

    finding: Finding
    calls: tuple[Call, ...]
    outage: str = ""
    """The reason why its model could not be asked; empty if it was."""


async def listen(
    event: Event,
    received_at: datetime,
    pipeline: Pipeline,
    callers: Mapping[str, Caller],
    records: CallRecords,
    images: Images,
) -> list[Message]:
    """Return what an event causes in tier 1: calls, and a verdict, or a sighting for the owner of the images."""
    listeners = [one for one in pipeline.listeners.values() if _applies(one, event)]
    asked = [one for one in listeners if not isinstance(one.spec, ImageDuplicateListener)]
    watcher = next((one for one in listeners if isinstance(one.spec, ImageDuplicateListener) and event.image), None)
    # First, for an image that cannot be read ends here, and calls made before would go without a record.
    features = await images.features(event.image) if watcher is not None and event.image else None
    looks = await _looks(event, received_at, [callers[one.name] for one in asked], records)
    calls = [call for look in looks for call in look.calls]
    findings = tuple(look.finding for look in looks)
    _check_seen(event, looks, records)
    if watcher is not None and features is not None:
        return [*calls, _sighting(event, watcher, features, findings)]
    return [*calls, *conclude(event, findings, pipeline, records)]


def _applies(listener: Handler, event: Event) -> bool:
    return isinstance(listener.spec, ListenerPolicy) and event.kind in listener.spec.applies_to


def _sighting(event: Event, watcher: Handler, features: ImageFeatures, findings: tuple[Finding, ...]) -> Sighting:
    return Sighting(
        event=event,
        listener=watcher.name,
        image_hash="" if features.hash is None else f"{features.hash:016x}",
        findings=findings,
        thumbnail=features.thumbnail or None,
    )


async def _looks(event: Event, received_at: datetime, callers: Sequence[Caller], records: CallRecords) -> list[Look]:
    """Ask all listeners, at once those that wait for something, and return their looks in order."""
    waiting = [one for one in callers if not one.callee.instant]
    looks = iter(await gather(_look(event, received_at, one, records) for one in waiting))
    return [await _look(event, received_at, one, records) if one.callee.instant else next(looks) for one in callers]


async def _look(event: Event, received_at: datetime, caller: Caller, records: CallRecords) -> Look:
    handler = caller.callee.handler
    task = task_of(event, handler.inputs)
    request = CallRequest(
        task=task,
        origin=event.origin,
        task_fingerprint=task_fingerprint(handler.version, task.input()),
        received_at=received_at,
        deadline=event.deadline,
    )
    done = await caller.call(request)
    if isinstance(done, OutOfBudget):
        return Look(Finding(listener=handler.name, label=None, call_id=request.call_id(handler)), done.calls)
    finding = _finding(done.attempt, handler.threshold)
    said = f"found {finding.label}" if finding.label else done.attempt.error or "found nothing"
    decision: Decision = "failed" if done.attempt.status == "failed" else "found"
    calls = records.decided(done, decision, said, Threshold(handler.threshold))
    return Look(finding, calls, f"{handler.name}: {explain(done.attempt)}" if in_outage(done) else "")


def _check_seen(event: Event, looks: Sequence[Look], records: CallRecords) -> None:
    """Raise ServiceError for an event that no listener recognised while one could not ask its model.

    As long as there is time the event waits, because its route would be a guess.
    """
    outages = [look.outage for look in looks if look.outage]
    if outages and not any(look.finding.label for look in looks) and not overdue(event, records.now()):
        raise ServiceError(f"A listener cannot ask its model: {outages[0]}")


def _finding(attempt: Attempt, threshold: float | None) -> Finding:
    """Read a listener's answer: a label, or `{"label", "confidence", "scores"}`; a refusal finds nothing."""
    answer: Any = json.loads(attempt.answer) if attempt.status == "answered" and attempt.answer else None
    fields = answer if isinstance(answer, dict) else {"label": answer}
    label = fields.get("label")
    confidence = probability(fields.get("confidence", attempt.confidence))
    sure = threshold is None or (confidence is not None and confidence >= threshold)
    scores = fields.get("scores") or {}
    return Finding(
        listener=attempt.handler,
        label=str(label) if label is not None and sure else None,
        confidence=confidence,
        scores=tuple(
            Score(label=name, probability=known)
            for name, value in scores.items()
            if (known := probability(value)) is not None
        ),
        call_id=attempt.call_id,
    )


def conclude(event: Event, findings: Sequence[Finding], pipeline: Pipeline, records: CallRecords) -> list[Message]:
    """Return the verdict on an event, and the message that ends or escalates it without a worker."""
    choice = choose(findings, pipeline.combine, pipeline.routes)
    verdict = _verdict(event, tuple(findings), choice, pipeline, records)
    match choice.route.action:
        case "work":
            return [verdict]
        case "reason":
            reasoner = pipeline.reasoners[choice.route.handler]
            return [verdict, escalate(verdict, reasoner, records, "routed", choice.intents[0], None)]
        case "duplicate":
            return [verdict, _terminal(verdict, "duplicate", records)]
        case "ignore":
            return [verdict, _late(verdict, records) or _terminal(verdict, "ignored", records)]


def _verdict(
    event: Event, findings: tuple[Finding, ...], choice: RouteChoice, pipeline: Pipeline, records: CallRecords
) -> Verdict:
    handlers = pipeline.workers if choice.route.action == "work" else pipeline.reasoners
    target = handlers.get(choice.route.handler)
    task = task_of(event, target.inputs if target else WHOLE_EVENT)
    return Verdict(
        event=event,
        findings=findings,
        intents=choice.intents,
        confidence=choice.confidence,
        action=choice.route.action,
        handler=choice.route.handler,
        duplicate_of=choice.duplicate_of,
        fingerprint=task_fingerprint(target.version if target else "", task.input()),
        pipeline=records.pipeline_hash,
        decided_at=records.now(),
    )


def _late(verdict: Verdict, records: CallRecords) -> Result | None:
    """Return a failure for an event that no listener recognised, perhaps because its deadline left no time to look."""
    if verdict.intents[0] != UNSURE or not overdue(verdict.event, records.now()):
        return None
    return dataclasses.replace(_terminal(verdict, "failed", records), reasons=(too_late(verdict.event),))


def _terminal(verdict: Verdict, state: Any, records: CallRecords) -> Result:
    decisive = deciding(verdict.findings, verdict.intents[0])
    return Result(
        origin=verdict.event.origin,
        state=state,
        tier="listener",
        handler=decisive.listener if decisive else "",
        intent=verdict.intents[0],
        duplicate_of=verdict.duplicate_of,
        call_id=decisive.call_id if decisive else None,
        pipeline=records.pipeline_hash,
        decided_at=records.now(),
    )
