"""Populations with known truth, and panels drawn from them, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.panels.estimation.draw import RANDOM_SHARE, draw_cases

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """All tasks: whether the answer is wrong, its prediction, and the weight in the draw, each of shape (tasks,)."""

    wrong: Values
    predictions: Values
    weights: Values

    @property
    def rate(self) -> float:
        return float(self.wrong.mean())


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPanel:
    """The cases of a panel in the order of the draw, `people` of them for people; arrays of shape (cases,)."""

    indices: NDArray[np.int64]
    probabilities: Values
    judge_probabilities: Values
    people: int


def predicted_population(tasks: int, rate: float, seed: int, random: float = RANDOM_SHARE) -> Population:
    """Return a population whose predictions are right on average, and whose uncertain tasks weigh more."""
    generator = np.random.default_rng(seed)
    predictions = generator.beta(3 * rate, 3 * (1 - rate), tasks)
    wrong = (generator.random(tasks) < predictions).astype(np.float64)
    uncertain = np.sqrt(predictions * (1 - predictions))
    return Population(wrong, predictions, 1 + (1 - random) / random * uncertain / uncertain.mean())


def drawn_panel(population: Population, people: int, seed: int, judge: int = 0) -> DrawnPanel:
    """Draw a panel."""
    drawn = draw_cases(population.weights, people, seed, judge)
    return DrawnPanel(
        np.array([one.index for one in drawn]),
        np.array([one.probability for one in drawn]),
        np.array([one.judge_probability for one in drawn]),
        people,
    )
