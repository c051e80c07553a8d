"""Bound a population's rate at every moment of a panel, so that one may look, and stop, whenever one likes.

The cases come in the order of the draw: given the earlier ones, the next one is task i with the chance
q = weight / weight left. So (value - prediction) / q has the sum over the tasks that are left as its expectation, which
a supposed rate fixes. Bets against that rate win nothing on average if it is true (Waudby-Smith and Ramdas 2024,
Estimating means of bounded random variables by betting; for weighted draws without replacement Shekhar, Xu, Lipton,
Liang, Ramdas 2023, Risk-limiting Financial Audits via Weighted Sampling without Replacement). A rate is refuted as soon
as the bets against it have multiplied the stake by 2 / (1 - certainty), half of the risk for each side (Ville 1939).

The stake is spread over bets of fixed fractions of the largest bet that cannot lose all, with the predictions and
without them, so predictions that are worth nothing cost a factor of 2 of the wealth, and no validity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.panels.estimation.draw import LEAST_WEIGHT

Values = NDArray[np.float64]
_RATES: Final = np.arange(2001) / 2000
"""The rates that are tested. The bounds are rounded outwards to them."""
UPPER_FRACTIONS: Final = np.array([0.08, 0.2, 0.4, 0.6, 0.8, 1.0])[:, np.newaxis]
LOWER_FRACTIONS: Final = np.array([0.01, 0.03, 0.07, 0.15, 0.3, 0.5, 0.8])[:, np.newaxis]
"""Fractions of the largest bet. Against high rates the best one is about 1 - rate / supposed rate."""
_MOST: Final = 1e100
"""Wealth above it is not counted."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The bounds of the rate after the first `cases` of the draw."""

    cases: int
    low: float
    high: float


def sequential_bounds(
    values: Values,
    weights: Values,
    predictions: Values,
    *,
    tasks: int,
    weight: float,
    predicted: float,
    extremes: tuple[float, float] = (0.0, 1.0),
    certainty: float = 0.95,
) -> list[Moment]:
    """Return the bounds of the population's mean value after each case; arrays have shape (cases,), as drawn.

    `values` and `predictions` lie between 0 and 1, `weights` are at least LEAST_WEIGHT; `tasks`, `weight` and
    `predicted` are the population's size and its sums of weights and predictions, `extremes` the least and the greatest
    prediction of all its tasks, if they are known: they allow larger bets. With a chance of at least `certainty`
    the rate lies within the bounds at every moment. For a claim about one side alone, such as "at most 5 % is wrong",
    the bound of that side at a certainty of 2 * certainty - 1 is enough: 0.9 for 0.95.
    """
    controls = [_Control(np.zeros(len(values)), 0.0, 0.0, 0.0)]
    if predicted > 0:
        controls.append(_Control(predictions, predicted, *extremes))
    bets = [_Bets(values, weights, control, tasks, weight, len(controls)) for control in controls]
    refuted = 2 / (1 - certainty)
    rates, moments = _RATES, []
    for case in range(len(values)):
        for bet in bets:
            bet.place(case, rates)
        low = _last(sum(bet.lower.sum(axis=0) for bet in bets) >= refuted)
        high = max(low, _first(sum(bet.upper.sum(axis=0) for bet in bets) >= refuted))
        rates = rates[low : high + 1]
        for bet in bets:
            bet.keep(low, high)
        seen = float(values[: case + 1].sum())
        least, most = seen / tasks, (seen + tasks - case - 1) / tasks
        moments.append(Moment(case + 1, max(float(rates[0]), least), min(float(rates[-1]), most)))
    return moments


@dataclass(frozen=True, slots=True, eq=False)
class _Control:
    """A control variate, taken off the values: shape (cases,), with its sum and its range over the population."""

    values: Values
    total: float
    least: float
    greatest: float


class _Bets:
    """The wealth of the bets with one control: `upper` and `lower` (fractions, rates), against high and low rates."""

    def __init__(
        self, values: Values, weights: Values, control: _Control, tasks: int, weight: float, shares: int
    ) -> None:
        count = np.arange(len(values))
        left = np.maximum(weight - _before(weights), (tasks - count) * LEAST_WEIGHT)
        self._payments = (values - control.values) * left / weights
        self._most = (1 - control.least) * left / LEAST_WEIGHT
        self._least = -control.greatest * left / LEAST_WEIGHT
        self._known = control.total + _before(values - control.values)
        self._tasks = tasks
        self.upper = np.full((len(UPPER_FRACTIONS), len(_RATES)), 1 / len(UPPER_FRACTIONS) / shares)
        self.lower = np.full((len(LOWER_FRACTIONS), len(_RATES)), 1 / len(LOWER_FRACTIONS) / shares)

    def place(self, case: int, rates: Values) -> None:
        """Multiply the wealth by what the bets on one case pay."""
        payment, expected = self._payments[case], self._tasks * rates - self._known[case]
        self.upper = _paid(self.upper, UPPER_FRACTIONS, self._most[case] - payment, self._most[case] - expected)
        self.lower = _paid(self.lower, LOWER_FRACTIONS, payment - self._least[case], expected - self._least[case])

    def keep(self, low: int, high: int) -> None:
        """Go on with the rates from index `low` to `high` alone."""
        self.upper, self.lower = self.upper[:, low : high + 1], self.lower[:, low : high + 1]


def _before(values: Values) -> Values:
    """Return the sum of all earlier values (cases,)."""
    return np.concatenate([[0.0], np.cumsum(values)[:-1]])


def _paid(wealth: Values, fractions: Values, paid: float, expected: Values) -> Values:
    """Return wealth * (1 + fraction * (paid / expected - 1)), at most _MOST.

    `paid` is at least 0. Rates (rates,) with an expectation of 0 or less are impossible if anything is paid.
    """
    bounded = np.maximum(expected, paid / _MOST if paid > 0 else 1 / _MOST)
    growth = 1 - fractions + fractions * (paid / bounded if paid > 0 else expected <= 0)
    return np.asarray(np.minimum(wealth * growth, _MOST), dtype=np.float64)


def _first(refuted: NDArray[np.bool_]) -> int:
    """Return the index of the lowest refuted rate, else of the last rate. All above a refuted one are refuted."""
    return int(refuted.argmax()) if refuted.any() else len(refuted) - 1


def _last(refuted: NDArray[np.bool_]) -> int:
    """Return the index of the highest refuted rate, else of the first rate. All below a refuted one are refuted."""
    return len(refuted) - 1 - int(refuted[::-1].argmax()) if refuted.any() else 0
