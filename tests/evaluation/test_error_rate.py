"""The test of a promised error rate: rarely wrong while it is kept, quick when it is not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

from streams.calibration.martingale import Capital, expired, opening, wager
from streams.core.errors import ConfigError
from streams.evaluation.error_rate import ErrorRate, error_watch, observe

RATE = 0.05


def after(state: ErrorRate, outcomes: NDArray[np.bool_]) -> ErrorRate:
    for wrong in outcomes.tolist():
        state = observe(state, wrong)
    return state


def alarms(max_error: float, error: float, streams: int, answers: int) -> int:
    outcomes = np.random.default_rng(1).random((streams, answers)) < error
    return sum(expired(after(error_watch(max_error), row).capital, RATE) for row in outcomes)


@pytest.mark.parametrize("max_error", [0.02, 0.2, 0.7])
def test_a_promise_just_kept_is_flagged_no_more_often_than_the_rate(max_error: float) -> None:
    assert alarms(max_error, max_error, streams=100, answers=300) <= stats.binom.ppf(0.999, 100, RATE)


def test_a_promise_well_kept_is_never_flagged() -> None:
    assert alarms(0.2, 0.1, streams=50, answers=400) == 0


@pytest.mark.parametrize(("max_error", "error", "answers"), [(0.05, 0.15, 200), (0.2, 0.3, 500), (0.2, 1.0, 5)])
def test_a_broken_promise_is_flagged_soon(max_error: float, error: float, answers: int) -> None:
    assert alarms(max_error, error, streams=40, answers=answers) >= 38


def test_errors_that_come_after_many_good_answers_are_found_too() -> None:
    random = np.random.default_rng(2)
    for _ in range(5):
        state = after(error_watch(0.1), random.random(5_000) < 0.05)
        assert not expired(state.capital, RATE)
        assert expired(after(state, random.random(400) < 0.25).capital, RATE)


def test_the_flag_stays_after_the_errors_end() -> None:
    state = after(after(error_watch(0.1), np.ones(5, dtype=bool)), np.zeros(200, dtype=bool))
    assert state.capital.log_wealth < -math.log(RATE)
    assert expired(state.capital, RATE)


@given(st.floats(0.001, 0.999), st.integers(0, 300))
def test_at_the_promised_rate_the_wealth_is_expected_to_stay_as_it_is(max_error: float, answers: int) -> None:
    state = after(error_watch(max_error), np.arange(answers) % 3 == 0)
    right, wrong = (math.exp(observe(state, outcome).capital.log_wealth) for outcome in (False, True))
    expected = (1 - max_error) * right + max_error * wrong
    assert expected == pytest.approx(math.exp(state.capital.log_wealth), rel=1e-9)


def test_a_wealth_beyond_every_float_is_held_as_a_logarithm() -> None:
    capital = opening(2)
    for _ in range(3_000):
        capital = wager(capital, np.array([1.0, 1.9]))
    assert 1_500 < capital.log_wealth < 3_000 * math.log(1.9)
    assert sum(capital.shares) == pytest.approx(1)


def test_bytes_of_another_version_or_cut_short_are_refused() -> None:
    data = opening(7).to_bytes()
    for spoilt in (b"", data[:-1], b"\x09" + data[1:]):
        with pytest.raises(ConfigError, match="Start the test again"):
            Capital.from_bytes(spoilt, 7)


def test_a_state_of_another_kind_of_test_is_refused() -> None:
    with pytest.raises(ConfigError, match="Start the test again"):
        Capital.from_bytes(opening(13).to_bytes(), 7)


@pytest.mark.parametrize("impossible", [0.0, 1.0, -0.1, math.nan])
def test_rates_that_cannot_be_are_refused(impossible: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        error_watch(impossible)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        expired(opening(2), impossible)
