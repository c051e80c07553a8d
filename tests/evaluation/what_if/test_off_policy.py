"""Estimates of what was not seen, held against the truth of made-up streams and against small sums by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.evaluation.what_if.direct_model import FOLDS, cross_fitted, design
from streams.evaluation.what_if.off_policy import (
    Floats,
    LoggedOutcome,
    Model,
    Term,
    bounded,
    effective_size,
    estimate,
    hajek,
    horvitz_thompson,
)


def term(values: list[float], seen: list[int], propensity: list[float], mean: float = 0.5) -> Term:
    n = len(values)
    outcome = LoggedOutcome(np.array(values), np.array(seen, dtype=np.bool_), np.array(propensity))
    return Term(np.ones(n), outcome, Model(np.full(n, mean), np.full(n, mean * (1 - mean))))


NONE = np.zeros(4)


def test_if_all_is_seen_the_estimate_is_the_mean_for_any_model() -> None:
    found = estimate(NONE, [term([1, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], mean=0.1)])
    assert found.value == pytest.approx(0.75)
    assert found.effective is None
    assert found.low < 0.75 < found.high


def test_an_outcome_seen_with_a_chance_of_a_half_counts_for_two() -> None:
    given = term([1, 9, 0, 9], [1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5])
    assert estimate(NONE, [horvitz_thompson(given)]).value == pytest.approx((1 / 0.5 + 0 / 0.5) / 4)
    assert estimate(NONE, [hajek(given)]).value == pytest.approx(0.5)
    # Each prediction, and twice the error of the two that were seen.
    assert estimate(NONE, [replace(given, model=Model(np.full(4, 0.3), np.zeros(4)))]).value == pytest.approx(
        0.3 + (2 * (1 - 0.3) + 2 * (0 - 0.3)) / 4
    )


def test_the_self_normalised_mean_weighs_by_one_over_the_chance() -> None:
    given = term([1, 0, 9, 9], [1, 1, 0, 0], [0.5, 0.25, 0.5, 0.5])
    assert estimate(NONE, [hajek(given)]).value == pytest.approx(
        2 / 6 + (2 * (1 - 2 / 6) + 4 * (0 - 2 / 6)) / 4, abs=1e-12
    )
    assert effective_size(given) == pytest.approx((2 + 4) ** 2 / (2**2 + 4**2))


def test_what_could_never_be_seen_leaves_bounds_and_no_value() -> None:
    found = estimate(NONE, [term([1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0])])
    assert found.value is None
    assert found.low < 0.5
    assert found.high > 1.0
    assert bounded(found, 0.0, 1.0).high == 1.0


def test_a_loss_of_what_could_never_be_seen_is_worst_where_that_was_best() -> None:
    given = replace(term([0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]), weight=np.array([-1.0, -1.0, 0.0, 0.0]))
    found = estimate(NONE, [given])
    assert found.low < -0.5 < 0.0 < found.high


def test_few_outcomes_that_are_all_alike_do_not_make_a_narrow_interval() -> None:
    n, few = 1000, 8
    seen = np.arange(n) < few
    outcome = LoggedOutcome(np.ones(n), seen, np.full(n, few / n))
    model = cross_fitted(design(np.linspace(0, 1, n), ["k"] * n), outcome, np.arange(n, dtype=np.int64) % FOLDS)
    found = estimate(np.zeros(n), [Term(np.ones(n), outcome, model)])
    assert found.effective == pytest.approx(few)
    assert found.low < 0.75  # 8 of 8 are seen with one chance in ten where 3 of 4 are right


def test_no_weight_gives_zero() -> None:
    found = estimate(NONE, [replace(term([1, 0, 1, 1], [1, 0, 1, 0], [0.5] * 4), weight=NONE)])
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


# ---- Properties ----


@st.composite
def streams(draw: st.DrawFn) -> tuple[Floats, Term]:
    n = draw(st.integers(5, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    chance = rng.choice([0.1, 0.5, 1.0], n)
    seen = rng.random(n) < chance
    outcome = LoggedOutcome((rng.random(n) < 0.7).astype(np.float64), seen, chance)
    model = cross_fitted(design(rng.random(n), ["a", "b"] * (n // 2) + ["a"] * (n % 2)), outcome, np.arange(n) % FOLDS)
    return rng.random(n), Term(rng.choice([-1.0, 0.0, 1.0], n), outcome, model)


@given(streams())
def test_the_interval_holds_the_estimate(stream: tuple[Floats, Term]) -> None:
    known, one = stream
    for found in (estimate(known, [each]) for each in (one, hajek(one), horvitz_thompson(one))):
        assert found.value is not None
        assert found.low <= found.value <= found.high


@given(streams())
def test_turning_every_sign_mirrors_the_estimate(stream: tuple[Floats, Term]) -> None:
    known, one = stream
    found, mirrored = estimate(known, [one]), estimate(-known, [replace(one, weight=-one.weight)])
    assert found.value is not None
    assert mirrored.value == pytest.approx(-found.value)
    assert [mirrored.low, mirrored.high] == pytest.approx([-found.high, -found.low])


@given(streams())
def test_what_was_not_seen_does_not_count(stream: tuple[Floats, Term]) -> None:
    known, one = stream
    hidden = np.where(one.outcome.seen, one.outcome.values, 77.0)
    assert estimate(known, [replace(one, outcome=replace(one.outcome, values=hidden))]) == estimate(known, [one])


# ---- The direct model ----


def test_an_events_own_outcome_does_not_enter_its_prediction() -> None:
    rng = np.random.default_rng(0)
    n = 200
    columns, fold = design(rng.random(n), ["k"] * n), np.arange(n, dtype=np.int64) % FOLDS
    values = (rng.random(n) < 0.6).astype(np.float64)
    first = LoggedOutcome(values, np.ones(n, dtype=np.bool_), np.ones(n))
    values_changed = values.copy()
    values_changed[7] = 1 - values_changed[7]
    second = replace(first, values=values_changed)
    one, other = (cross_fitted(columns, outcome, fold).mean for outcome in (first, second))
    assert one[7] == other[7]
    assert (one[fold != fold[7]] != other[fold != fold[7]]).any()


def test_the_model_follows_the_score_and_the_kind() -> None:
    rng = np.random.default_rng(1)
    n = 4000
    score, kinds = rng.random(n), [("a", "b")[number % 2] for number in range(n)]
    chance = 0.2 + 0.5 * score + 0.2 * (np.array(kinds) == "b")
    outcome = LoggedOutcome((rng.random(n) < chance).astype(np.float64), np.ones(n, dtype=np.bool_), np.ones(n))
    model = cross_fitted(design(score, kinds), outcome, np.arange(n, dtype=np.int64) % FOLDS)
    assert float(np.abs(model.mean - chance).mean()) < 0.03


def test_unknown_scores_are_a_kind_of_their_own() -> None:
    n = 400
    score = np.where(np.arange(n) % 4 == 0, np.nan, 0.9)
    outcome = LoggedOutcome(np.isnan(score).astype(np.float64), np.ones(n, dtype=np.bool_), np.ones(n))
    model = cross_fitted(design(score, ["k"] * n), outcome, np.arange(n, dtype=np.int64) // 4 % FOLDS)
    assert model.mean[np.isnan(score)].min() > 0.9
    assert model.mean[~np.isnan(score)].max() < 0.1


def test_without_any_seen_outcome_the_model_knows_nothing() -> None:
    outcome = LoggedOutcome(np.zeros(10), np.zeros(10, dtype=np.bool_), np.full(10, 0.01))
    model = cross_fitted(design(np.linspace(0, 1, 10), ["k"] * 10), outcome, np.arange(10, dtype=np.int64) % FOLDS)
    assert (model.mean == 0.5).all()
    assert (model.variance == 0.25).all()


# ---- How often the interval holds the truth ----


@pytest.mark.parametrize("chance", [0.05, 0.2])
@pytest.mark.parametrize("misled", [False, True])
def test_the_interval_holds_the_truth_as_often_as_it_says(chance: float, misled: bool) -> None:
    held, n, runs = 0, 800, 200
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        score = rng.random(n)
        truth = 0.5 + 0.35 * np.sin(30 * score) if misled else 0.4 + 0.5 * score
        uncertain = score > 0.3
        propensity = np.where(uncertain, chance, 1.0)
        values = (rng.random(n) < truth).astype(np.float64)
        outcome = LoggedOutcome(values, rng.random(n) < propensity, propensity)
        model = cross_fitted(design(score, ["k"] * n), outcome, np.arange(n, dtype=np.int64) % FOLDS)
        found = estimate(np.zeros(n), [Term(np.ones(n), outcome, model)])
        expected = 0.5 + 0.35 * (1 - np.cos(30)) / 30 if misled else 0.65
        held += found.low <= expected <= found.high
    assert 0.92 <= held / runs <= 0.99


def test_events_of_one_task_count_once() -> None:
    """Twenty copies of each event say no more than one: the interval is as wide."""
    draw = np.random.default_rng(0)
    known = draw.random(50)
    once = estimate(known, [])
    many = estimate(known.repeat(20), [], np.arange(50).repeat(20))
    assert many.value == pytest.approx(once.value)
    assert (many.low, many.high) == pytest.approx((once.low, once.high))
