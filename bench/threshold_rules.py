"""Other ways to choose a threshold, for comparison with `select_threshold`."""

from __future__ import annotations

import math

import numpy as np

from streams.calibration.binomial import Counts, allowed_errors
from streams.calibration.risk_control import Correct, Scores, Target, ThresholdSelection, TooFew


def naive_threshold(scores: Scores, correct: Correct, target: Target) -> ThresholdSelection | TooFew:
    """Return the loosest threshold whose observed error meets the target. It proves nothing."""
    counts = np.arange(1, len(scores) + 1)
    allowed = np.floor(target.max_error * counts + 1e-9).astype(np.int64)
    return _loosest(scores, correct, counts, allowed, "naive")


def bonferroni_threshold(
    scores: Scores, correct: Correct, target: Target, grid: int = 8
) -> ThresholdSelection | TooFew:
    """Test `grid` thresholds at equal steps of coverage, each at risk / grid (Bonferroni 1936)."""
    counts = np.unique(-(-len(scores) * np.arange(1, grid + 1) // grid))
    allowed = allowed_errors(np.arange(1, len(scores) + 1), target.max_error, target.risk / grid)
    return _loosest(scores, correct, counts[counts > 0], allowed, f"Bonferroni {grid}")


def plain_sequence(scores: Scores, correct: Correct, target: Target) -> ThresholdSelection | TooFew:
    """Test thresholds in a fixed sequence at every hundredth of coverage from a quarter on."""
    values, right = np.asarray(scores), np.asarray(correct, dtype=bool)
    ranked, n = np.sort(values)[::-1], len(values)
    best: ThresholdSelection | TooFew = TooFew(n, 0, None, "The first test failed.")
    for share in np.arange(0.25, 0.9, 0.01):
        threshold = float(ranked[min(int(share * n), n - 1)])
        accepted, errors = int((values >= threshold).sum()), int((~right[values >= threshold]).sum())
        if errors > allowed_errors(np.array([accepted]), target.max_error, target.risk)[0]:
            break
        best = ThresholdSelection(threshold, accepted, errors, n, accepted / n, math.nan, "plain sequence")
    return best


def _loosest(
    scores: Scores, correct: Correct, counts: Counts, allowed: Counts, method: str
) -> ThresholdSelection | TooFew:
    """Accept the most cases of all `counts` that pass, each moved to the end of its tie.

    `allowed[i]` are the errors allowed among the best i + 1 cases.
    """
    values, n = np.asarray(scores, dtype=np.float64), len(scores)
    order = np.argsort(-values, kind="stable")
    ranked, errors = values[order], np.cumsum(~np.asarray(correct, dtype=bool)[order])
    counts = np.unique(np.searchsorted(-ranked, -ranked[counts - 1], side="right"))
    passed = counts[errors[counts - 1] <= allowed[counts - 1]]
    if not len(passed):
        return TooFew(n, 0, None, "No threshold passed.")
    accepted = int(passed[-1])
    wrong = int(errors[accepted - 1])
    return ThresholdSelection(float(ranked[accepted - 1]), accepted, wrong, n, accepted / n, math.nan, method)
