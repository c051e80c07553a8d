"""Thinning a weighted draw: each task has the same chance of being kept."""

from __future__ import annotations

import numpy as np
import pytest

from streams.calibration.risk_control import Target, TooFew, select_threshold
from streams.panels.estimation.draw import draw_cases
from streams.panels.estimation.uniform import uniform_start

HEAVY = np.where(np.arange(200) % 4 == 0, 8.0, 1.0)
"""Every fourth of 200 tasks is eight times as likely to be the next case."""


def kept(seed: int, cases: int = 60, prefix: int | None = None) -> list[int]:
    """The tasks that are left of a draw, as indices into HEAVY."""
    drawn = draw_cases(HEAVY, cases, seed)[:prefix]
    weights = np.array([one.weight for one in drawn])
    return [drawn[index].index for index in uniform_start(weights, float(HEAVY.sum()), len(HEAVY), seed + 1)]


@pytest.mark.parametrize("prefix", [None, 30])
def test_a_heavy_task_is_kept_no_more_often_than_a_light_one(prefix: int | None) -> None:
    """A quarter of the tasks is heavy, and more than half of the cases are."""
    found = [task for seed in range(2000) for task in kept(seed, prefix=prefix)]
    heavy = float(np.mean(np.array(found) % 4 == 0))
    assert len(found) > 20_000
    assert 0.24 < heavy < 0.265  # a heavy task's chance is higher by 1 in the number of cases


def test_a_census_keeps_every_task_in_random_order() -> None:
    assert sorted(kept(1, cases=200)) == list(range(200))
    firsts = [kept(seed, cases=200)[0] for seed in range(1000)]
    assert 0.2 < float(np.mean(np.array(firsts) % 4 == 0)) < 0.3


def test_equal_weights_keep_every_case_in_the_order_of_the_draw() -> None:
    assert uniform_start(np.ones(5), 100.0, 100, 3) == [0, 1, 2, 3, 4]


def test_the_same_draw_and_seed_keep_the_same_cases() -> None:
    assert kept(5) == kept(5)
    assert kept(5) != kept(6)


def test_of_no_cases_none_is_kept() -> None:
    assert uniform_start(np.empty(0), 10.0, 10, 1) == []


def broken(seed: int, *, thinned: bool) -> bool:
    """True if a threshold that is proven on a panel's cases accepts more errors than it promises.

    A fifth of 3,000 tasks has more than three times the weight, and is seldom answered wrongly.
    """
    random = np.random.default_rng([seed, 7])
    scores, easy = random.uniform(0.5, 1, 3000), random.random(3000) < 0.2
    right = random.random(3000) > (1 - scores) * np.where(easy, 0.1, 1.2)
    weights = np.where(easy, 3.14, 1.0)
    cases = np.array([one.index for one in draw_cases(weights, 300, seed)])
    if thinned:
        cases = cases[uniform_start(weights[cases], float(weights.sum()), len(weights), seed + 1)]
    found = select_threshold(scores[cases], right[cases], Target(0.1, 0.9))
    return not isinstance(found, TooFew) and bool((~right[scores >= found.threshold]).mean() > 0.1)


def test_a_guarantee_holds_on_thinned_cases_and_not_on_all_of_them() -> None:
    """At a certainty of 90 % a tenth of the guarantees may break by chance."""
    assert sum(broken(seed, thinned=True) for seed in range(200)) <= 20
    assert sum(broken(seed, thinned=False) for seed in range(200)) > 30
