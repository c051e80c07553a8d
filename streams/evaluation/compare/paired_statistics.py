"""Two runs on the same events, measured pair by pair. Every difference is B less A, and every interval two-sided."""

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
"""The chance that a difference is seen, in counts of what is needed to see it."""
MIN_PAIRS, MIN_DIFFERING = 30, 10
"""Under these the mean of a skewed quantity, such as money, has no interval that can be trusted."""
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class DifferenceEstimate:
    """A value with the interval it lies in; `low` and `high` are None where the cases are too few for one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Paired:
    """How many events both runs got right, only A, only B, and neither."""

    both: int = 0
    only_a: int = 0
    only_b: int = 0
    neither: int = 0

    @property
    def n(self) -> int:
        """All of them."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def discordant(self) -> int:
        """Those that one run got right and the other wrong: they alone tell the runs apart."""
        return self.only_a + self.only_b

    @property
    def right_a(self) -> int:
        """What A got right."""
        return self.both + self.only_a

    @property
    def right_b(self) -> int:
        """What B got right."""
        return self.both + self.only_b

    def __add__(self, other: Paired) -> Paired:
        return Paired(
            self.both + other.both,
            self.only_a + other.only_a,
            self.only_b + other.only_b,
            self.neither + other.neither,
        )


def normal(certainty: float) -> float:
    """The two-sided quantile of the normal distribution, 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + certainty / 2)


def mcnemar(pairs: Paired) -> float:
    """The exact two-sided p-value of "B is right as often as A", 1 without discordant pairs.

    McNemar 1947, "Note on the sampling error of the difference between correlated proportions", by the binomial
    distribution: given the discordant pairs, each is as likely A's as B's.
    """
    fewer = min(pairs.only_a, pairs.only_b)
    return min(1.0, 2 * float(bdtr(fewer, pairs.discordant, 0.5))) if pairs.discordant else 1.0


def difference(pairs: Paired, certainty: float = CERTAINTY) -> DifferenceEstimate:
    """The difference of the shares right, with its score interval; (-1, 1) without pairs.

    Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design". It keeps its promise with few discordant pairs too, and is not empty without any.
    """
    if not pairs.n:
        return DifferenceEstimate(0.0, -1.0, 1.0)
    b, c, n = pairs.only_b, pairs.only_a, pairs.n
    z = normal(certainty)
    return DifferenceEstimate((b - c) / n, -_upper_limit(c, b, n, z), _upper_limit(b, c, n, z))


def _upper_limit(b: int, c: int, n: int, z: float) -> float:
    """The largest difference (b - c) / n that the score test does not reject."""
    return _root(lambda delta: _score(b, c, n, delta) + z, (b - c) / n, 1.0)


def _score(b: int, c: int, n: int, delta: float) -> float:
    """Tango's statistic: how many standard errors b - c lies over what `delta` leads to expect."""
    # The share of c that is likeliest when that of b is greater by delta: the root of a quadratic equation.
    half = -b - c + (2 * n - b + c) * delta
    share = (math.sqrt(max(0.0, half * half + 8 * n * c * delta * (1 - delta))) - half) / (4 * n)
    gap, variance = b - c - n * delta, n * (2 * share + delta * (1 - delta))
    if variance <= 0:
        return math.copysign(math.inf, gap) if gap else 0.0
    return gap / math.sqrt(variance)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function that is not negative at `low` crosses 0, or `high`."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) >= 0 else (low, middle)
    return high


def wilson(hits: float, n: int, certainty: float = CERTAINTY) -> tuple[float, float]:
    """The score interval of a share: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical
    Inference". (0, 1) without cases.
    """
    if n == 0:
        return 0.0, 1.0
    z = normal(certainty)
    centre, half = hits + z * z / 2, z * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return max(0.0, (centre - half) / (n + z * z)), min(1.0, (centre + half) / (n + z * z))


def difference_of_all(
    labelled: Paired, differing: int, events: int, certainty: float = CERTAINTY
) -> DifferenceEstimate:
    """The difference over all events, of which `differing` have two different answers and some of those a label.

    Equal answers are right or wrong alike, so the difference is the share of events with different answers, times the
    difference among those: a product of two estimates, whose intervals are combined as by Zou and Donner 2008,
    "Construction of confidence limits about effect measures: a general approach". The share's interval is weighed by
    the largest difference that is possible, which is cautious with few labels. The runs never differ by more than the
    share, and without a label on a different answer that is all there is to say. It asks for labels that are a fair
    sample of the events with different answers, and not for a fair sample of all events.
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
    """About how many labelled events with different answers show, with a chance of POWER, that B is within `margin`
    of A where both are as good: the share of discordant pairs by the normal approximation, as in Connor 1987, "Sample
    size for testing differences in proportions for the paired-sample design".
    """
    share = differing / max(1, events)
    discordant = (labelled.discordant + 1) / (labelled.n + 1)
    z = normal(CERTAINTY) + NormalDist().inv_cdf(POWER)
    return math.ceil(discordant * (z * share / margin) ** 2)


def events_needed(margin: float) -> int:
    """How many events, all with equal answers, rule out that more than a share of `margin` differ: Wilson's interval
    for no hits, solved for its cases.
    """
    square = normal(CERTAINTY) ** 2
    return math.ceil(square * (1 - margin) / margin)


def mean_difference(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    certainty: float = CERTAINTY,
    groups: NDArray[np.uint64] | None = None,
) -> DifferenceEstimate:
    """The mean of b - a over pairs of shape (n,), 0 without any, with Student's interval (1908, "The probable error
    of a mean"). Pairs of one of the `groups` (n,) rise and fall together, so the interval counts groups: the variance
    is that of their sums (Liang and Zeger 1986, "Longitudinal data analysis using generalized linear models"). Where
    nothing differs the interval is empty at 0; with fewer than MIN_PAIRS groups, or than MIN_DIFFERING that differ,
    there is none.
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
