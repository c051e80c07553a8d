"""The handlers that are called and answer for each event: as it was, and under a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from streams.core.routing import Route
from streams.evaluation.what_if.change import SettingChange
from streams.evaluation.what_if.history import PastEvent
from streams.evaluation.what_if.off_policy import Floats, Mask
from streams.pipeline.load import Pipeline

End = Literal["worker", "reasoner", "unanswered"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The path of one event: the tier of the final answer, the handlers called, and the chance to call the reasoner."""

    end: End
    worker: str = ""
    reasoner: str = ""
    asked: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class EscalationPolicy:
    """The plans of n events as columns (n,). `other_…` marks a handler other than the one at the time."""

    by_worker: Floats
    by_reasoner: Floats
    asks_worker: Floats
    asks_reasoner: Floats
    other_worker: Mask
    other_reasoner: Mask


def as_it_was(past: PastEvent, pipeline: Pipeline) -> Plan:
    """Return the plan that was followed. Exploration counts by its chance, not its draw."""
    if past.action == "ignore":
        return Plan("unanswered")
    if past.action == "reason":
        return Plan("reasoner", reasoner=past.handler, asked=1.0)
    end: dict[str | None, End] = {"accepted": "worker", "escalated": "reasoner"}
    taker = past.reasoner or _reasoner_of(past.handler, pipeline)
    return Plan(end.get(past.decision, "unanswered"), past.handler, taker, past.asked)


def explored_then(events: Sequence[PastEvent]) -> dict[tuple[str, str], float]:
    accepted = (past for past in events if past.decision == "accepted")
    return {(past.handler, past.pipeline): past.propensity or 0.0 for past in accepted}


def with_change(
    past: PastEvent, change: SettingChange, pipeline: Pipeline, explored: Mapping[tuple[str, str], float]
) -> Plan:
    """Return the plan under a change. Unchanged settings are those at the time, with the shares `explored` then."""
    was = as_it_was(past, pipeline)
    then = Route(past.action, past.handler)
    route = change.routes.get(change.route_key(past.intent, pipeline), then)
    if route.action == "ignore":
        return Plan("unanswered")
    if route.action == "reason":
        return Plan("reasoner", reasoner=route.handler, asked=1.0)
    worker = route.handler
    taker = change.reasoners.get(worker) or (was.reasoner if route == then else _reasoner_of(worker, pipeline))
    explore = change.explore.get(worker)
    if route != then or past.attempt is None:
        # The other worker's score is unknown too; its answer is used and counts as unknown.
        return Plan("worker", worker, taker, explore or 0.0)
    threshold = change.thresholds.get(worker)
    accepted = was.end == "worker" if threshold is None else threshold.accepts(past.attempt)
    if accepted:
        kept = explored.get((worker, past.pipeline), 0.0)
        return Plan("worker", worker, taker, explore if explore is not None else kept)
    return Plan("reasoner", worker, taker, 1.0) if taker else Plan("unanswered", worker)


def _reasoner_of(worker: str, pipeline: Pipeline) -> str:
    found = pipeline.reasoner_of(worker) if worker in pipeline.workers else None
    return found.name if found else ""


def policy_of(plans: Sequence[Plan], then: Sequence[Plan]) -> EscalationPolicy:
    """Return plans as columns, compared with those that were followed."""
    pairs = list(zip(plans, then, strict=True))
    return EscalationPolicy(
        by_worker=np.array([plan.end == "worker" for plan in plans], dtype=np.float64),
        by_reasoner=np.array([plan.end == "reasoner" for plan in plans], dtype=np.float64),
        asks_worker=np.array([plan.worker != "" for plan in plans], dtype=np.float64),
        asks_reasoner=np.array([plan.asked for plan in plans], dtype=np.float64),
        other_worker=np.array([plan.worker not in ("", was.worker) for plan, was in pairs], dtype=np.bool_),
        other_reasoner=np.array([plan.reasoner not in ("", was.reasoner) for plan, was in pairs], dtype=np.bool_),
    )
