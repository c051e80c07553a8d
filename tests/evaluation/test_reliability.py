from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.evaluation.reliability import (
    brier_score,
    expected_calibration_error,
    log_loss,
    reliability,
)


def drawn(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probabilities that are exactly right, and outcomes drawn from them."""
    rng = np.random.default_rng(seed)
    probability = rng.random(n)
    return probability, rng.random(n) < probability


LISTS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


@settings(max_examples=30, deadline=None)
@given(LISTS, st.integers(1, 12), st.sampled_from(["equal mass", "equal width"]))
def test_every_case_is_in_one_bin_and_within_its_limits(
    seen: list[tuple[float, bool]], bins: int, strategy: str
) -> None:
    probability, correct = np.array([p for p, _ in seen]), np.array([right for _, right in seen])
    measured = reliability(probability, correct, bins, strategy=strategy)  # type: ignore[arg-type]
    assert sum(row.n for row in measured.bins) == measured.n == sum(measured.histogram) == len(seen)
    assert len(measured.bins) <= bins
    for row in measured.bins:
        assert row.low - 1e-12 <= row.confidence <= row.high + 1e-12
        assert row.lower <= row.accuracy + 1e-12
        assert row.accuracy <= row.upper + 1e-12
    assert sum(row.n * row.accuracy for row in measured.bins) == pytest.approx(correct.sum())


def test_bins_of_equal_mass_hold_equally_many() -> None:
    assert {row.n for row in reliability(*drawn(1000)).bins} == {100}


def test_equal_scores_share_a_bin() -> None:
    probability = np.repeat([0.2, 0.9], 50)
    rows = reliability(probability, np.arange(100) % 2 == 0).bins
    assert [row.n for row in rows] == [100] or [row.n for row in rows] == [50, 50]
    assert len(reliability(np.full(30, 0.7), np.arange(30) < 9).bins) == 1


def test_the_error_of_two_known_bins_is_the_weighted_gap() -> None:
    probability = np.array([0.2] * 4 + [0.9] * 6)
    correct = np.array([True, False, False, False, True, True, True, False, False, False])
    measured = reliability(probability, correct, 2, strategy="equal width")
    assert measured.ece == pytest.approx(0.4 * 0.05 + 0.6 * 0.4)
    assert [(row.low, row.high, row.n) for row in measured.bins] == [(0.0, 0.5, 4), (0.5, 1.0, 6)]
    assert [row.accuracy for row in measured.bins] == [0.25, 0.5]


def test_brier_and_log_loss_of_known_cases() -> None:
    probability, correct = np.array([0.8, 0.4]), np.array([True, False])
    assert brier_score(probability, correct) == pytest.approx((0.04 + 0.16) / 2)
    assert log_loss(probability, correct) == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)


def test_a_wrong_answer_held_for_certain_costs_much_but_not_everything() -> None:
    assert log_loss(np.array([1.0]), np.array([False])) == pytest.approx(34.54, abs=0.01)


def test_the_calibration_error_of_exact_probabilities_is_small_and_of_wrong_ones_large() -> None:
    probability, correct = drawn(5000)
    assert expected_calibration_error(probability, correct) < 0.03
    assert expected_calibration_error(probability**3, correct) > 0.15


def test_the_calibration_error_is_the_same_alone_and_in_the_whole_measure() -> None:
    probability, correct = drawn(777)
    assert reliability(probability, correct).ece == pytest.approx(expected_calibration_error(probability, correct))


def test_the_calibration_error_is_biased_upwards_with_few_cases() -> None:
    few = np.mean([expected_calibration_error(*drawn(50, seed)) for seed in range(50)])
    many = np.mean([expected_calibration_error(*drawn(2000, seed)) for seed in range(50)])
    assert few > 3 * many


def test_the_brier_interval_holds_the_true_value_about_as_often_as_it_says() -> None:
    # The expectation of p(1 - p) for p uniform is 1/6.
    intervals = [reliability(*drawn(150, seed)).brier_interval for seed in range(200)]
    assert 0.90 <= np.mean([low <= 1 / 6 <= high for low, high in intervals]) <= 0.99


def test_the_interval_of_the_calibration_error_narrows_with_more_cases() -> None:
    few, many = (reliability(*drawn(n)).ece_interval for n in (100, 5000))
    assert few[1] - few[0] > 3 * (many[1] - many[0])


def test_intervals_follow_the_seed_that_is_given() -> None:
    def interval(seed: int) -> tuple[float, float]:
        return reliability(*drawn(200), rng=np.random.default_rng(seed)).brier_interval

    assert interval(1) == interval(1) != interval(2)


def test_resampling_in_several_pieces_measures_what_one_piece_does() -> None:
    low, high = reliability(*drawn(12_000)).brier_interval
    assert low < 1 / 6 < high
    assert high - low == pytest.approx(4 * 0.0017, rel=0.25)


@pytest.mark.parametrize(
    ("probability", "correct", "said"),
    [
        ([], [], "Give one for each"),
        ([0.5], [True, False], "Give one for each"),
        ([1.5], [True], "from 0 to 1"),
        ([math.nan], [True], "from 0 to 1"),
        ([0.5], [2], "neither right nor wrong"),
    ],
)
def test_what_cannot_be_measured_is_refused(probability: list[float], correct: list[bool], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        reliability(np.array(probability), np.array(correct))


def test_no_bins_and_unknown_bins_are_refused() -> None:
    with pytest.raises(ConfigError, match="bins"):
        reliability(*drawn(10), 0)
    with pytest.raises(ConfigError, match="equal mass or equal width"):
        reliability(*drawn(10), strategy="clever")  # type: ignore[arg-type]
