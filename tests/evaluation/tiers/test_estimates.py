from __future__ import annotations

import numpy as np
import pytest

from streams.evaluation.compare.paired_statistics import Paired, difference
from streams.evaluation.tiers.estimates import (
    NOTHING,
    GainStratum,
    cost_per_right,
    difference_of_strata,
    share,
    share_of,
    share_of_strata,
)


def test_a_share_without_cases_is_unknown() -> None:
    assert share_of([]) == NOTHING
    assert NOTHING.value is None


def test_one_stratum_is_the_plain_share() -> None:
    assert share_of_strata([(1000, share(3, 5)), (50, NOTHING)]) == share(3, 5)


def test_strata_are_weighted_by_size_not_by_cases() -> None:
    found = share_of_strata([(900, share(9, 10)), (100, share(50, 100))])
    assert found.value == pytest.approx(0.9 * 0.9 + 0.1 * 0.5)
    assert (found.hits, found.n) == (59, 110)
    # By hand: Wilson's (0.5958, 0.9821) and (0.4038, 0.5962), combined by the root of the sum of squares.
    assert found.low == pytest.approx(0.86 - np.hypot(0.9 * (0.9 - 0.59585), 0.1 * (0.5 - 0.40383)), abs=1e-4)
    assert found.high == pytest.approx(0.86 + np.hypot(0.9 * (0.98212 - 0.9), 0.1 * (0.59617 - 0.5)), abs=1e-4)


def test_the_interval_of_strata_covers_the_truth() -> None:
    """Accepted answers are seen with a chance of 0.05, escalated ones always; a plain mean would be far too low."""
    rng = np.random.default_rng(1)
    covered = naive = 0
    for _ in range(400):
        accepted, escalated = rng.random(1600) < 0.95, rng.random(400) < 0.6
        truth = (accepted.sum() + escalated.sum()) / 2000
        seen = accepted[rng.random(1600) < 0.05]
        found = share_of_strata([(1600, share(int(seen.sum()), len(seen))), (400, share(int(escalated.sum()), 400))])
        plain = share(int(seen.sum() + escalated.sum()), len(seen) + 400)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
        naive += (plain.low or 0) <= truth <= (plain.high or 0)
    assert covered / 400 >= 0.94
    assert naive / 400 < 0.05


def test_a_difference_over_strata_is_weighted_and_one_stratum_is_tangos() -> None:
    pairs, others = Paired(both=5, only_a=1, only_b=4, neither=0), Paired(both=50, only_a=0, only_b=0, neither=0)
    assert difference_of_strata([(10, pairs), (90, Paired())]) == difference(pairs)
    found = difference_of_strata([(10, pairs), (90, others)])
    assert found.value == pytest.approx(0.1 * 0.3)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.03 < found.high


def test_the_difference_without_pairs_is_unbounded() -> None:
    found = difference_of_strata([(10, Paired())])
    assert (found.low, found.high) == (-1.0, 1.0)


def test_the_interval_of_a_ratio_is_fiellers() -> None:
    rng = np.random.default_rng(3)
    usd, gains = rng.normal(2.0, 0.5, 2000), (rng.random(2000) < 0.4).astype(float)
    found = cost_per_right([GainStratum(2000, gains, usd)])
    a, b = usd.mean(), gains.mean()
    variances = np.cov(usd, gains) / 2000
    z = 1.959964
    quadratic = np.roots(
        [b**2 - z**2 * variances[1, 1], -2 * (a * b - z**2 * variances[0, 1]), a**2 - z**2 * variances[0, 0]]
    )
    assert found.value == pytest.approx(a / b)
    assert found.low == pytest.approx(quadratic.min())
    assert found.high == pytest.approx(quadratic.max())


def test_the_ratio_covers_the_truth_over_strata_seen_with_different_chances() -> None:
    rng = np.random.default_rng(5)
    truth = 0.02 / (0.8 * 0.1 + 0.2 * 0.4)
    covered = 0
    for _ in range(300):
        strata = [
            GainStratum(size, (rng.random(n) < gain).astype(float), rng.gamma(4, 0.02 / 4, n))
            for size, n, gain in ((8000, 300, 0.1), (2000, 400, 0.4))
        ]
        found = cost_per_right(strata)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert covered / 300 >= 0.93


def test_no_gain_has_no_price() -> None:
    found = cost_per_right([GainStratum(4, np.array([1.0, -1.0, 0.0, 0.0]), np.full(4, 0.02))])
    assert found.mean_usd == pytest.approx(0.02)
    assert (found.value, found.low) == (None, None)


def test_a_gain_that_may_be_nothing_has_no_interval() -> None:
    gains = np.array([1.0] * 8 + [-1.0] * 6 + [0.0] * 86)
    found = cost_per_right([GainStratum(100, gains, np.full(100, 0.02))])
    assert found.value == pytest.approx(1.0)
    assert (found.low, found.high) == (None, None)


def test_without_cases_nothing_is_known_about_the_cost() -> None:
    found = cost_per_right([GainStratum(100, np.array([]), np.array([]))])
    assert (found.events, found.mean_usd, found.value) == (0, None, None)
