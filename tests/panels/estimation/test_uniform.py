"""Thinning a weighted draw: each task has the same chance of being kept."""

from __future__ import annotations

import numpy as np
import pytest

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
