"""Say about how many more cases a panel needs: for a narrower interval, or to decide a claim.

Both take the further cases to be like those so far, so they are rough while few cases are known.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

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
    certainty: float = 0.95,
) -> int | None:
    """Return about how many more cases prove that the rate is `below` a limit, or above; None if it does not look so.

    The arguments are those of `sequential_bounds`, but `certainty` is that of the one side. The best of its bets
    decides: how much its wealth has grown, and how much it grows with each case.
    """
    cases = len(values)
    if not cases:
        return None
    guesses = (cases * values + PRIOR_CASES * predictions) / (cases + PRIOR_CASES)
    found = [
        _best_bet(values, guesses, control, weight / tasks / weights, weight / tasks, limit - total / tasks, below)
        for control, total in ((np.zeros(cases), 0.0), (predictions, predicted))
    ]
    growth, wealth = max(found)
    if growth <= 0:
        return None
    fractions = UPPER_FRACTIONS if below else LOWER_FRACTIONS
    bets = len(fractions) * (2 if predictions.any() else 1)
    rivals = bets / 2  # the bets next to the best one win as well
    missing = math.log(rivals / (1 - certainty)) - wealth
    return min(tasks - cases, max(1, math.ceil(missing / growth)))


def _best_bet(
    values: Values, guesses: Values, control: Values, factors: Values, most: float, expected: float, below: bool
) -> tuple[float, float]:
    """Return the growth of the best bet's logarithmic wealth per case, and its wealth after all cases.

    Of `sequential_bounds` with one control, if no task is ever used up: `factors` (cases,) are mean weight / weight,
    `most` is the greatest of them, `expected` the supposed mean of value - control. `guesses` are the values' chances.
    """
    fractions = UPPER_FRACTIONS if below else LOWER_FRACTIONS
    least = -most if control.any() else 0.0
    bound, sign = (most, -1) if below else (least, 1)

    def logs(outcome: Values | float) -> Values:
        paid = sign * ((outcome - control) * factors - bound) / (sign * (expected - bound))
        return np.asarray(np.log(np.maximum(1 - fractions + fractions * paid, 1e-9)), dtype=np.float64)

    growths = (guesses * logs(1.0) + (1 - guesses) * logs(0.0)).mean(axis=1)
    best = int(growths.argmax())
    return float(growths[best]), float(logs(values)[best].sum())
