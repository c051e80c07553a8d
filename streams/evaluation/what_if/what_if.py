"""Estimate the effect of a change on accuracy, cost and who answers, from the audit alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from streams.core.errors import ConfigError
from streams.evaluation.cases import LabelsFrom
from streams.evaluation.what_if.change import SettingChange
from streams.evaluation.what_if.figures import Figure, accuracy, cost, number_tasks, share
from streams.evaluation.what_if.history import History, PastEvent
from streams.evaluation.what_if.observed_outcomes import Outcomes, outcomes_of
from streams.evaluation.what_if.policy import EscalationPolicy, Plan, as_it_was, explored_then, policy_of, with_change
from streams.pipeline.load import Pipeline

FEWEST = 2


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
    events, unexplored = comparable(history.events, change, pipeline, labels)
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
    tasks = number_tasks(events)
    counts = replace(
        _counts(events, was, then, policies, outcomes, history, unexplored),
        tasks=int(tasks.max()) + 1,
        not_graded=sum(past.not_graded for past in events),
    )
    return WhatIf(
        settings=change.settings,
        labels=labels,
        accuracy=accuracy(outcomes, policies, tasks) if counts.labelled else None,
        cost=cost(outcomes, policies, tasks),
        reasoner_share=share("reasoner share", policies, tasks, lambda one: one.asks_reasoner),
        worker_share=share("answered by the worker", policies, tasks, lambda one: one.by_worker),
        counts=counts,
    )


def comparable(
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
