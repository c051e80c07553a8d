"""The watch over a calibration: rarely wrong on steady scores, quick on drifted ones, for any kind of score."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

from streams.calibration.drift import (
    BINS,
    Reference,
    Watch,
    bin_of,
    observe,
    p_value,
    payoffs,
    reference_of,
    watch,
)
from streams.calibration.martingale import expired, jump_and_pay, opening
from streams.core.errors import ConfigError

RATE = 0.05
Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]


def continuous(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return random.normal(size=shape)


def five_values(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return random.choice([0.1, 0.2, 0.5, 0.9, 1.0], p=[0.05, 0.05, 0.2, 0.3, 0.4], size=shape)


def nearly_constant(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return np.where(random.random(shape) < 0.03, random.random(shape), 1.0)


def often_unknown(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return np.where(random.random(shape) < 0.3, np.nan, random.beta(5, 1, size=shape).round(2))


def shuffled_stock(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Exchangeable and dependent: two clusters in equal parts, in random order."""
    stock = np.where(np.arange(shape[1]) % 2, 3.0, 0.0) + random.normal(size=shape)
    return random.permuted(stock, axis=1)


def p_values_of(scores: Floats, known: int, random: np.random.Generator, learns: int = 1) -> Floats:
    """P-values (events, streams) of each row of `scores` after its first `known`, which are the calibration."""
    rows = []
    for row, draws in zip(scores, random.random(scores.shape), strict=True):
        reference = reference_of(row[:known].tolist())
        counts, ps = list(reference.counts), []
        for score, u in zip(row[known:].tolist(), draws.tolist(), strict=False):
            place = bin_of(reference.edges, score)
            ps.append(p_value(counts, place, u))
            counts[place] += learns
        rows.append(ps)
    return np.array(rows).T


def wealth_paths(ps: Floats) -> Floats:
    """Log wealth (events, streams), all streams a step at a time: what `observe` holds, only sooner computed."""
    bets = len(payoffs(0.5))
    shares = np.tile(np.array(opening(bets).shares).reshape(-1, bets), (ps.shape[1], 1, 1))
    paths = np.zeros_like(ps)
    for seen, row in enumerate(ps):
        shares = jump_and_pay(shares, payoffs(row).T, seen)
        growth = shares.sum(axis=(1, 2))
        paths[seen] = np.log(growth)
        shares /= growth[:, np.newaxis, np.newaxis]
    return paths.cumsum(axis=0)


def flagged(paths: Floats) -> int:
    """In how many streams the wealth ever reached 1 / RATE."""
    return int((paths.max(axis=0) >= -math.log(RATE)).sum())


def most_false_alarms(streams: int) -> int:
    return int(stats.binom.ppf(0.999, streams, RATE))


@pytest.mark.parametrize("draw", [continuous, five_values, nearly_constant, often_unknown, shuffled_stock])
def test_steady_streams_are_flagged_no_more_often_than_the_rate(draw: Draw) -> None:
    random = np.random.default_rng(1)
    ps = p_values_of(draw(random, (200, 2_200)), 200, random)
    assert flagged(wealth_paths(ps)) <= most_false_alarms(200)


def test_a_bag_that_does_not_grow_would_break_the_rate() -> None:
    random = np.random.default_rng(2)
    scores = continuous(random, (60, 1_200))
    assert flagged(wealth_paths(p_values_of(scores, 200, random, learns=0))) > 2 * most_false_alarms(60)
    assert flagged(wealth_paths(p_values_of(scores, 200, random))) <= most_false_alarms(60)


@pytest.mark.parametrize("arranged", [lambda row: row, np.sort], ids=["as they came", "sorted"])
@pytest.mark.parametrize("draw", [continuous, five_values, often_unknown])
def test_p_values_are_uniform_after_a_small_calibration_in_any_order(draw: Draw, arranged: Any) -> None:
    random = np.random.default_rng(3)
    scores = draw(random, (2_000, 24))
    scores[:, :20] = np.apply_along_axis(arranged, 1, scores[:, :20])
    ps = p_values_of(scores, 20, random)
    assert stats.kstest(ps[0], "uniform").pvalue > 0.001
    assert stats.kstest(ps.ravel(), "uniform").pvalue > 0.001
    assert abs(np.corrcoef(ps[0], ps[1])[0, 1]) < 4 / math.sqrt(2_000)


DRIFTS: dict[str, tuple[int, Callable[[Floats], Floats]]] = {
    "half a deviation lower": (300, lambda scores: scores - 0.5),
    "half a deviation higher": (300, lambda scores: scores + 0.5),
    "wider": (300, lambda scores: scores * 1.5),
    "narrower": (300, lambda scores: scores / 1.5),
    "a tenth in a low cluster": (1_000, lambda scores: np.where(one_in_ten(scores), -3 + scores / 10, scores)),
    "a tenth unknown": (1_000, lambda scores: np.where(one_in_ten(scores), np.nan, scores)),
}


def one_in_ten(scores: Floats) -> NDArray[np.bool_]:
    return np.random.default_rng(0).random(scores.shape) < 0.1


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_after_a_thousand_events_is_found_soon(drift: str) -> None:
    within, drifted = DRIFTS[drift]
    random = np.random.default_rng(4)
    scores = continuous(random, (40, 2_000 + within))
    scores[:, 2_000:] = drifted(scores[:, 2_000:])
    paths = wealth_paths(p_values_of(scores, 1_000, random))
    assert flagged(paths[:1_000]) <= most_false_alarms(40)
    assert flagged(paths) >= 38


