from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streams.calibration.calibrators import METHODS, IdentityCalibrator, Isotonic
from streams.core.errors import ConfigError
from streams.evaluation.calibrator_choice import (
    FITS,
    choose_calibrator,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    fit_venn_abers,
)
from streams.evaluation.reliability import log_loss

Cases = tuple[NDArray[np.float64], NDArray[np.bool_]]


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-values))


def cases(n: int, slope: float = 1.0, shift: float = 0.0, seed: int = 0) -> Cases:
    """Raw scores whose logit is (true logit * slope + shift)."""
    rng = np.random.default_rng(seed)
    true = rng.normal(1.0, 1.5, n)
    return sigmoid(slope * true + shift), rng.random(n) < sigmoid(true)


def stepped(n: int, seed: int = 0) -> Cases:
    """Right 1 time in 10 below a score of 0.7 and 9 times in 10 above, which no sigmoid describes."""
    rng = np.random.default_rng(seed)
    raw = rng.random(n)
    return raw, rng.random(n) < np.where(raw < 0.7, 0.1, 0.9)


def test_temperature_finds_how_much_too_sure_the_scores_are() -> None:
    assert fit_temperature(*cases(4000, slope=3.0)).t == pytest.approx(3.0, rel=0.1)


def test_platt_finds_slope_and_shift() -> None:
    line = fit_platt(*cases(4000, slope=2.0, shift=1.0))
    assert line.a == pytest.approx(0.5, rel=0.1)
    assert line.b == pytest.approx(-0.5, abs=0.15)


def test_platt_is_a_constant_where_scores_say_the_opposite() -> None:
    raw, correct = cases(2000)
    line = fit_platt(1 - raw, correct)
    assert line.a == 0
    assert line(0.5) == pytest.approx(correct.mean(), abs=0.01)


def test_platt_stays_finite_where_scores_separate_right_from_wrong() -> None:
    raw = np.linspace(0.01, 0.99, 40)
    line = fit_platt(raw, raw > 0.5)
    assert 0 < line(0.01) < 0.1 < 0.9 < line(0.99) < 1


def test_isotonic_never_claims_more_than_its_cases_can_show() -> None:
    raw, correct = stepped(50)
    fitted = fit_isotonic(raw, correct)
    assert min(fitted.y) >= 1 / 52
    assert max(fitted.y) <= 51 / 52


def test_isotonic_finds_a_step() -> None:
    fitted = fit_isotonic(*stepped(4000))
    assert [fitted(s) for s in (0.3, 0.9)] == pytest.approx([0.1, 0.9], abs=0.06)


def brute_interval(raw: NDArray[np.float64], correct: NDArray[np.bool_], score: float) -> list[float]:
    """The definition: refit with the case added as wrong, then as right, and read the fit at its score."""
    from sklearn.isotonic import IsotonicRegression

    scores = np.append(raw, score)
    return [
        float(IsotonicRegression().fit(scores, np.append(correct, added).astype(float)).predict([score])[0])
        for added in (0.0, 1.0)
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=25), st.integers(0, 40))
def test_venn_abers_equals_its_definition_at_and_between_the_scores(seen: list[tuple[int, bool]], at: int) -> None:
    raw = np.array([score / 10 for score, _ in seen])
    correct = np.array([right for _, right in seen])
    fitted = fit_venn_abers(raw, correct)
    assert fitted.interval(at / 40) == pytest.approx(brute_interval(raw, correct, at / 40), abs=1e-9)


def test_venn_abers_keeps_only_the_scores_where_a_step_changes() -> None:
    raw, correct = cases(2000)
    fitted = fit_venn_abers(raw, correct)
    assert len(fitted.x) < 600
    assert set(fitted.x) <= set(raw.tolist())


@pytest.mark.parametrize("method", FITS)
def test_every_method_fits_equal_scores_and_a_fold_of_one_kind(method: str) -> None:
    raw, all_right = np.full(30, 0.9), np.ones(30, dtype=np.bool_)
    assert FITS[method](raw, all_right)(0.9) > 0.85
    mixed = FITS[method](raw, np.arange(30) < 15)(0.9)
    assert method in ("identity", "temperature") or mixed == pytest.approx(0.5, abs=0.05)


def test_every_method_of_the_core_is_tried_in_its_order() -> None:
    assert list(FITS) == list(METHODS)


