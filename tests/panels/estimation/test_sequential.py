from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from streams.panels.estimation.sequential import Moment, sequential_bounds
from tests.harness.drawn_panels import Population, Values, drawn_panel, predicted_population

STREAM = predicted_population(600, 0.1, seed=1)


def moments(population: Population, order: NDArray[np.int64], certainty: float = 0.95) -> list[Moment]:
    return sequential_bounds(
        population.wrong[order],
        population.weights[order],
        population.predictions[order],
        tasks=len(population.wrong),
        weight=float(population.weights.sum()),
        predicted=float(population.predictions.sum()),
        certainty=certainty,
    )


def held(population: Population, found: list[Moment]) -> bool:
    return all(one.low - 1e-9 <= population.rate <= one.high + 1e-9 for one in found)


def plain(values: Values, tasks: int, certainty: float) -> list[Moment]:
    ones = np.ones(len(values))
    return sequential_bounds(values, ones, 0 * ones, tasks=tasks, weight=tasks, predicted=0.0, certainty=certainty)


def test_there_is_a_moment_for_each_case_and_bounds_only_tighten() -> None:
    found = moments(STREAM, drawn_panel(STREAM, 200, 1).indices)
    assert [one.cases for one in found] == list(range(1, 201))
    assert all(later.low >= one.low and later.high <= one.high for one, later in pairwise(found))


def test_without_a_case_there_is_no_moment() -> None:
    assert plain(np.array([]), 10, 0.95) == []


@pytest.mark.parametrize("wrong", [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 1, 0], [0.5, 1, 0, 0, 0.5]])
def test_all_tasks_known_leave_no_doubt(wrong: list[float]) -> None:
    stream = Population(np.array(wrong, dtype=np.float64), np.full(5, 0.3), np.array([1.0, 2, 3, 1, 5]))
    last = moments(stream, np.array([4, 2, 0, 1, 3]))[-1]
    assert (last.low, last.high) == pytest.approx((stream.rate, stream.rate))


@pytest.mark.parametrize("certainty", [0.2, 0.5, 0.7])
@pytest.mark.parametrize("wrong", [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [1, 1, 0, 1, 0]])
def test_over_all_orders_of_a_small_draw_the_bounds_fail_no_oftener_than_they_may(
    wrong: list[float], certainty: float
) -> None:
    stream = Population(
        np.array(wrong, dtype=np.float64), np.array([0.9, 0.1, 0.2, 0.6, 0.0]), np.array([1.0, 1, 2, 4, 9])
    )
    failed = 0.0
    for order in map(np.array, permutations(range(5))):
        weights = stream.weights[order]
        left = weights[::-1].cumsum()[::-1]
        failed += float(np.prod(weights / left)) * (not held(stream, moments(stream, order, certainty)))
    assert failed <= 1 - certainty


@pytest.mark.slow
def test_the_bounds_hold_at_every_moment_in_95_of_100_panels_and_hard_cases_first_do_not() -> None:
    panels = [moments(STREAM, drawn_panel(STREAM, 120, seed).indices) for seed in range(100)]
    hardest = np.argsort(-STREAM.predictions)[:400]
    naive = [plain(STREAM.wrong[hardest[seed : seed + 120]], 600, 0.95) for seed in range(100)]
    assert np.mean([held(STREAM, one) for one in panels]) >= 0.95
    assert np.mean([held(STREAM, one) for one in naive]) < 0.95


def test_a_stream_without_errors_is_proved_by_not_many_more_cases_than_a_fixed_sample_needs() -> None:
    found = plain(np.zeros(100), 5000, 0.9)
    proved = next(one.cases for one in found if one.high <= 0.05)
    assert 59 <= proved <= 85, "59 is ln(0.05) / ln(0.95), the least number with any method"


def test_a_clear_difference_is_decided_after_few_cases() -> None:
    values = np.array([1.0, 1, 0, 1] * 50)
    assert next(one.cases for one in plain(values, 5000, 0.9) if one.low > 0.5) <= 60


def test_good_predictions_and_weights_narrow_the_bounds() -> None:
    stream = predicted_population(3000, 0.05, seed=2)
    evenly = Population(stream.wrong, np.zeros(3000), np.ones(3000))
    last = [[moments(some, drawn_panel(some, 300, seed).indices)[-1] for seed in range(6)] for some in (stream, evenly)]
    by_predictions, plainly = (np.mean([one.high - one.low for one in some]) for some in last)
    assert by_predictions < 0.95 * plainly


def test_a_case_of_little_weight_that_is_wrong_counts_for_many() -> None:
    weights, right = np.array([1.0, 8, 8, 8]), np.zeros(4)
    light, heavy = np.array([1.0, 0, 0, 0]), np.array([0.0, 1, 0, 0])
    none = np.zeros(4)
    lows = [
        sequential_bounds(one, weights, none, tasks=500, weight=2000.0, predicted=0.0, certainty=0.5)[-1].low
        for one in (light, heavy, right)
    ]
    assert lows[0] > lows[1] >= lows[2] == 0


def test_values_between_0_and_1_count_as_such() -> None:
    half = plain(np.full(300, 0.5), 5000, 0.95)[-1]
    assert half.low <= 0.5 <= half.high
    assert half.high - half.low < 0.15


def test_bounds_of_the_first_cases_are_the_same_however_many_follow() -> None:
    values, ones, predictions = np.zeros(40), np.ones(40), np.repeat([0.0, 0.5], 20)
    early, late = (
        sequential_bounds(values[:count], ones[:count], predictions[:count], tasks=1000, weight=1000.0, predicted=100.0)
        for count in (20, 40)
    )
    assert early == late[:20]


def test_known_extremes_of_the_predictions_decide_rare_comparisons_earlier() -> None:
    """Of all tasks, 1 in 5 is a comparison, of which 4 in 5 are won; the others count as a half, as predicted."""
    comparisons = np.array([1.0, 1.0, 0.0, 1.0, 1.0])
    values = np.tile([*np.insert(np.full(20, 0.5), [2, 6, 10, 14, 18], comparisons)], 20)
    ones, decided = np.ones(len(values)), []
    for extremes in ((0.0, 1.0), (0.5, 0.5)):
        found = sequential_bounds(
            values, ones, 0.5 * ones, tasks=9000, weight=9000, predicted=4500, extremes=extremes, certainty=0.9
        )
        decided.append(next(one.cases for one in found if one.low > 0.5))
    assert decided[1] < 0.9 * decided[0]
