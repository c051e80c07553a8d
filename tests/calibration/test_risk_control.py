"""Thresholds with a guarantee: validity by seeded simulation, ties, the refusal in words, and what never changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom  # type: ignore[import-untyped]

from bench.threshold_rules import bonferroni_threshold, naive_threshold
from streams.calibration.binomial import allowed_errors, fewest_cases, upper_bound
from streams.calibration.risk_control import (
    Correct,
    Scores,
    Target,
    ThresholdSelection,
    TooFew,
    counts_to_test,
    select_threshold,
)
from streams.core.errors import ConfigError

Floats = NDArray[np.float64]
Shape = tuple[Callable[[Floats], Floats], Callable[[Floats, float], Floats]]
"""Maps a uniform draw to a score, and a score to the probability of an error for a target error."""
Rule = Callable[[Scores, Correct, Target], ThresholdSelection | TooFew]

DRAWS = 400
FIFTH, TWENTIETH = Target(0.2, 0.9), Target(0.05, 0.9)
FIFTIETH = Target(0.02, 0.95)


def smooth(draw: Floats) -> Floats:
    return draw


def levels(count: int) -> Callable[[Floats], Floats]:
    return lambda draw: (np.floor(draw * count) + 0.5) / count


SHAPES: dict[str, Shape] = {
    "useless scores just above the target": (smooth, lambda score, error: np.full_like(score, 1.0005 * error)),
    "informative scores": (smooth, lambda score, error: np.minimum(1.0, 2.4 * error * (1.0 - score))),
    "just good above an edge": (smooth, lambda score, error: np.where(score > 0.7, 0.97 * error, 1.2 * error)),
    "good and bad in turn": (
        smooth,
        lambda score, error: np.select([score > 0.8, score > 0.6, score > 0.4], [0.5, 2.2, 0.2], 2.0) * error,
    ),
    "a wave": (smooth, lambda score, error: error * (1.0 - 0.9 * np.sin(20.0 * np.pi * score))),
    "the best scores are the worst": (smooth, lambda score, error: 2.0 * error * score),
    "one score for all": (levels(1), lambda score, error: np.full_like(score, 1.0005 * error)),
    "four scores": (levels(4), lambda score, error: np.where(score > 0.75, 0.9, 1.06) * error),
    "ten scores": (levels(10), lambda score, error: error * (2.05 - 2.0 * score)),
}


def broken_share(rule: Rule, shape: Shape, target: Target, n: int, seed: int = 3) -> float:
    """In how many of DRAWS the true error of what the rule accepts is above the target; the truth is integrated."""
    to_score, error_at = shape
    rng = np.random.default_rng(seed)
    grid = to_score((np.arange(20_000) + 0.5) / 20_000)
    risk = np.cumsum(error_at(grid, target.max_error)[::-1])[::-1] / np.arange(20_000, 0, -1)
    broken = 0
    for _ in range(DRAWS):
        scores = to_score(rng.random(n))
        correct = rng.random(n) >= error_at(scores, target.max_error)
        found = rule(scores, correct, target)
        if isinstance(found, ThresholdSelection):
            place = int(np.searchsorted(grid, found.threshold))
            broken += place < len(grid) and risk[place] > target.max_error + 1e-9
    return broken / DRAWS


def most_broken(target: Target) -> float:
    """Return the share of broken draws that chance allows a valid rule: three standard errors over the risk."""
    return target.risk + 3.0 * float(np.sqrt(target.risk * target.certainty / DRAWS))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("target", "n"), [(FIFTH, 150), (TWENTIETH, 100)], ids=["20 %", "5 %"])
def test_the_target_is_missed_no_more_often_than_allowed(shape: Shape, target: Target, n: int) -> None:
    assert broken_share(select_threshold, shape, target, n) <= most_broken(target)


def test_a_tiny_target_with_high_certainty_is_kept() -> None:
    shape = SHAPES["useless scores just above the target"]
    assert broken_share(select_threshold, shape, FIFTIETH, 300) <= most_broken(FIFTIETH)


@pytest.mark.parametrize("name", ["useless scores just above the target", "informative scores", "ten scores"])
def test_a_naive_rule_is_caught_by_the_same_check(name: str) -> None:
    assert broken_share(naive_threshold, SHAPES[name], FIFTH, 200) > most_broken(FIFTH)


def test_bonferroni_keeps_the_target_and_accepts_less() -> None:
    rng = np.random.default_rng(5)
    assert broken_share(bonferroni_threshold, SHAPES["informative scores"], FIFTH, 200) <= most_broken(FIFTH)
    ours = theirs = 0.0
    for _ in range(50):
        scores = rng.random(300)
        correct = rng.random(300) >= 0.48 * (1.0 - scores)
        ours += coverage(select_threshold(scores, correct, FIFTH))
        theirs += coverage(bonferroni_threshold(scores, correct, FIFTH))
    assert ours > theirs > 0.0


def coverage(found: ThresholdSelection | TooFew) -> float:
    return found.coverage if isinstance(found, ThresholdSelection) else 0.0


def test_all_right_accepts_everything() -> None:
    found = select_threshold(np.linspace(0.2, 0.9, 40), [True] * 40, FIFTH)
    assert isinstance(found, ThresholdSelection)
    assert (found.threshold, found.accepted, found.errors, found.n, found.coverage) == (0.2, 40, 0, 40, 1.0)
    assert found.bound == pytest.approx(1.0 - 0.1 ** (1 / 40))


def test_perfect_separation_accepts_little_more_than_the_right_ones() -> None:
    scores = np.linspace(1.0, 0.0, 1000)
    found = select_threshold(scores, scores > 0.5, TWENTIETH)
    assert isinstance(found, ThresholdSelection)
    assert found.accepted == int((scores >= found.threshold).sum())
    assert 0.45 < found.coverage < 0.54


def test_one_failed_test_ends_the_walk_even_if_later_ones_would_pass() -> None:
    counts = counts_to_test(400, FIFTH)
    correct = np.ones(400, dtype=bool)
    correct[counts[0] - 10 : counts[0] + 20] = False
    found = select_threshold(np.linspace(1.0, 0.0, 400), correct, FIFTH)
    assert allowed_errors(counts[-1:], 0.2, FIFTH.risk)[0] >= 30
    assert isinstance(found, ThresholdSelection)
    assert found.accepted == counts[0]


def test_scores_equal_to_the_threshold_are_accepted_together() -> None:
    scores = np.repeat([0.9, 0.6, 0.3], 40)
    correct = np.ones(120, dtype=bool)
    correct[80:] = False
    found = select_threshold(scores, correct, FIFTH)
    assert isinstance(found, ThresholdSelection)
    assert (found.threshold, found.accepted, found.errors) == (0.6, 80, 0)


def test_a_wrong_case_anywhere_in_a_tie_counts() -> None:
    scores = np.full(60, 0.5)
    for wrong in (slice(0, 20), slice(40, 60)):
        correct = np.ones(60, dtype=bool)
        correct[wrong] = False
        assert isinstance(select_threshold(scores, correct, FIFTH), TooFew)


def test_tests_stand_where_one_more_error_is_allowed_and_end_at_all_cases() -> None:
    counts = counts_to_test(500, FIFTH)
    before, at = (allowed_errors(counts[:-1] - less, 0.2, FIFTH.risk) for less in (1, 0))
    assert (at == before + 1).all()
    assert counts[0] >= 125
    assert counts[-1] == 500
    assert (np.diff(counts)[:-1] >= 15).all()


def test_too_few_cases_say_how_many_more_to_label() -> None:
    found = select_threshold([0.9] * 20, [True] * 20, Target(0.1, 0.9))
    assert isinstance(found, TooFew)
    assert (found.n, found.needed, found.estimate) == (20, 22, 22)
    assert "20 cases, even if all were right, are fewer than 22; label about 2 more cases." in found.reason


def test_the_fewest_cases_needed_are_enough_when_all_are_right() -> None:
    for target in (FIFTH, TWENTIETH, FIFTIETH):
        needed = fewest_cases(target.max_error, target.risk)
        assert isinstance(select_threshold([0.5] * needed, [True] * needed, target), ThresholdSelection)
        assert isinstance(select_threshold([0.5] * (needed - 1), [True] * (needed - 1), target), TooFew)


def test_too_many_errors_for_so_few_cases_give_an_estimate_that_would_do() -> None:
    scores = np.linspace(1.0, 0.0, 100)
    correct = np.arange(100) % 6 != 5
    found = select_threshold(scores, correct, FIFTH)
    assert isinstance(found, TooFew)
    assert found.estimate is not None
    assert f"label about {found.estimate - 100} more cases" in found.reason
    times = 1 + 2 * found.estimate // 100
    assert isinstance(select_threshold(np.tile(scores, times), np.tile(correct, times), FIFTH), ThresholdSelection)


def test_scores_that_cannot_meet_the_target_say_so() -> None:
    found = select_threshold(np.linspace(1.0, 0.0, 100), [True, False] * 50, FIFTH)
    assert isinstance(found, TooFew)
    assert found.estimate is None
    assert "labels will hardly help" in found.reason


def test_no_cases_are_too_few() -> None:
    assert isinstance(select_threshold([], [], FIFTH), TooFew)


@pytest.mark.parametrize(
    ("max_error", "certainty"), [(0.0, 0.9), (1.0, 0.9), (5.0, 0.9), (0.1, 1.0), (0.1, float("nan"))]
)
def test_a_target_outside_0_and_1_is_refused(max_error: float, certainty: float) -> None:
    with pytest.raises(ConfigError, match=r"Write 5 % as 0\.05"):
        Target(max_error, certainty)


@pytest.mark.parametrize(
    ("scores", "correct", "what"),
    [
        ([0.5, 0.6], [True], "do not belong together"),
        ([[0.5]], [[True]], "do not belong together"),
        ([1.5], [True], "not between 0 and 1"),
        ([float("nan")], [True], "not between 0 and 1"),
        ([0.5], [2], "neither right nor wrong"),
    ],
)
def test_cases_that_do_not_fit_are_refused(scores: Scores, correct: Correct, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        select_threshold(scores, correct, FIFTH)


CASES = st.lists(st.tuples(st.integers(0, 12).map(lambda tenth: tenth / 12), st.booleans()), min_size=1, max_size=120)


@given(CASES, st.integers(0, 2**32 - 1))
def test_the_order_of_the_cases_does_not_matter(cases: list[tuple[float, bool]], seed: int) -> None:
    scores, correct = (np.array(column) for column in zip(*cases, strict=True))
    order = np.random.default_rng(seed).permutation(len(cases))
    assert select_threshold(scores[order], correct[order], FIFTH) == select_threshold(scores, correct, FIFTH)


@given(CASES)
def test_a_threshold_is_a_score_whose_counts_and_bound_hold(cases: list[tuple[float, bool]]) -> None:
    found = select_threshold([score for score, _ in cases], [right for _, right in cases], FIFTH)
    if isinstance(found, ThresholdSelection):
        accepted = [right for score, right in cases if score >= found.threshold]
        assert found.threshold in {score for score, _ in cases}
        assert (found.accepted, found.errors) == (len(accepted), accepted.count(False))
        assert found.errors / found.accepted < found.bound <= 0.2 + 1e-9


@given(st.lists(st.floats(0.0, 1.0), max_size=200), st.sampled_from([FIFTH, TWENTIETH, FIFTIETH]))
def test_nothing_is_accepted_when_all_are_wrong(scores: list[float], target: Target) -> None:
    assert isinstance(select_threshold(scores, [False] * len(scores), target), TooFew)


@given(st.integers(1, 3000), st.floats(0.001, 0.9), st.floats(0.001, 0.5))
def test_allowed_errors_are_the_most_that_keep_the_level(cases: int, max_error: float, risk: float) -> None:
    allowed = int(allowed_errors(np.array([cases]), max_error, risk)[0])
    assert allowed < 0 or binom.cdf(allowed, cases, max_error) <= risk * (1 + 1e-12)
    assert binom.cdf(allowed + 1, cases, max_error) > risk * (1 - 1e-12)  # two ways to the same sum may differ


def test_the_upper_bound_inverts_the_binomial_tail() -> None:
    assert binom.cdf(3, 50, upper_bound(3, 50, 0.9)) == pytest.approx(0.1)
    assert upper_bound(50, 50, 0.9) == 1.0