def test_calibrated_scores_are_left_as_they_are() -> None:
    assert choose_calibrator(*cases(1500)).calibrator == IdentityCalibrator()


@pytest.mark.parametrize(
    ("drawn", "method"),
    [
        (cases(1500, slope=3.0), "temperature"),
        (cases(1500, slope=2.0, shift=1.5), "platt"),
        (stepped(1500), "isotonic"),
    ],
)
def test_the_choice_follows_what_is_wrong_with_the_scores(drawn: Cases, method: str) -> None:
    chosen = choose_calibrator(*drawn)
    by_name = {row.method: row for row in chosen.table}
    assert chosen.calibrator.method in (method, "venn-abers")
    assert by_name[method].log_loss < by_name["identity"].log_loss - 0.01


def test_the_choice_is_the_simplest_of_the_best() -> None:
    chosen = choose_calibrator(*cases(400, slope=2.0))
    best = min(row.log_loss for row in chosen.table)
    assert chosen.calibrator.method == next(row.method for row in chosen.table if row.log_loss <= best + 1e-4)
    assert [row.method for row in chosen.table] == list(METHODS)


def test_held_out_probabilities_are_those_the_table_measures() -> None:
    raw, correct = cases(300, slope=3.0)
    chosen = choose_calibrator(raw, correct)
    row = next(row for row in chosen.table if row.method == chosen.calibrator.method)
    assert chosen.held_out.shape == (300,)
    assert log_loss(chosen.held_out, correct) == row.log_loss
    assert (chosen.held_out != chosen.calibrator.many(raw)).any()


def test_no_case_has_a_say_in_its_own_held_out_probability() -> None:
    # An isotonic fit that had seen a case of its own score would bend towards its outcome.
    raw, correct = stepped(40)
    table = choose_calibrator(raw, correct, folds=40).table
    isotonic = next(row for row in table if row.method == "isotonic")
    assert log_loss(fit_isotonic(raw, correct).many(raw), correct) < isotonic.log_loss - 0.01


def test_the_same_seed_gives_the_same_choice() -> None:
    raw, correct = cases(200, slope=3.0)
    one, two = choose_calibrator(raw, correct, seed=4), choose_calibrator(raw, correct, seed=4)
    assert one.table == two.table
    assert one.calibrator == two.calibrator
    assert (one.held_out == two.held_out).all()


def test_one_wrong_answer_among_many_is_enough() -> None:
    raw, _ = cases(40)
    chosen = choose_calibrator(raw, np.arange(40) != 7)
    assert ((chosen.held_out >= 0) & (chosen.held_out <= 1)).all()


def test_scores_of_exactly_0_and_1_keep_the_log_loss_finite() -> None:
    raw = np.tile([0.0, 1.0], 20)
    correct = np.tile([False, True, True, True], 10)
    assert all(np.isfinite(row.log_loss) for row in choose_calibrator(raw, correct).table)


@pytest.mark.parametrize(
    ("raw", "correct", "said"),
    [
        (np.full(19, 0.5), np.arange(19) < 9, "too few"),
        (np.full(30, 0.5), np.ones(30, dtype=np.bool_), "are right"),
        (np.full(30, 0.5), np.zeros(30, dtype=np.bool_), "are wrong"),
        (np.full(30, np.nan), np.arange(30) < 9, "from 0 to 1"),
        (np.full(30, 1.2), np.arange(30) < 9, "from 0 to 1"),
        (np.full(30, 0.5), np.arange(29) < 9, "Give one for each"),
    ],
)
def test_cases_that_cannot_be_calibrated_on_are_refused(
    raw: NDArray[np.float64], correct: NDArray[np.bool_], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        choose_calibrator(raw, correct)


@pytest.mark.parametrize("folds", [1, 31])
def test_a_number_of_folds_that_divides_nothing_is_refused(folds: int) -> None:
    with pytest.raises(ConfigError, match="folds"):
        choose_calibrator(np.full(30, 0.5), np.arange(30) < 9, folds=folds)


def test_fitted_isotonic_knots_are_plain_numbers() -> None:
    fitted = fit_isotonic(*stepped(100))
    assert isinstance(fitted, Isotonic)
    assert {type(value) for value in (*fitted.x, *fitted.y)} == {float}
