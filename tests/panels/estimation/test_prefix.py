"""The chances of the first cases of a draw."""

from __future__ import annotations

import numpy as np
import pytest

from streams.panels.estimation.draw import draw_cases
from streams.panels.estimation.prefix import prefix_probabilities

TASKS, FIRST = 40, 8
WEIGHTS = np.tile([1.0, 1.0, 2.0, 6.0], TASKS // 4)
VALUES = np.tile([0.0, 0.0, 1.0, 1.0], TASKS // 4)


def test_weighted_totals_of_the_first_cases_are_unbiased() -> None:
    totals = []
    for seed in range(1500):
        drawn = draw_cases(WEIGHTS, 2 * FIRST, seed)[:FIRST]
        places = [one.index for one in drawn]
        chances = prefix_probabilities(WEIGHTS[places], weight=float(WEIGHTS.sum()), seed=seed + 10_000)
        totals.append(float((VALUES[places] / chances).sum()))
    # The true total is 20. The chances of all 16 drawn cases instead of these 8 would give about 10.
    assert np.mean(totals) == pytest.approx(20, abs=3.5 * np.std(totals) / np.sqrt(len(totals)))
    assert np.std(totals) / np.sqrt(len(totals)) < 0.3


def test_equal_weights_have_equal_chances_near_the_share_of_cases() -> None:
    chances = prefix_probabilities(np.ones(10), weight=100.0, seed=1)
    assert chances == pytest.approx(np.full(10, 0.1), rel=0.05)
    assert np.ptp(chances) == pytest.approx(0)


def test_all_tasks_have_the_chance_1() -> None:
    assert prefix_probabilities(np.array([1.0, 2.0]), weight=3.0, seed=1).tolist() == [1.0, 1.0]


def test_no_case_has_no_chance() -> None:
    assert len(prefix_probabilities(np.array([]), weight=3.0, seed=1)) == 0
