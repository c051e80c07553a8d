"""Measures of two policies over the same events, and their difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streams.evaluation.what_if.history import PastEvent
from streams.evaluation.what_if.observed_outcomes import ObservedOutcome, Outcomes
from streams.evaluation.what_if.off_policy import (
    Floats,
    LoggedOutcome,
    Model,
    PolicyEstimate,
    Term,
    bounded,
    estimate,
    hajek,
    horvitz_thompson,
)
from streams.evaluation.what_if.policy import EscalationPolicy


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure as it was, with the change, and the difference, each over all events concerned.

    `check` is the difference by Horvitz-Thompson and by Hájek, which use no model.
    """

    name: str
    was: PolicyEstimate
    then: PolicyEstimate
    difference: PolicyEstimate
    check: tuple[PolicyEstimate, PolicyEstimate]


Tasks = NDArray[np.int64]
"""The number of each event's task (n,), from 0."""
Weights = list[tuple[ObservedOutcome | None, Floats]]
"""A policy's weight on each outcome (n,); None is an unknown outcome."""


def number_tasks(events: Sequence[PastEvent]) -> Tasks:
    """Number each event's task (n,); an event of unknown task is its own task."""
    names = [past.task or f"event {past.event_id}" for past in events]
    return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.int64)


def accuracy(outcomes: Outcomes, policies: tuple[EscalationPolicy, EscalationPolicy], tasks: Tasks) -> Figure:
    def weights(policy: EscalationPolicy) -> Weights:
        own, theirs = policy.by_worker, policy.by_reasoner
        unknown = own * policy.other_worker + theirs * policy.other_reasoner
        return [
            (outcomes.worker_right, own * ~policy.other_worker),
            (outcomes.reasoner_right, theirs * ~policy.other_reasoner),
            (None, unknown),
        ]

    return _figure("accuracy", [weights(policy) for policy in policies], 1.0, tasks)


def cost(outcomes: Outcomes, policies: tuple[EscalationPolicy, EscalationPolicy], tasks: Tasks) -> Figure | None:
    """Estimate the cost; None if it depends on a handler without a known price, or one that never saw the events."""
    weights: list[Weights] = []
    for policy in policies:
        other = policy.asks_worker * policy.other_worker + policy.asks_reasoner * policy.other_reasoner
        pairs = [(outcomes.worker_usd, policy.asks_worker), (outcomes.reasoner_usd, policy.asks_reasoner)]
        if other.any() or any(seen is None and weight.any() for seen, weight in pairs):
            return None
        weights.append([(seen, weight) for seen, weight in pairs if seen is not None])
    return _figure("cost", weights, float("inf"), tasks)


def share(
    name: str,
    policies: tuple[EscalationPolicy, EscalationPolicy],
    tasks: Tasks,
    column: Callable[[EscalationPolicy], Floats],
) -> Figure:
    was, then = (column(policy) for policy in policies)
    difference = bounded(estimate(then - was, [], tasks), -1.0, 1.0)
    was_, then_ = (bounded(estimate(values, [], tasks), 0.0, 1.0) for values in (was, then))
    return Figure(name, was_, then_, difference, (difference, difference))


def _figure(name: str, weights: list[Weights], most: float, tasks: Tasks) -> Figure:
    """Estimate both policies and their difference, in which everything unchanged cancels.

    A measure lies between 0 and `most`.
    """
    was, then = ([_term(seen, weight) for seen, weight in one] for one in weights)
    change = [replace(new, weight=new.weight - old.weight) for old, new in zip(was, then, strict=True)]
    nothing = np.zeros(len(change[0].weight))
    checks = [[method(term) for term in change] for method in (horvitz_thompson, hajek)]
    old, new = (bounded(estimate(nothing, terms, tasks), 0.0, most) for terms in (was, then))
    difference, by_ht, by_hajek = (bounded(estimate(nothing, terms, tasks), -most, most) for terms in (change, *checks))
    return Figure(name, old, new, difference, (by_ht, by_hajek))


def _term(seen: ObservedOutcome | None, weight: Floats) -> Term:
    if seen is not None:
        return Term(weight, seen.outcome, seen.model)
    n = len(weight)
    nothing = LoggedOutcome(np.zeros(n), np.zeros(n, dtype=np.bool_), np.zeros(n))
    return Term(weight, nothing, Model(np.full(n, 0.5), np.full(n, 0.25)))