def test_a_long_quiet_stream_does_not_blunt_the_test() -> None:
    random = np.random.default_rng(5)
    scores = continuous(random, (4, 20_600))
    scores[:, 20_200:] -= 0.5
    assert flagged(wealth_paths(p_values_of(scores, 200, random))) == 4


def test_observing_a_score_at_a_time_gives_the_same_wealth_and_bag() -> None:
    scores = often_unknown(np.random.default_rng(6), (1, 400))
    paths = wealth_paths(p_values_of(scores, 100, np.random.default_rng(7)))
    us = np.random.default_rng(7).random(scores.shape)[0]
    reference = reference_of(scores[0, :100].tolist())
    state = watch(reference)
    for score, u in zip(scores[0, 100:].tolist(), us.tolist(), strict=False):
        state = observe(reference, state, score, u)
    assert state.capital.log_wealth == pytest.approx(paths[-1, 0])
    assert state.capital.peak_log_wealth == pytest.approx(max(0, paths.max()))
    assert state.capital.seen == 300
    assert sum(state.counts) == 75 + 300


def test_a_refuted_calibration_stays_refuted_when_the_bag_has_learnt_the_new_scores() -> None:
    random = np.random.default_rng(8)
    reference = reference_of(random.normal(size=400).tolist())
    state = watch(reference)
    for score in random.normal(2, 1, size=3_000).tolist():
        state = observe(reference, state, score, random.random())
    assert state.capital.log_wealth < state.capital.peak_log_wealth
    assert expired(state.capital, RATE)
    assert expired(state.capital, 1e-6)


def test_no_bet_can_be_expected_to_win_or_ruin_anyone() -> None:
    grid = (np.arange(10_000) + 0.5) / 10_000
    np.testing.assert_allclose(payoffs(grid).mean(axis=1), 1, atol=1e-6)
    assert payoffs(np.linspace(0, 1, 1_001)).min() > 0.05


@pytest.mark.parametrize("u", [0.0, 1.0])
@pytest.mark.parametrize("score", [math.nan, -math.inf, math.inf, 0.5, -1e308, 1e308])
def test_any_score_at_either_end_of_u_leaves_a_finite_wealth(score: float, u: float) -> None:
    reference = reference_of([0.5] * 40)
    state = watch(reference)
    for _ in range(200):
        state = observe(reference, state, score, u)
    assert math.isfinite(state.capital.log_wealth)
    assert state.counts[bin_of(reference.edges, score)] >= 200


def test_u_outside_0_to_1_is_an_error_of_the_caller() -> None:
    reference = reference_of([0.5] * 40)
    for u in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="u must lie"):
            observe(reference, watch(reference), 0.5, u)


def test_an_unknown_score_and_a_frequent_one_have_bins_of_their_own() -> None:
    reference = reference_of([1.0] * 60 + [0.2] * 60 + [math.nan] * 60)
    places = [bin_of(reference.edges, score) for score in (math.nan, 0.1, 0.2, 0.3, 1.0, 1.1)]
    assert len(set(places)) == 6
    assert sum(reference.counts) == 135
    assert sum(reference.counts[place] for place in (places[0], places[2], places[4])) == 135


def test_a_reference_of_unknown_scores_alone_finds_the_first_known_ones() -> None:
    reference = reference_of([math.nan] * 100)
    state = watch(reference)
    for u in np.random.default_rng(9).random(100).tolist():
        state = observe(reference, state, 0.7, u)
    assert expired(state.capital, RATE)


@given(st.lists(st.floats() | st.sampled_from([0.0, -0.0, 0.5, 1.0, sys.float_info.max]), min_size=20, max_size=100))
def test_every_list_of_scores_makes_a_small_reference_that_survives_json(scores: list[float]) -> None:
    reference = reference_of(scores)
    assert len(reference.edges) < BINS
    assert sum(reference.counts) == len(scores) - len(scores) // 4
    assert Reference.from_json(json.loads(json.dumps(reference.as_json(), allow_nan=False))) == reference


@given(st.lists(st.tuples(st.floats(), st.floats(0, 1)), max_size=30))
def test_a_watch_survives_its_bytes_and_goes_on_alike(observed: list[tuple[float, float]]) -> None:
    reference = reference_of([0.1, 0.2, 0.5, math.nan] * 10)
    state = revived = watch(reference)
    for score, u in observed:
        state = observe(reference, state, score, u)
        revived = Watch.from_bytes(observe(reference, revived, score, u).to_bytes())
    assert revived == state
    assert len(state.to_bytes()) < 700


def test_bytes_of_another_version_or_cut_short_are_refused() -> None:
    data = watch(reference_of([0.5] * 40)).to_bytes()
    for spoilt in (b"", data[:9], data[:-1], b"\x09" + data[1:]):
        with pytest.raises(ConfigError, match="Start the"):
            Watch.from_bytes(spoilt)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"edges": [1], "counts": [1]},
        {"edges": [2, 1], "counts": [1, 1, 1, 1]},
        {"edges": [1], "counts": [1, -1, 1]},
        {"edges": [math.nan], "counts": [1, 1, 1]},
        {"edges": None, "counts": [1, 1]},
        {"edges": [], "counts": []},
    ],
)
def test_anything_but_a_reference_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Calibrate again"):
        Reference.from_json(value)


def test_too_few_scores_and_a_watch_of_another_reference_are_refused() -> None:
    with pytest.raises(ConfigError, match="too few"):
        reference_of([0.5] * 19)
    with pytest.raises(ConfigError, match="another reference"):
        observe(reference_of([0.5] * 20), watch(reference_of([math.nan] * 20)), 0.5, 0.5)
