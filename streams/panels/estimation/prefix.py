"""The chances of the first cases of a draw, for a panel that has not judged all of them.

Given the order of the draw, the time between two clocks is exponential with the weight that is left as its rate, and
the times are independent of the order (Rényi 1953, On the theory of order statistics). Times drawn again from there
are therefore as good as the ones of the draw, which were not kept, and averaging over many leaves less to chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS: Final = 400
"""The times over which the inverse chances are averaged."""


def prefix_probabilities(weights: NDArray[np.float64], *, weight: float, seed: int) -> NDArray[np.float64]:
    """Return each case's chance of being among the first cases of the draw, shape (cases,).

    `weights` (cases,) are those of the first cases in the order of the draw, `weight` is the sum over the population.
    The chance is 1 if no weight is left. The mean of 1 / chance over all draws is exact: with it, weighted sums are
    unbiased. The same arguments give the same chances.
    """
    import numpy as np

    left = weight - np.concatenate([[0.0], np.cumsum(weights)])
    if not len(weights) or left[-1] <= 1e-9 * weight:
        return np.ones(len(weights))
    gaps = np.random.Generator(np.random.PCG64(seed)).exponential(size=(DRAWS, len(left))) / left
    times = gaps.sum(axis=1)
    inverse = np.mean(1 / -np.expm1(-np.outer(times, weights)), axis=0)
    return np.asarray(1 / inverse, dtype=np.float64)
