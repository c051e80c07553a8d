"""Draw a panel's cases so that each task's chance of being drawn is known.

Each task gets a clock E / weight with E from the unit exponential distribution, and the clocks that ring first are the
cases. So each next case is drawn with a chance in proportion to its weight among the tasks not drawn yet (successive
sampling, Rosén 1972), and the first cases of the draw are a draw of that size themselves.

The chance of a case is conditional: given the clocks of all other tasks, a task is among the first n if its clock
rings before the (n + 1)-th, at the time t: 1 - exp(-weight * t). With these chances, values weighted by 1 / chance have
the population's total as their exact expectation, and the terms of two tasks are uncorrelated (Cohen and Kaplan 2007,
Summarizing data using bottom-k sketches).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streams.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RANDOM_SHARE: Final = 0.7
"""The default share of all weight that is spread evenly over all tasks.

With a smaller one a panel sees more hard cases, but a stream without errors needs more cases for its certificate.
"""
LEAST_WEIGHT: Final = 1.0
"""The least weight of a task. The sequential bounds rest on it: no case may count too much."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One drawn task: its index in the population, and its position in the draw, from 1.

    `probability` is the chance of being among the first `count` cases; `judge_probability` of being among all that
    were drawn.
    """

    index: int
    position: int
    weight: float
    probability: float
    judge_probability: float


def draw_cases(weights: NDArray[np.float64], count: int, seed: int, more: int = 0) -> list[Drawn]:
    """Draw `count` cases for people and `more` after them for a judge alone, in the order of the draw.

    `weights` (tasks,) are at least LEAST_WEIGHT, as every task has 1 of the random share. If
    there are no more tasks than cases, all are drawn, with chance 1. The same weights and seed give the same draw.
    Raises ConfigError for other weights or a negative number of cases.
    """
    import numpy as np

    _check(weights, count, more)
    uniform = np.random.Generator(np.random.PCG64(seed)).random(len(weights))
    clocks = -np.log1p(-uniform) / weights
    order = _first(clocks, count + more + 1)
    drawn = order[: count + more]
    probability = _chances(weights[drawn], _ring(clocks, order, count))
    judge_probability = _chances(weights[drawn], _ring(clocks, order, count + more))
    rows = zip(drawn.tolist(), weights[drawn].tolist(), probability.tolist(), judge_probability.tolist(), strict=True)
    return [Drawn(index, position, *row) for position, (index, *row) in enumerate(rows, start=1)]


def _check(weights: NDArray[np.float64], count: int, more: int) -> None:
    if count < 0 or more < 0:
        raise ConfigError(f"{min(count, more)} cases cannot be drawn.", "Draw a positive number of cases.")
    if len(weights) and not (weights.min() >= LEAST_WEIGHT and math.isfinite(float(weights.sum()))):
        raise ConfigError(
            f"A weight is below {LEAST_WEIGHT:g} or infinite.", "Give every task a finite weight of at least 1."
        )


def _first(clocks: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return the indices of the `count` least clocks in ascending order; of all, if there are fewer."""
    import numpy as np

    if count >= len(clocks):
        return np.argsort(clocks, kind="stable")
    least = np.argpartition(clocks, count)[:count]
    return np.asarray(least[np.argsort(clocks[least], kind="stable")], dtype=np.int64)


def _ring(clocks: NDArray[np.float64], order: NDArray[np.int64], count: int) -> float:
    """Return the time of clock number `count` + 1; infinity if there is none."""
    return float(clocks[order[count]]) if count < len(order) else math.inf


def _chances(weights: NDArray[np.float64], time: float) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(-np.expm1(-weights * time), dtype=np.float64)
