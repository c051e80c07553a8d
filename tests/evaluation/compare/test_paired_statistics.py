from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from scipy.stats import binomtest, ttest_rel  # type: ignore[import-untyped]

from streams.evaluation.compare.paired_statistics import (
    DifferenceEstimate,
    Paired,
    difference,
    difference_of_all,
    events_needed,
    labels_needed,
    mcnemar,
    mean_difference,
    normal,
    wilson,
)

counts = st.integers(0, 60)
tables = st.builds(Paired, both=counts, only_a=counts, only_b=counts, neither=counts)


def swapped(pairs: Paired) -> Paired:
    return Paired(pairs.both, pairs.only_b, pairs.only_a, pairs.neither)


def mirrored(one: DifferenceEstimate) -> tuple[float, float | None, float | None]:
    return -one.value, None if one.high is None else -one.high, None if one.low is None else -one.low


# ---- McNemar ----


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (0, 5), (0, 6), (3, 9), (7, 7), (120, 80), (1, 0)])
def test_mcnemars_test_is_the_binomial_one(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    expected = binomtest(only_a, n, 0.5).pvalue if n else 1.0
    assert mcnemar(Paired(100, only_a, only_b, 9)) == pytest.approx(expected, rel=1e-9)


def test_six_to_nothing_is_the_least_that_is_significant() -> None:
    assert mcnemar(Paired(only_b=5)) == pytest.approx(0.0625)
    assert mcnemar(Paired(only_b=6)) == pytest.approx(0.03125)


# ---- The difference of the labelled ----


def likelihood(p_b: float, delta: float, pairs: Paired) -> float:
    """The log likelihood of a share only B gets right, where it is greater than A's by delta."""
    parts = ((pairs.only_b, p_b), (pairs.only_a, p_b - delta), (pairs.both + pairs.neither, 1 - 2 * p_b + delta))
    return sum(count * math.log(max(share, 1e-300)) for count, share in parts if count)


@pytest.mark.parametrize(
    "pairs", [Paired(40, 3, 9, 8), Paired(5, 1, 0, 2), Paired(300, 20, 10, 70), Paired(2, 6, 7, 1)]
)
def test_each_limit_is_where_the_score_test_just_rejects(pairs: Paired) -> None:
    found, n = difference(pairs), pairs.n
    for limit, side in ((found.low, 1), (found.high, -1)):
        assert limit is not None
        lowest, highest = max(0.0, limit), (1 + limit) / 2
        best = minimize_scalar(
            lambda p, d=limit: -likelihood(p, d, pairs), bounds=(lowest, highest), method="bounded",
            options={"xatol": 1e-12},
        ).x  # fmt: skip
        score = (pairs.only_b - pairs.only_a - n * limit) / math.sqrt(n * (2 * best - limit - limit**2))
        assert score == pytest.approx(side * 1.959964, abs=2e-4)


def test_without_discordant_pairs_the_interval_is_not_empty() -> None:
    square, found = normal(0.95) ** 2, difference(Paired(both=90, neither=10))
    assert found.value == 0.0
    assert found.high == pytest.approx(square / (100 + square))
    assert found.low == pytest.approx(-square / (100 + square))


@given(tables)
def test_swapping_the_runs_mirrors_the_difference(pairs: Paired) -> None:
    one, other = difference(pairs), difference(swapped(pairs))
    assert (one.value, one.low, one.high) == pytest.approx(mirrored(other), abs=1e-12)
    assert mcnemar(pairs) == mcnemar(swapped(pairs))


@given(tables)
def test_the_interval_holds_the_estimate_and_lies_between_minus_one_and_one(pairs: Paired) -> None:
    found = difference(pairs)
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


@pytest.mark.parametrize(
    ("n", "shares"),
    [(30, (0.5, 0.1, 0.2, 0.2)), (80, (0.8, 0.02, 0.05, 0.13)), (300, (0.85, 0.02, 0.04, 0.09))],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(n: int, shares: tuple[float, ...]) -> None:
    drawn = np.random.default_rng(1).multinomial(n, shares, 1500).tolist()
    found = [difference(Paired(*row)) for row in drawn]
    held = np.mean([(one.low or 0) <= shares[2] - shares[1] <= (one.high or 0) for one in found])
    assert 0.94 <= held <= 0.995


# ---- The difference over all events ----


def test_only_the_share_of_different_answers_counts_in_the_difference_of_all() -> None:
    # All 200 different answers of 10,000 are labelled, and B wins by 120 to 80: 20 points there, 0.4 over all.
    found = difference_of_all(Paired(only_a=80, only_b=120), 200, 10_000)
    assert found.value == pytest.approx(0.004)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < 0.0015
    assert 0.0065 < found.high < 0.008


def test_without_labels_the_runs_differ_by_no_more_than_their_answers_do() -> None:
    found = difference_of_all(Paired(), 30, 1000)
    assert (found.low, found.high) == (-wilson(30, 1000)[1], wilson(30, 1000)[1])


def test_few_events_rule_nothing_out_even_where_no_answer_differs() -> None:
    assert difference_of_all(Paired(), 0, 10).low == pytest.approx(-wilson(0, 10)[1])
    assert (difference_of_all(Paired(), 0, 0).low, difference_of_all(Paired(), 0, 0).high) == (-1.0, 1.0)


@given(tables, st.integers(0, 500), st.integers(0, 5000))
def test_swapping_the_runs_mirrors_the_difference_of_all(pairs: Paired, more: int, alike: int) -> None:
    differing = pairs.n + more
    one = difference_of_all(pairs, differing, differing + alike)
    other = difference_of_all(swapped(pairs), differing, differing + alike)
    assert (one.value, one.low, one.high) == pytest.approx(mirrored(other), abs=1e-12)
    assert (one.low or 0) <= one.value + 1e-12
    assert one.value <= (one.high or 0) + 1e-12


@pytest.mark.parametrize(
    ("events", "differ", "shares", "labelled"),
    [
        (1000, 0.1, (0.1, 0.3, 0.4, 0.2), 1.0),
        (1000, 0.1, (0.1, 0.3, 0.4, 0.2), 0.3),
        (200, 0.1, (0.0, 0.0, 1.0, 0.0), 1.0),
        (3000, 0.01, (0.2, 0.3, 0.3, 0.2), 1.0),
    ],
)
def test_the_interval_of_all_holds_the_truth_as_often_as_it_says(
    events: int, differ: float, shares: tuple[float, ...], labelled: float
) -> None:
    draw, truth, held = np.random.default_rng(2), differ * (shares[2] - shares[1]), 0
    for _ in range(1200):
        differing = int(draw.binomial(events, differ))
        pairs = Paired(*draw.multinomial(draw.binomial(differing, labelled), shares).tolist())
        found = difference_of_all(pairs, differing, events)
        held += (found.low or 0) <= truth <= (found.high or 0)
    assert 0.93 <= held / 1200 <= 0.995


# ---- How many it takes ----


def test_as_many_labels_as_are_said_to_be_needed_show_it_four_times_in_five() -> None:
    margin, events, differing = 0.02, 5000, 1000
    needed = labels_needed(Paired(both=50, only_a=25, only_b=24, neither=0), differing, events, margin)
    assert needed == math.ceil(0.5 * ((1.959964 + 0.841621) * 0.2 / margin) ** 2)
    drawn = np.random.default_rng(3).multinomial(needed, (0.5, 0.25, 0.25, 0), 1000).tolist()
    shown = [difference_of_all(Paired(*row), differing, events).low for row in drawn]
    assert 0.72 <= np.mean([(low or 0) >= -margin for low in shown]) <= 0.86


def test_as_many_events_as_are_said_to_be_needed_rule_a_difference_out() -> None:
    n = events_needed(0.02)
    assert wilson(0, n)[1] <= 0.02 < wilson(0, n - 1)[1]


# ---- Means ----


def test_the_interval_of_a_mean_is_students() -> None:
    draw = np.random.default_rng(4)
    a, b = draw.normal(1, 1, 200), draw.normal(1.2, 1, 200)
    expected = ttest_rel(b, a).confidence_interval(0.95)
    found = mean_difference(a, b)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.value, found.low, found.high) == pytest.approx(mirrored(mean_difference(b, a)))


def test_a_mean_that_few_events_make_has_no_interval() -> None:
    a, b = np.zeros(1000), np.zeros(1000)
    assert mean_difference(a, b) == DifferenceEstimate(0.0, 0.0, 0.0)
    b[:9] = 1.0
    assert mean_difference(a, b) == DifferenceEstimate(0.009, None, None)
    b[:10] = 1.0
    assert mean_difference(a, b).low is not None
    assert mean_difference(a[:29], b[:29]).low is None
    assert mean_difference(a[:0], b[:0]) == DifferenceEstimate(0.0, None, None)


def test_wilson_agrees_with_a_worked_example() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


@given(st.integers(1, 500), st.data())
def test_a_wilson_holds_the_share_and_stays_within_0_and_1(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n + 1e-12
    assert hits / n - 1e-12 <= high <= 1
    assert wilson(n - hits, n) == pytest.approx((1 - high, 1 - low))


def test_without_cases_anything_may_be_true() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_pairs_of_one_group_count_once() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.random(60), draw.random(60)
    once = mean_difference(a, b)
    groups = np.repeat(np.arange(60, dtype=np.uint64), 20)
    many = mean_difference(a.repeat(20), b.repeat(20), groups=groups)
    assert many.value == pytest.approx(once.value)
    assert (many.low, many.high) == pytest.approx((once.low, once.high))
    alone = mean_difference(a, b, groups=np.arange(60, dtype=np.uint64))
    assert (alone.low, alone.high) == pytest.approx((once.low, once.high))
