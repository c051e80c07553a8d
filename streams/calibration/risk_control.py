"""The lowest score at which a worker may answer alone, with a proven limit on how often it is then wrong.

The cases are tested in a fixed order, from strict thresholds to loose ones, each with an exact binomial test of "the
error among the accepted is above the target" at level risk = 1 - certainty. The first test that fails ends the walk,
so no level has to be shared between the tests: fixed-sequence testing (Maurer, Hothorn, Lehmacher 1995), as a rule for
risk control in Angelopoulos, Bates, Candes, Jordan, Lei 2021, "Learn then Test".

What is exact, and under what. Cases are independent draws from the law of those to come. Let R(t) be the error of the
cases with score >= t. Suppose that R crosses the target once: where t is too low, every lower t is too low as well. Let
t* be the edge, and k the first count in the sequence whose threshold lies beyond it. Given how many cases lie above t*
and given the next score below the k, those above t* are independent with error R(t*), and the others of the k are
independent draws from a stretch below t*, whose mean error is at least the target, else R would not stay above it. So
the errors in the k are stochastically at least Bin(k, target), and that test passes with probability at most risk. It
must pass for a bad threshold to be chosen. The sequence is a function of the number of cases alone.

Where R crosses the target several times, each single test is exact to within one case, but which threshold is the first
bad one may depend on the scores drawn. The same holds where tied scores move a count to the end of its tie. The tests
of this module simulate both: there the limit held too, which is evidence and not a proof. Thresholds that were chosen
before the cases were seen would need no such condition.
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
"""The share of the cases in the first test. Fewer cases make that test weak, more bring its threshold near the edge."""
START_CASES = 500
"""From so many cases on the first test is strong enough to look at a smaller share."""
STEP = 0.03
"""The least distance of two tests, as a share of the cases. Each further test is a further chance to stop early."""
_FARTHEST = 10_000_000
"""The most cases an estimate looks at."""

Scores = Sequence[float] | NDArray[np.float64]
Correct = Sequence[bool] | NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Target:
    """Of what is accepted at most the share `max_error` may be wrong, with probability `certainty` over the cases.

    Both lie strictly between 0 and 1; ConfigError otherwise.
    """

    max_error: float
    certainty: float

    def __post_init__(self) -> None:
        for key in ("max_error", "certainty"):
            if not 0.0 < getattr(self, key) < 1.0:
                raise ConfigError(f"{getattr(self, key)} is no share between 0 and 1.", "Write 5 % as 0.05.", key)

    @property
    def risk(self) -> float:
        """The probability with which the target may be missed."""
        return 1.0 - self.certainty


@dataclass(frozen=True, slots=True)
class ThresholdSelection:
    """A threshold: accept where score >= threshold. Counts are of the `n` calibration cases.

    `coverage` is accepted / n. `bound` is the upper confidence bound (Clopper and Pearson 1934) of the error among the
    accepted, as if this threshold had been fixed beforehand. What the choice itself guarantees is the target: with
    probability `certainty` the error is at most `max_error`; a `bound` below `max_error` is no second guarantee.
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

    `needed` is the fewest accepted cases, all right, that could ever prove the target. `estimate` is about how many
    calibration cases would do if the best-scored kept their share of errors; None when that share is no better than
    the target, or only just.
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
        """The counts, each moved to the end of the tie it falls into, without repeats; they ascend."""
        return np.unique(np.searchsorted(-self.scores, -self.scores[counts - 1], side="right")).astype(np.int64)


def select_threshold(scores: Scores, correct: Correct, target: Target) -> ThresholdSelection | TooFew:
    """The loosest threshold reached by fixed-sequence testing; see the module for what is guaranteed.

    `scores` (n,) lie in 0 to 1, higher is more likely right; `correct` (n,) says which answers were right. The order of
    the cases does not matter. Raises ConfigError when they do not fit each other.
    """
    cases = _checked(scores, correct)
    counts = cases.whole_ties(counts_to_test(len(cases.scores), target))
    passed = cases.errors[counts - 1] <= allowed_errors(counts, target.max_error, target.risk)
    reached = int(np.cumprod(passed).sum())
    if not reached:
        return _too_few(cases, counts, target)
    return _selection(cases, int(counts[reached - 1]), target, "fixed sequence")


def counts_to_test(n: int, target: Target) -> Counts:
    """How many of the best of `n` cases each test looks at, ascending; empty when `n` cases can prove nothing.

    A test stands where one more error has just become allowed, because there its level is used up best. From START on,
    then at least STEP apart; the last one looks at all cases. Depends on neither scores nor answers.
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
        todo = "that is no better than the target; allow more errors or improve the scores, for labels will hardly help"
    else:
        todo = f"label about {max(1, estimate - n)} more cases"
    return TooFew(n, needed, estimate, f"{aim}: of the {best} best-scored of {n} cases {wrong} are wrong; {todo}.")


def _estimate(n: int, best: int, wrong: int, target: Target) -> int | None:
    """About the least n whose first test passes, when the best keep their share of the cases and of errors."""
    sizes = np.unique(np.geomspace(n, _FARTHEST, 400).astype(np.int64))
    accepted = (sizes * (best / n)).astype(np.int64)
    passes = tail(np.ceil(accepted * (wrong / best) - 1e-9), accepted, target.max_error) <= target.risk
    return int(sizes[passes][0]) if wrong < target.max_error * best and passes.any() else None
