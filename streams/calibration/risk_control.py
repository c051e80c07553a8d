"""Choose the lowest score at which a worker may answer alone, with a proven limit on its error.

The cases are tested in a fixed order, from strict thresholds to loose ones, each with an exact binomial test of "the
error among the accepted is above the target" at level risk = 1 - certainty. The first test that fails ends the
sequence, so the tests need not share the level: fixed-sequence testing (Maurer, Hothorn, Lehmacher 1995), as a rule for
risk control in Angelopoulos, Bates, Candes, Jordan, Lei 2021, "Learn then Test".

The proof and its conditions. Cases are independent draws from the distribution of future cases. Let R(t) be the error
of the cases with score >= t. Suppose that R crosses the target once: if t is too low, every lower t is too low as well.
Let t* be the edge, and k the first count in the sequence whose threshold lies beyond it. Given the number of cases
above t* and given the next score below the k, those above t* are independent with error R(t*), and the others of the k
are independent draws from a stretch below t*, whose mean error is at least the target, else R would not stay above it.
So the errors in the k are stochastically at least Bin(k, target), and that test passes with probability at most risk.
It must pass for a bad threshold to be chosen. The sequence is a function of the number of cases alone.

If R crosses the target several times, each single test is exact to within one case, but the first bad threshold may
depend on the scores drawn. The same applies if tied scores move a count to the end of its tie. The tests of this module
simulate both; the limit held there too, which is evidence but not a proof. Thresholds chosen before the cases were seen
would not need this condition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.calibration.binomial import Counts, allowed_errors, fewest_cases, tail, upper_bound
from streams.core.errors import ConfigError

START = 1 / 3
"""The share of the cases in the first test. A smaller one weakens the test, a larger one lowers its threshold."""
START_CASES = 500
"""The first test needs at most this many cases."""
STEP = 0.03
"""The least distance of two tests, as a share of the cases. Every further test may end the sequence early."""
_FARTHEST = 10_000_000
"""The most cases that an estimate considers."""

Scores = Sequence[float] | NDArray[np.float64]
Correct = Sequence[bool] | NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Target:
    """With probability `certainty` over the cases, at most the share `max_error` of the accepted answers is wrong.

    Both lie strictly between 0 and 1; ConfigError otherwise.
    """

    max_error: float
    certainty: float

    def __post_init__(self) -> None:
        for key in ("max_error", "certainty"):
            if not 0.0 < getattr(self, key) < 1.0:
                raise ConfigError(f"{getattr(self, key)} is not between 0 and 1.", "Write 5 % as 0.05.", key)

    @property
    def risk(self) -> float:
        """The probability that the target may be missed."""
        return 1.0 - self.certainty


@dataclass(frozen=True, slots=True)
class ThresholdSelection:
    """A threshold: accept an answer if score >= threshold. Counts are of the `n` calibration cases.

    `coverage` is accepted / n. `bound` is the upper confidence bound (Clopper and Pearson 1934) of the error among the
    accepted, as if this threshold had been fixed beforehand. The guarantee of the choice is the target: with
    probability `certainty` the error is at most `max_error`. A `bound` below `max_error` is not a second guarantee.
    """

    threshold: float
    accepted: int
    errors: int
    n: int
    coverage: float
    bound: float
    method: str


@dataclass(frozen=True, slots=True)
class TooFew:
    """No threshold can be proven from `n` cases.

    `needed` is the fewest accepted cases, all right, that could ever prove the target. `estimate` is the approximate
    number of calibration cases that would prove it if the best-scored kept their share of errors; None if that share
    does not meet the target, or only just.
    """

    n: int
    needed: int
    estimate: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Cases:
    """Scores in descending order, and the errors among the first 1, 2, ... n of them."""

    scores: NDArray[np.float64]
    errors: Counts

    def whole_ties(self, counts: Counts) -> Counts:
        """Move each count to the end of its tie; return them ascending, without repeats."""
        return np.unique(np.searchsorted(-self.scores, -self.scores[counts - 1], side="right")).astype(np.int64)


def select_threshold(scores: Scores, correct: Correct, target: Target) -> ThresholdSelection | TooFew:
    """Return the loosest threshold that fixed-sequence testing reaches; the module states its guarantee.

    `scores` (n,) lie in 0 to 1, higher is more likely right; `correct` (n,) marks the right answers. The order of the
    cases does not matter. Raises ConfigError if the two do not match.
    """
    cases = _checked(scores, correct)
    counts = cases.whole_ties(counts_to_test(len(cases.scores), target))
    passed = cases.errors[counts - 1] <= allowed_errors(counts, target.max_error, target.risk)
    reached = int(np.cumprod(passed).sum())
    if not reached:
        return _too_few(cases, counts, target)
    return _selection(cases, int(counts[reached - 1]), target, "fixed sequence")


def counts_to_test(n: int, target: Target) -> Counts:
    """Return the number of best-scored cases in each test, ascending; empty if `n` cases can prove nothing.

    A test is placed where one more error has just become allowed, because there it uses its level best. The first is at
    START, the next ones at least STEP apart, and the last covers all cases. Independent of scores and answers.
    """
    first = max(1, min(math.ceil(START * n), START_CASES))
    allowed = allowed_errors(np.arange(n + 1), target.max_error, target.risk)
    tight = [int(count) for count in np.flatnonzero(np.diff(allowed) > 0) + 1 if count >= first]
    counts: list[int] = []
    for count in tight:
        if not counts or count >= counts[-1] + STEP * n:
            counts.append(count)
    return np.array(counts + [n] * (bool(counts) and counts[-1] < n), dtype=np.int64)


def _checked(scores: Scores, correct: Correct) -> _Cases:
    values, right = np.asarray(scores, dtype=np.float64), np.asarray(correct)
    if values.ndim != 1 or values.shape != right.shape:
        raise ConfigError(
            f"Scores of shape {values.shape} and answers of shape {right.shape} do not belong together.",
            "Give one score and one right or wrong for each case.",
        )
    if not ((values >= 0.0) & (values <= 1.0)).all():
        raise ConfigError("A score is not between 0 and 1.", "Leave out cases without a score.")
    if not np.isin(right, (0, 1)).all():
        raise ConfigError("An answer is neither right nor wrong.", "Leave out cases without a label.")
    order = np.argsort(-values, kind="stable")
    return _Cases(values[order], np.cumsum(right[order] == 0, dtype=np.int64))


def _selection(cases: _Cases, accepted: int, target: Target, method: str) -> ThresholdSelection:
    n, errors = len(cases.scores), int(cases.errors[accepted - 1])
    bound = upper_bound(errors, accepted, target.certainty)
    return ThresholdSelection(float(cases.scores[accepted - 1]), accepted, errors, n, accepted / n, bound, method)


def _too_few(cases: _Cases, counts: Counts, target: Target) -> TooFew:
    n, needed = len(cases.scores), fewest_cases(target.max_error, target.risk)
    aim = f"No threshold can be proven (at most {target.max_error:.4g} wrong with certainty {target.certainty:.4g})"
    if n < needed:
        why = f"{n} cases, even if all were right, are fewer than {needed}; label about {needed - n} more cases."
        return TooFew(n, needed, needed, f"{aim}: {why}")
    best, wrong = int(counts[0]), int(cases.errors[counts[0] - 1])
    estimate = _estimate(n, best, wrong, target)
    if estimate is None:
        todo = "that does not meet the target; allow more errors or improve the scores, because labels will hardly help"
    else:
        todo = f"label about {max(1, estimate - n)} more cases"
    return TooFew(n, needed, estimate, f"{aim}: of the {best} best-scored of {n} cases {wrong} are wrong; {todo}.")


def _estimate(n: int, best: int, wrong: int, target: Target) -> int | None:
    """Estimate the least n whose first test passes, if the best keep their share of the cases and of errors."""
    sizes = np.unique(np.geomspace(n, _FARTHEST, 400).astype(np.int64))
    accepted = (sizes * (best / n)).astype(np.int64)
    passes = tail(np.ceil(accepted * (wrong / best) - 1e-9), accepted, target.max_error) <= target.risk
    return int(sizes[passes][0]) if wrong < target.max_error * best and passes.any() else None
