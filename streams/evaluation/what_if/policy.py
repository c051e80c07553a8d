"""Who answers an event, and whom it is asked of: as it was, and under a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from streams.core.routing import Route
from streams.evaluation.what_if.change import SettingChange
from streams.evaluation.what_if.history import Past
from streams.evaluation.what_if.off_policy import Floats, Mask
from streams.pipeline.load import Pipeline

End = Literal["worker", "reasoner", "nobody"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one event goes: who has the last word, and the handlers that are asked."""

    end: End
    worker: str = ""
    reasoner: str = ""
    asked: float = 0.0
    """The chance that the reasoner is asked."""


@dataclass(frozen=True, slots=True, eq=False)
class EscalationPolicy:
    """The plans of n events as columns (n,). `other_` marks an answer of a handler that was not the one then."""

    by_worker: Floats
    by_reasoner: Floats
    asks_worker: Floats
    asks_reasoner: Floats
    other_worker: Mask
    other_reasoner: Mask


def as_it_was(past: Past, pipeline: Pipeline) -> Plan:
    """The plan that was followed. Exploration counts at its chance, not at its draw."""
    if past.action == "ignore":
        return Plan("nobody")
    if past.action == "reason":
        return Plan("reasoner", reasoner=past.handler, asked=1.0)
    end: dict[str | None, End] = {"accepted": "worker", "escalated": "reasoner"}
    taker = past.reasoner or _reasoner_of(past.handler, pipeline)
    return Plan(end.get(past.decision, "nobody"), past.handler, taker, past.asked)


def explored_then(events: Sequence[Past]) -> dict[tuple[str, str], float]:
    """The share that each worker explored, by worker and pipeline."""
    accepted = (past for past in events if past.decision == "accepted")
    return {(past.handler, past.pipeline): past.propensity or 0.0 for past in accepted}


def with_change(
    past: Past, change: SettingChange, pipeline: Pipeline, explored: Mapping[tuple[str, str], float]
) -> Plan:
    """The plan under a change. What is not set stays as it was then, with the shares `explored` then."""
    was = as_it_was(past, pipeline)
    then = Route(past.action, past.handler)
    route = change.routes.get(change.route_key(past.intent, pipeline), then)
    if route.action == "ignore":
        return Plan("nobody")
    if route.action == "reason":
        return Plan("reasoner", reasoner=route.handler, asked=1.0)
    worker = route.handler
    taker = change.reasoners.get(worker) or (was.reasoner if route == then else _reasoner_of(worker, pipeline))
    explore = change.explore.get(worker)
    if route != then or past.attempt is None:
        # The other worker's score is not known either; its answer is taken, and counts as unknown.
        return Plan("worker", worker, taker, explore or 0.0)
    bar = change.bars.get(worker)
    accepted = was.end == "worker" if bar is None else bar.accepts(past.attempt)
    if accepted:
        kept = explored.get((worker, past.pipeline), 0.0)
        return Plan("worker", worker, taker, explore if explore is not None else kept)
    return Plan("reasoner", worker, taker, 1.0) if taker else Plan("nobody", worker)


def _reasoner_of(worker: str, pipeline: Pipeline) -> str:
    found = pipeline.reasoner_of(worker) if worker in pipeline.workers else None
    return found.name if found else ""


def policy_of(plans: Sequence[Plan], then: Sequence[Plan]) -> EscalationPolicy:
    """Plans as columns, held against those that were followed."""
    pairs = list(zip(plans, then, strict=True))
    return EscalationPolicy(
        by_worker=np.array([plan.end == "worker" for plan in plans], dtype=np.float64),
        by_reasoner=np.array([plan.end == "reasoner" for plan in plans], dtype=np.float64),
        asks_worker=np.array([plan.worker != "" for plan in plans], dtype=np.float64),
        asks_reasoner=np.array([plan.asked for plan in plans], dtype=np.float64),
        other_worker=np.array([plan.worker not in ("", was.worker) for plan, was in pairs], dtype=np.bool_),
        other_reasoner=np.array([plan.reasoner not in ("", was.reasoner) for plan, was in pairs], dtype=np.bool_),
    )
