"""Statistics of two runs on the same events. Every difference is B minus A, every interval two-sided."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtrit  # type: ignore[import-untyped]

CERTAINTY = 0.95
POWER = 0.8
"""The chance of detecting a difference, for the numbers of labels and events needed."""
MIN_PAIRS, MIN_DIFFERING = 30, 10
"""With fewer pairs the mean of a skewed quantity, such as money, has no reliable interval."""
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class DifferenceEstimate:
    """A difference with its interval; `low` and `high` are None if there are too few cases."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Paired:
    """The numbers of events that both runs got right, only A, only B, and neither."""

    both: int = 0
    only_a: int = 0
    only_b: int = 0
    neither: int = 0

    @property
    def n(self) -> int:
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def discordant(self) -> int:
        """Events that one run got right and the other wrong; only these distinguish the runs."""
        return self.only_a + self.only_b

    @property
    def right_a(self) -> int:
        return self.both + self.only_a

    @property
    def right_b(self) -> int:
        return self.both + self.only_b

    def __add__(self, other: Paired) -> Paired:
        return Paired(
            self.both + other.both,
            self.only_a + other.only_a,
            self.only_b + other.only_b,
            self.neither + other.neither,
        )


def normal(certainty: float) -> float:
    """Return the two-sided quantile of the normal distribution, 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + certainty / 2)


def mcnemar(pairs: Paired) -> float:
    """Return the exact two-sided p-value of "B is right as often as A", 1 without discordant pairs.

    McNemar 1947, "Note on the sampling error of the difference between correlated proportions", by the binomial
    distribution: given the discordant pairs, each is as likely A's as B's.
    """
    fewer = min(pairs.only_a, pairs.only_b)
    return min(1.0, 2 * float(bdtr(fewer, pairs.discordant, 0.5))) if pairs.discordant else 1.0


def difference(pairs: Paired, certainty: float = CERTAINTY) -> DifferenceEstimate:
    """Return the difference of the shares right, with its score interval; (-1, 1) without pairs.

    Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design". It keeps its coverage with few discordant pairs, and is not empty without any.
    """
    if not pairs.n:
        return DifferenceEstimate(0.0, -1.0, 1.0)
    b, c, n = pairs.only_b, pairs.only_a, pairs.n
    z = normal(certainty)
    return DifferenceEstimate((b - c) / n, -_upper_limit(c, b, n, z), _upper_limit(b, c, n, z))


def _upper_limit(b: int, c: int, n: int, z: float) -> float:
    """Return the largest difference (b - c) / n that the score test does not reject."""
    return _root(lambda delta: _score(b, c, n, delta) + z, (b - c) / n, 1.0)


def _score(b: int, c: int, n: int, delta: float) -> float:
    """Return Tango's statistic: the standard errors by which b - c exceeds its expectation under `delta`."""
    # The most likely share of c if that of b is greater by delta: the root of a quadratic equation.
    half = -b - c + (2 * n - b + c) * delta
    share = (math.sqrt(max(0.0, half * half + 8 * n * c * delta * (1 - delta))) - half) / (4 * n)
    gap, variance = b - c - n * delta, n * (2 * share + delta * (1 - delta))
    if variance <= 0:
        return math.copysign(math.inf, gap) if gap else 0.0
    return gap / math.sqrt(variance)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Find the zero of a falling function that is not negative at `low`; `high` if there is none."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) >= 0 else (low, middle)
    return high


def wilson(hits: float, n: int, certainty: float = CERTAINTY) -> tuple[float, float]:
    """Return the score interval of a share; (0, 1) without cases.

    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    if n == 0:
        return 0.0, 1.0
    z = normal(certainty)
    centre, half = hits + z * z / 2, z * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return max(0.0, (centre - half) / (n + z * z)), min(1.0, (centre + half) / (n + z * z))


def difference_of_all(
    labelled: Paired, differing: int, events: int, certainty: float = CERTAINTY
) -> DifferenceEstimate:
    """Estimate the difference over all events. `differing` of them have two different answers, some of those a label.

    Equal answers are right or wrong alike, so the difference is the share of events with different answers, times the
    difference among those. The intervals of the two factors are combined by Zou and Donner 2008, "Construction of
    confidence limits about effect measures: a general approach". The share's interval is weighted by the largest
    possible difference, which is conservative with few labels. The difference is never larger than the share; without
    a label on a different answer nothing more is known. The labels must be a fair sample of the events with different
    answers, not of all events.
    """
    share, (least, most) = differing / max(1, events), wilson(differing, events, certainty)
    if not labelled.n:
        return DifferenceEstimate(0.0, -most, most)
    among = difference(labelled, certainty)
    value, low, high = among.value, among.low or 0.0, among.high or 0.0
    down = share - least if low > 0 else most - share
    up = share - least if high < 0 else most - share
    return DifferenceEstimate(
        share * value,
        max(-most, share * value - math.hypot(share * (value - low), low * down)),
        min(most, share * value + math.hypot(share * (high - value), high * up)),
    )


def labels_needed(labelled: Paired, differing: int, events: int, margin: float) -> int:
    """Estimate the labelled events with different answers that show, with a chance of POWER, B within `margin` of A.

    Assumes that both are equally good. By the normal approximation to the share of discordant pairs, as in Connor 1987,
    "Sample size for testing differences in proportions for the paired-sample design".
    """
    share = differing / max(1, events)
    discordant = (labelled.discordant + 1) / (labelled.n + 1)
    z = normal(CERTAINTY) + NormalDist().inv_cdf(POWER)
    return math.ceil(discordant * (z * share / margin) ** 2)


def events_needed(margin: float) -> int:
    """Return the number of events, all with equal answers, that rules out a share above `margin` of different ones.

    Solves Wilson's interval for no hits.
    """
    square = normal(CERTAINTY) ** 2
    return math.ceil(square * (1 - margin) / margin)


def mean_difference(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    certainty: float = CERTAINTY,
    groups: NDArray[np.uint64] | None = None,
) -> DifferenceEstimate:
    """Return the mean of b - a over pairs of shape (n,), 0 without any, with Student's interval (1908).

    Pairs within one of the `groups` (n,) are correlated, so the interval counts groups: the variance is that of their
    sums (Liang and Zeger 1986, "Longitudinal data analysis using generalized linear models"). If nothing differs, the
    interval is empty at 0. With fewer than MIN_PAIRS groups, or MIN_DIFFERING that differ, there is none.
    """
    n, gaps = len(a), b - a
    if not n:
        return DifferenceEstimate(0.0, None, None)
    value = float(gaps.mean())
    place = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(place.max()) + 1
    differing = int(np.count_nonzero(np.bincount(place, gaps != 0)))
    if count < MIN_PAIRS or 0 < differing < MIN_DIFFERING:
        return DifferenceEstimate(value, None, None)
    spread = math.sqrt(float(np.square(np.bincount(place, gaps - value)).sum()) * count / (count - 1))
    half = float(stdtrit(count - 1, 0.5 + certainty / 2)) * spread / n
    return DifferenceEstimate(value, value - half, value + half)
