"""Estimate error, escalations and cost at each threshold of a grid, from one reading of the audit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from streams.calibration.calibrators import IdentityCalibrator
from streams.core.errors import ConfigError
from streams.core.escalation import Threshold
from streams.evaluation.cases import LabelsFrom
from streams.evaluation.what_if.change import NewThreshold, SettingChange
from streams.evaluation.what_if.figures import accuracy, cost, number_tasks, share
from streams.evaluation.what_if.history import History, PastEvent
from streams.evaluation.what_if.observed_outcomes import Outcomes, outcomes_of
from streams.evaluation.what_if.off_policy import Mask, PolicyEstimate
from streams.evaluation.what_if.policy import EscalationPolicy, as_it_was, explored_then, policy_of, with_change
from streams.evaluation.what_if.what_if import FEWEST, comparable
from streams.pipeline.load import Pipeline

GRID = tuple(step / 40 for step in range(41))
"""Thresholds on the raw confidence, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdEstimate:
    """The figures at one threshold, over all events of the worker.

    `error` is the share that is answered wrongly or not at all, by worker or reasoner; None without labels. `escalated`
    is the share about which the reasoner is asked. `usd` is the cost of an event; None without known prices.
    """

    threshold: float
    error: PolicyEstimate | None
    escalated: PolicyEstimate
    usd: PolicyEstimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdCurve:
    """The estimates for a worker at each threshold of the grid and at the present one, ascending; `now` is that."""

    now: ThresholdEstimate
    points: tuple[ThresholdEstimate, ...]
    labels: LabelsFrom
    events: int
    labelled: int
    left_out: int
    """Events of other versions, of unfinished handlers, or of a pipeline that did not explore."""

    def nearest(self, threshold: float) -> ThresholdEstimate:
        return min(self.points, key=lambda point: abs(point.threshold - threshold))


def any_threshold(worker: str) -> SettingChange:
    """Return the change to the highest threshold, which concerns the events that any threshold concerns."""
    return _threshold(worker, math.inf)


def threshold_curve(
    history: History, worker: str, pipeline: Pipeline, labels: LabelsFrom, grid: Sequence[float] = GRID
) -> ThresholdCurve:
    """Decide a worker's past events again at each threshold. Raises ConfigError if there are fewer than two.

    The figures are those of `what_if`, but for this: all thresholds are estimated from the same events, which are those
    that the highest threshold can be estimated from.
    """
    events, unexplored = comparable(history.events, any_threshold(worker), pipeline, labels)
    if len(events) < FEWEST:
        what = f"the audit holds {len(events)} finished events of {worker} in its present version."
        raise ConfigError(what, f"Wait until there are {FEWEST} or more.", "events")
    policies = _Policies.of(events, worker, pipeline)
    outcomes, tasks = outcomes_of(events, labels), number_tasks(events)
    known = sum(past.worker_right is not None or past.reasoner_right is not None for past in events)

    def estimated(threshold: float) -> ThresholdEstimate:
        return _estimate(threshold, (policies.was, policies.at(threshold)), outcomes, tasks, labelled=known > 0)

    config = pipeline.workers[worker].confidence
    present = (config.current_threshold.raw if config else None) or 0.0
    points = {threshold: estimated(threshold) for threshold in sorted({*grid, present})}
    return ThresholdCurve(
        now=points[present],
        points=tuple(points.values()),
        labels=labels,
        events=len(events),
        labelled=known,
        left_out=unexplored + history.other_versions + history.unfinished,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Policies:
    """The policy of n events as it was, and at the lowest and the highest threshold, between which each is decided."""

    was: EscalationPolicy
    lowest: EscalationPolicy
    highest: EscalationPolicy
    scores: np.ndarray[tuple[int], np.dtype[np.float64]]

    @classmethod
    def of(cls, events: Sequence[PastEvent], worker: str, pipeline: Pipeline) -> _Policies:
        then = [as_it_was(past, pipeline) for past in events]
        shares = explored_then(events)
        low, high = (
            policy_of([with_change(past, change, pipeline, shares) for past in events], then)
            for change in (_threshold(worker, 0.0), any_threshold(worker))
        )
        raw = [past.attempt.raw_confidence if past.attempt else None for past in events]
        scores = np.array([math.nan if score is None else score for score in raw], dtype=np.float64)
        return cls(policy_of(then, then), low, high, scores)

    def at(self, threshold: float) -> EscalationPolicy:
        """Return the policy at a threshold, which a score that equals it reaches and an unknown one does not."""
        accepted: Mask = self.scores >= threshold
        return EscalationPolicy(
            **{
                column.name: np.where(accepted, getattr(self.lowest, column.name), getattr(self.highest, column.name))
                for column in fields(EscalationPolicy)
            }
        )


def _threshold(worker: str, threshold: float) -> SettingChange:
    return SettingChange(thresholds={worker: NewThreshold(Threshold(threshold), IdentityCalibrator())})


def _estimate(
    threshold: float,
    policies: tuple[EscalationPolicy, EscalationPolicy],
    outcomes: Outcomes,
    tasks: np.ndarray[tuple[int], np.dtype[np.int64]],
    *,
    labelled: bool,
) -> ThresholdEstimate:
    money = cost(outcomes, policies, tasks)
    return ThresholdEstimate(
        threshold=threshold,
        error=_error(accuracy(outcomes, policies, tasks).then) if labelled else None,
        escalated=share("reasoner share", policies, tasks, lambda one: one.asks_reasoner).then,
        usd=money.then if money else None,
    )


def _error(right: PolicyEstimate) -> PolicyEstimate:
    value = None if right.value is None else 1 - right.value
    return replace(right, value=value, low=1 - right.high, high=1 - right.low)
