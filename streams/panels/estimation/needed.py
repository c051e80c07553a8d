"""Say about how many more cases a panel needs: for a narrower interval, or to decide a claim.

Both take the further cases to be like those so far, so they are rough while few cases are known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streams.panels.estimation.draw import RANDOM_SHARE
from streams.panels.estimation.rates import PRIOR_CASES
from streams.panels.estimation.sequential import LOWER_FRACTIONS, UPPER_FRACTIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streams.panels.estimation.rates import RateInterval

    Values = NDArray[np.float64]


def cases_for_width(rate: RateInterval, width: float, *, tasks: int) -> int | None:
    """Return about how many more of `tasks` cases make an interval as narrow as `width`, 0 if it is; None without any.

    The width falls with 1 / sqrt(cases), and is 0 when all tasks are known.
    """
    if rate.width <= width:
        return 0
    if not rate.cases or width <= 0:
        return tasks - rate.cases if rate.cases else None
    left = max(1 - rate.cases / tasks, 1e-9)
    each = rate.informative / rate.cases * left
    wanted = rate.informative * (rate.width / width) ** 2
    return min(tasks, math.ceil(wanted / (each + wanted / tasks))) - rate.cases


def least_cases(limit: float, *, below: bool, random: float = RANDOM_SHARE, certainty: float = 0.95) -> int:
    """Return about how many cases prove that a rate is `below` a limit, or above, if nothing speaks against it.

    `random` is the share of all weight in the draw that is spread evenly. Without it the number would be too low: the
    wrong answers may all be among the tasks that are drawn least often.
    """
    fractions = UPPER_FRACTIONS if below else LOWER_FRACTIONS
    highest = float(fractions[-1, 0])
    growth = -math.log1p(-limit * random) if below else math.log(1 - highest + highest / limit)
    return math.ceil(math.log(len(fractions) / 2 / (1 - certainty)) / growth)


def cases_to_decide(
    values: Values,
    weights: Values,
    predictions: Values,
    limit: float,
    *,
    below: bool,
    tasks: int,
    weight: float,
    predicted: float,
    extremes: tuple[float, float] = (0.0, 1.0),
    certainty: float = 0.95,
) -> int | None:
    """Return about how many more cases prove that the rate is `below` a limit, or above; None if it does not look so.

    The arguments are those of `sequential_bounds`, but `certainty` is that of the one side. The best of its bets
    decides: how much its wealth has grown, and how much it grows with each case. Before the first case, the number is
    that of `least_cases`.
    """
    cases, mean_weight, fractions = len(values), weight / tasks, UPPER_FRACTIONS if below else LOWER_FRACTIONS
    if not cases:
        return min(tasks, least_cases(limit, below=below, random=tasks / weight, certainty=certainty))
    guesses = (cases * values + PRIOR_CASES * predictions) / (cases + PRIOR_CASES)
    bets = [_Bet(np.zeros(cases), limit, 0.0, 0.0)]
    if predicted > 0:
        bets.append(_Bet(predictions, limit - predicted / tasks, *extremes))
    growth, wealth = max(_best_bet(bet, values, guesses, mean_weight / weights, mean_weight, below) for bet in bets)
    if growth <= 0:
        return None
    rivals = len(fractions) * len(bets) / 2  # the bets next to the best one win as well
    missing = math.log(rivals / (1 - certainty)) - wealth
    return min(tasks - cases, max(1, math.ceil(missing / growth)))


@dataclass(frozen=True, slots=True, eq=False)
class _Bet:
    """A control variate (cases,) with the supposed mean of value - control, and its range over the population."""

    control: Values
    expected: float
    least: float
    greatest: float


def _best_bet(
    bet: _Bet, values: Values, guesses: Values, factors: Values, most: float, below: bool
) -> tuple[float, float]:
    """Return the growth of the best bet's logarithmic wealth per case, and its wealth after all cases.

    Of `sequential_bounds` with one control, if no task is ever used up: `factors` (cases,) are mean weight / weight,
    `most` is the greatest of them. `guesses` are the values' chances.
    """
    fractions = UPPER_FRACTIONS if below else LOWER_FRACTIONS
    bound, sign = ((1 - bet.least) * most, -1) if below else (-bet.greatest * most, 1)

    def logs(outcome: Values | float) -> Values:
        paid = sign * ((outcome - bet.control) * factors - bound) / (sign * (bet.expected - bound))
        return np.asarray(np.log(np.maximum(1 - fractions + fractions * paid, 1e-9)), dtype=np.float64)

    growths = (guesses * logs(1.0) + (1 - guesses) * logs(0.0)).mean(axis=1)
    best = int(growths.argmax())
    return float(growths[best]), float(logs(values)[best].sum())
