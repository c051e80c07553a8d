"""Estimate a population's rate from cases drawn with known chances, with an interval.

The rate is the predictions' mean over the population, corrected by the cases: the weighted mean of value - prediction,
each weighted by 1 / chance. This is the generalised difference estimator (Särndal, Swensson, Wretman 1992, Model
Assisted Survey Sampling, chapter 6), also known as prediction-powered inference (Angelopoulos et al. 2023). Wrong
predictions make the interval wider, never the rate biased. Dividing by the sum of the weights instead of the number of
tasks (Hájek 1971) leaves a bias of the order 1 / cases, and is the usual mean where all chances are equal.

The interval is that of Korn and Graubard 1998, Confidence Intervals for Proportions With Small Expected Number of
Positive Counts Estimated From Survey Data: Clopper and Pearson's (1934), with the number of cases that would be as
informative in a plain random sample. This number rests on the observed variance and on PRIOR_CASES: a sample without
an error says nothing about how well errors are predicted. The ends are moved outwards to rates that the tasks without
a case still allow, which matters where few are left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Values = NDArray[np.float64]
PRIOR_CASES: Final = 2.0
"""The imagined cases, of a kind that nothing predicts, that join the estimate of a variance."""


@dataclass(frozen=True, slots=True)
class RateInterval:
    """A rate with its confidence interval, all between 0 and 1, from so many `cases`.

    Without a case `value` is None and the interval reaches from 0 to 1. `informative` is the number of cases of a plain
    random sample without predictions that would have been as informative.
    """

    value: float | None
    low: float
    high: float
    cases: int
    informative: float = 0.0

    @property
    def width(self) -> float:
        """The distance of the interval's ends."""
        return self.high - self.low


def weighted_rate(
    values: Values,
    probabilities: Values,
    predictions: Values,
    *,
    tasks: int,
    predicted: float,
    certainty: float = 0.95,
) -> RateInterval:
    """Return the mean value over a population of `tasks`, of which some cases are known; arrays have shape (cases,).

    `values` and `predictions` lie between 0 and 1, `probabilities` are the cases' chances of being drawn, `predicted`
    is the predictions' sum over the population.
    """
    weights = 1 / probabilities
    residuals = values - predictions
    mean = predicted / max(tasks, 1) + _mean(residuals, weights)
    found = _interval(mean, [(residuals, weights - 1)], weights, certainty, unknown=1 - len(values) / max(tasks, 1))
    return _possible(found, float(values.sum()), tasks)


def weighted_ratio(values: Values, probabilities: Values, *, certainty: float = 0.95) -> RateInterval:
    """Return the mean value over a part of the population whose size is unknown, for example all pairs of answers.

    Both arrays hold the cases of that part alone, as `weighted_rate` has them. The interval allows for one more task
    of the part, which was not drawn, unless all tasks were.
    """
    weights = 1 / probabilities
    found = _interval(_mean(values, weights), [(values, weights - 1)], weights, certainty)
    if not len(values) or probabilities.min() >= 1:
        return found
    seen = float(weights.sum())
    return replace(found, low=found.low * seen / (seen + 1), high=(found.high * seen + 1) / (seen + 1))


@dataclass(frozen=True, slots=True, eq=False)
class JudgedCases:
    """The cases that a model judged: its values, their predictions and their chances of being drawn for it (cases,)."""

    values: Values
    predictions: Values
    probabilities: Values


def two_phase_rate(
    values: Values,
    probabilities: Values,
    predictions: Values,
    judge_values: Values,
    judge_probabilities: Values,
    judged: JudgedCases,
    *,
    tasks: int,
    predicted: float,
    certainty: float = 0.95,
) -> RateInterval:
    """Return the rate as `weighted_rate` does, with a model's values of the same and of further cases as predictor.

    The first five arrays are of the cases that both people and the model judged; `judged` holds all that the model
    judged, these included. Two-phase regression sampling (Särndal et al. 1992, chapter 9). The model's values count by
    the share of their deviation from the predictions that people confirm, as in power tuning (Angelopoulos, Duchi,
    Zrnic 2023, PPI++), so a bad model costs next to nothing.
    """
    weights, judge_weights = 1 / probabilities, 1 / judge_probabilities
    residuals, steps = values - predictions, judge_values - predictions
    between = weights - judge_weights
    share = _slope(residuals, steps, weights, weights * between)
    mean = predicted / max(tasks, 1) + _mean(residuals - share * steps, weights)
    mean += share * _mean(judged.values - judged.predictions, 1 / judged.probabilities)
    parts = [(residuals, judge_weights - 1), (residuals - share * steps, between)]
    found = _interval(mean, parts, weights, certainty, unknown=1 - len(values) / max(tasks, 1))
    return _possible(found, float(values.sum()), tasks)


def _mean(values: Values, weights: Values) -> float:
    return float((weights * values).sum() / weights.sum()) if len(values) else 0.0


def _slope(values: Values, steps: Values, weights: Values, variances: Values) -> float:
    """Return how much of `steps` to take off `values` for the least variance, between 0 and 1."""
    values, steps = values - _mean(values, weights), steps - _mean(steps, weights)
    spread = float((variances * steps**2).sum())
    return min(1.0, max(0.0, float((variances * steps * values).sum()) / spread)) if spread > 0 else 0.0


def _interval(
    mean: float, parts: Sequence[tuple[Values, Values]], weights: Values, certainty: float, *, unknown: float = 0.0
) -> RateInterval:
    """Return the interval around `mean`, whose variance is a sum over `parts`: residuals and their factors (cases,).

    `unknown` is the share of the tasks without a case. The cases' chances alone may understate it.
    """
    cases = len(weights)
    if not cases:
        return RateInterval(None, 0.0, 1.0, 0)
    rate = min(1.0, max(0.0, float(mean)))
    total = weights.sum()
    spreads = [(weights * factors * (residuals - _mean(residuals, weights)) ** 2).sum() for residuals, factors in parts]
    variance = cases**2 * sum(spreads) / total**2
    unpredicted = max(unknown, cases * sum((weights * factors).sum() for _, factors in parts) / total**2)
    effect = (variance + PRIOR_CASES * unpredicted) / (cases * rate * (1 - rate) + PRIOR_CASES)
    if effect <= 0:
        return RateInterval(rate, rate, rate, cases, float("inf"))
    informative = float(cases / effect)
    return RateInterval(rate, *_clopper_pearson(rate, informative, certainty), cases, informative)


def _possible(found: RateInterval, seen: float, tasks: int) -> RateInterval:
    """Return an interval with its ends moved outwards to rates that are possible, `seen` being the cases' sum.

    As many tasks as there are without a case can be wrong, from none to all.
    """
    left = tasks - found.cases
    if found.value is None or left < 0:
        return found
    least, most = seen / tasks, (seen + left) / tasks
    low = (seen + min(left, max(0, math.floor(found.low * tasks - seen + 1e-9)))) / tasks
    high = (seen + max(0, min(left, math.ceil(found.high * tasks - seen - 1e-9)))) / tasks
    return replace(found, value=min(most, max(least, found.value)), low=low, high=high)


def _clopper_pearson(rate: float, cases: float, certainty: float) -> tuple[float, float]:
    """Return the exact interval in its Beta form, for a number of cases that need not be whole."""
    from scipy.stats import beta  # type: ignore[import-untyped]

    risk, hits = (1 - certainty) / 2, rate * cases
    low = float(beta.ppf(risk, hits, cases - hits + 1)) if rate > 0 else 0.0
    high = float(beta.ppf(1 - risk, hits + 1, cases - hits)) if rate < 1 else 1.0
    return low, high
