"""Estimate the effect of a change on accuracy, cost and who answers, from the audit alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.evaluation.cases import LabelsFrom
from streams.evaluation.what_if.change import SettingChange
from streams.evaluation.what_if.history import History, PastEvent
from streams.evaluation.what_if.observed_outcomes import ObservedOutcome, Outcomes, outcomes_of
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
from streams.evaluation.what_if.policy import EscalationPolicy, Plan, as_it_was, explored_then, policy_of, with_change
from streams.pipeline.load import Pipeline

FEWEST = 2


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


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of events by what is known about them.

    `flips` are (tier that answered, tier that would, events), the most frequent first. `unknown_reasoner`: the reasoner
    would answer, but its answer is not recorded. `never_asked`: a handler would answer that never saw the event;
    `open`: another tier would answer whose answer had no chance to be recorded; both only give bounds. `unexplored`
    events are left out, because they were accepted under a pipeline that did not explore. Intervals count `tasks`.
    `not_graded`: an answer cannot be compared with the truth.
    """

    events: int
    flips: tuple[tuple[str, str, int], ...]
    unknown_reasoner: int
    never_asked: int
    open: int
    explored: int
    labelled: int
    other_versions: int
    unfinished: int
    unexplored: int
    tasks: int = 0
    not_graded: int = 0


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The figures and their basis. `cost` is in US dollars an event; None if no price is known."""

    settings: tuple[str, ...]
    labels: LabelsFrom
    accuracy: Figure | None
    cost: Figure | None
    reasoner_share: Figure
    worker_share: Figure
    counts: Counts


def what_if(history: History, change: SettingChange, pipeline: Pipeline, labels: LabelsFrom) -> WhatIf:
    """Decide past events again under a change, and estimate its effect.

    Raises ConfigError if there are no events to decide.
    """
    events, unexplored = _comparable(history.events, change, pipeline, labels)
    if len(events) < FEWEST:
        what = f"the audit holds {len(events)} events that the change concerns, {FEWEST} are needed."
        if history.other_versions:
            what += f" {history.other_versions} more were answered by another version of the worker."
        remedy = "Use --pipeline with the pipeline file of that time, another --run, or an earlier --since."
        raise ConfigError(what, remedy, "events")
    was = [as_it_was(past, pipeline) for past in events]
    shares = explored_then(events)
    then = [with_change(past, change, pipeline, shares) for past in events]
    policies = policy_of(was, was), policy_of(then, was)
    outcomes = outcomes_of(events, labels)
    tasks = _tasks(events)
    counts = replace(
        _counts(events, was, then, policies, outcomes, history, unexplored),
        tasks=int(tasks.max()) + 1,
        not_graded=sum(past.not_graded for past in events),
    )
    return WhatIf(
        settings=change.settings,
        labels=labels,
        accuracy=_accuracy(outcomes, policies, tasks) if counts.labelled else None,
        cost=_cost(outcomes, policies, tasks),
        reasoner_share=_share("reasoner share", policies, tasks, lambda one: one.asks_reasoner),
        worker_share=_share("answered by the worker", policies, tasks, lambda one: one.by_worker),
        counts=counts,
    )


def _comparable(
    events: Sequence[PastEvent], change: SettingChange, pipeline: Pipeline, labels: LabelsFrom
) -> tuple[list[PastEvent], int]:
    """Leave out events of pipelines that did not explore, if others did and exploration is needed."""
    shares = explored_then(events)
    explorers = {handler for (handler, _), share in shares.items() if share}
    needed = labels == "reasoner" or any(
        past.decision == "accepted" and with_change(past, change, pipeline, shares).end == "reasoner" for past in events
    )
    if not needed:
        return list(events), 0
    blind = {key for key, share in shares.items() if not share and key[0] in explorers}
    kept = [past for past in events if (past.handler, past.pipeline) not in blind]
    return kept, len(events) - len(kept)


Tasks = NDArray[np.int64]
"""The number of each event's task (n,), from 0."""
Weights = list[tuple[ObservedOutcome | None, Floats]]
"""A policy's weight on each outcome (n,); None is an unknown outcome."""


def _tasks(events: Sequence[PastEvent]) -> Tasks:
    """Number each event's task (n,); an event of unknown task is its own task."""
    names = [past.task or f"event {past.event_id}" for past in events]
    return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.int64)


def _accuracy(outcomes: Outcomes, policies: tuple[EscalationPolicy, EscalationPolicy], tasks: Tasks) -> Figure:
    def weights(policy: EscalationPolicy) -> Weights:
        own, theirs = policy.by_worker, policy.by_reasoner
        unknown = own * policy.other_worker + theirs * policy.other_reasoner
        return [
            (outcomes.worker_right, own * ~policy.other_worker),
            (outcomes.reasoner_right, theirs * ~policy.other_reasoner),
            (None, unknown),
        ]

    return _figure("accuracy", [weights(policy) for policy in policies], 1.0, tasks)


def _cost(outcomes: Outcomes, policies: tuple[EscalationPolicy, EscalationPolicy], tasks: Tasks) -> Figure | None:
    """Estimate the cost; None if it depends on a handler without a known price, or one that never saw the events."""
    weights: list[Weights] = []
    for policy in policies:
        other = policy.asks_worker * policy.other_worker + policy.asks_reasoner * policy.other_reasoner
        pairs = [(outcomes.worker_usd, policy.asks_worker), (outcomes.reasoner_usd, policy.asks_reasoner)]
        if other.any() or any(seen is None and weight.any() for seen, weight in pairs):
            return None
        weights.append([(seen, weight) for seen, weight in pairs if seen is not None])
    return _figure("cost", weights, float("inf"), tasks)


def _share(
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


def _counts(
    events: Sequence[PastEvent],
    was: Sequence[Plan],
    then: Sequence[Plan],
    policies: tuple[EscalationPolicy, EscalationPolicy],
    outcomes: Outcomes,
    history: History,
    unexplored: int,
) -> Counts:
    policy = policies[1]
    changed = np.array([old.end != new.end for old, new in zip(was, then, strict=True)])
    reached = np.array([past.reasoner != "" for past in events])
    flips = Counter((old.end, new.end) for old, new in zip(was, then, strict=True) if old.end != new.end)
    own, theirs = outcomes.worker_right.outcome, outcomes.reasoner_right.outcome
    never_asked = (policy.by_worker > 0) & policy.other_worker | (policy.by_reasoner > 0) & policy.other_reasoner
    open_ = (policy.by_worker > 0) & (own.propensity == 0) | (policy.by_reasoner > 0) & (theirs.propensity == 0)
    return Counts(
        events=len(events),
        flips=tuple((old, new, count) for (old, new), count in flips.most_common()),
        unknown_reasoner=int(((policy.by_reasoner > 0) & (~reached | policy.other_reasoner)).sum()),
        never_asked=int(never_asked.sum()),
        open=int((open_ & changed & ~never_asked).sum()),
        explored=sum(past.explored and past.reasoner != "" for past in events),
        labelled=sum(past.worker_right is not None or past.reasoner_right is not None for past in events),
        other_versions=history.other_versions,
        unfinished=history.unfinished,
        unexplored=unexplored,
    )
