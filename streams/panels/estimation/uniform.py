"""Thin a weighted draw to the beginning of a uniformly random order of all tasks.

A task's clock in the draw is the earlier of two: one with the weight 1 that all tasks have in common, and one with
the rest of its weight. The common clocks alone put all tasks in a uniformly random order. A drawn task is kept if its
common clock rings before the draw ends: at once with chance 1 / weight, else at any later moment. This is rejection
sampling (von Neumann 1951) by the cases' chances, as for explored answers, but needs no more than the weights, so it
also holds for a panel that has judged only the beginning of its draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.panels.estimation.draw import LEAST_WEIGHT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def uniform_start(weights: NDArray[np.float64], weight: float, tasks: int, seed: int) -> list[int]:
    """Return indices of the drawn cases that begin a uniformly random order of all tasks, in that order.

    `weights` (n,) are those of the first n cases in the order of the draw, each at least LEAST_WEIGHT; `weight` and
    `tasks` are the sum and the number of all tasks. The same arguments give the same result.
    """
    import numpy as np

    random = np.random.Generator(np.random.PCG64(seed))
    kept: list[int] = []
    waiting: list[int] = []
    left = weight
    for index, own in enumerate(weights.tolist()):
        _ring(kept, waiting, left, random)
        left -= own
        (kept if random.random() < LEAST_WEIGHT / own else waiting).append(index)
    _ring(kept, waiting, left if len(weights) < tasks else 0.0, random)
    return kept


def _ring(kept: list[int], waiting: list[int], left: float, random: np.random.Generator) -> None:
    """Keep the waiting tasks whose common clock rings before the next task is drawn from those of weight `left`."""
    while waiting and random.random() * (LEAST_WEIGHT * len(waiting) + left) < LEAST_WEIGHT * len(waiting):
        kept.append(waiting.pop(int(random.integers(len(waiting)))))
