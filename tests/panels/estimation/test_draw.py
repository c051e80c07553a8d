from __future__ import annotations

import numpy as np
import pytest

from streams.core.errors import ConfigError
from streams.panels.estimation.draw import draw_cases

WEIGHTS = np.concatenate([np.full(20, 1.0), np.full(8, 3.0), np.full(2, 12.0)])
VALUES = np.concatenate([np.full(20, 0.2), np.full(8, 0.5), np.full(2, 1.0)])
SEEDS = range(4000)
GOLDEN = [3, 20, 24, 25, 29, 23, 18, 28]


def test_a_draw_has_its_exact_size_and_its_positions_in_order() -> None:
    drawn = draw_cases(WEIGHTS, 7, seed=1, more=5)
    assert [one.position for one in drawn] == list(range(1, 13))
    assert len({one.index for one in drawn}) == 12
    assert [one.weight for one in drawn] == [WEIGHTS[one.index] for one in drawn]


def test_the_first_cases_of_a_longer_draw_are_the_shorter_draw() -> None:
    short, long = draw_cases(WEIGHTS, 7, seed=1), draw_cases(WEIGHTS, 7, seed=1, more=9)
    assert [(one.index, one.probability) for one in short] == [(one.index, one.probability) for one in long[:7]]
    assert [one.judge_probability for one in long] == [one.probability for one in draw_cases(WEIGHTS, 16, seed=1)]


def test_the_same_seed_gives_the_same_draw_on_every_machine() -> None:
    assert [one.index for one in draw_cases(WEIGHTS, 8, seed=20261130)] == GOLDEN
    assert [one.index for one in draw_cases(WEIGHTS, 8, seed=20261131)] != GOLDEN


@pytest.mark.parametrize("count", [30, 31, 500])
def test_a_draw_of_as_many_cases_as_tasks_is_a_census(count: int) -> None:
    drawn = draw_cases(WEIGHTS, count, seed=3)
    assert sorted(one.index for one in drawn) == list(range(30))
    assert {(one.probability, one.judge_probability) for one in drawn} == {(1.0, 1.0)}


def test_a_judge_that_gets_all_the_rest_has_a_census() -> None:
    drawn = draw_cases(WEIGHTS, 10, seed=3, more=20)
    assert {one.judge_probability for one in drawn} == {1.0}
    assert max(one.probability for one in drawn) < 1


def test_the_first_case_is_drawn_in_proportion_to_the_weights() -> None:
    from scipy.stats import chisquare  # type: ignore[import-untyped]

    firsts = np.bincount([draw_cases(WEIGHTS, 1, seed)[0].index for seed in SEEDS], minlength=30)
    assert chisquare(firsts, len(SEEDS) * WEIGHTS / WEIGHTS.sum()).pvalue > 0.001


def test_values_weighted_by_the_chances_have_the_populations_sum_as_expectation() -> None:
    draws = [draw_cases(WEIGHTS, 18, seed) for seed in SEEDS]
    sums = np.array([sum(VALUES[one.index] / one.probability for one in drawn) for drawn in draws])
    share = 18 * WEIGHTS / WEIGHTS.sum()
    rough = np.array([sum(VALUES[one.index] / min(1.0, share[one.index]) for one in drawn) for drawn in draws])
    error = sums.std() / len(SEEDS) ** 0.5
    assert abs(sums.mean() - VALUES.sum()) < 3.5 * error
    assert abs(rough.mean() - VALUES.sum()) > 3.5 * error, "a wrong formula would pass as well"


def test_the_chances_give_the_variance_of_a_sum() -> None:
    draws = [draw_cases(WEIGHTS, 12, seed) for seed in SEEDS]
    sums = np.array([sum(VALUES[one.index] / one.probability for one in drawn) for drawn in draws])
    estimates = [
        sum(VALUES[one.index] ** 2 * (1 - one.probability) / one.probability**2 for one in drawn) for drawn in draws
    ]
    assert np.mean(estimates) == pytest.approx(sums.var(), rel=0.08)


def test_a_million_tasks_are_drawn_from_by_their_weights() -> None:
    weights = np.tile([1.0, 4.0], 500_000)
    drawn = draw_cases(weights, 4000, seed=5)
    assert sum(one.weight == 4.0 for one in drawn) / 4000 == pytest.approx(0.8, abs=0.02)


def test_no_tasks_give_no_cases() -> None:
    assert draw_cases(np.array([]), 5, seed=1) == []


@pytest.mark.parametrize("weight", [0.5, 0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_below_one_or_without_end_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match="weight"):
        draw_cases(np.array([1.0, weight]), 1, seed=1)


def test_a_negative_number_of_cases_is_refused() -> None:
    with pytest.raises(ConfigError, match="-3 cases"):
        draw_cases(WEIGHTS, -3, seed=1)
