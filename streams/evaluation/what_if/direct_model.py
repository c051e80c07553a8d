"""Predict an outcome from an event's score and kind, for each event by a fit to the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streams.evaluation.what_if.off_policy import Floats, LoggedOutcome, Mask, Model

RIDGE = 1.0
KNOTS = (0.25, 0.5, 0.75)
"""Ranks of the score at which the slope of the fitted line may change."""
MOST_KINDS = 12
FOLDS = 5


def design(scores: Floats, kinds: Sequence[str]) -> Floats:
    """Return columns (n, p): a constant, the score's rank with knots, a mark for unknown (nan), the commonest kinds."""
    ranked = np.where(np.isnan(scores), 0.5, _ranks(scores))
    columns = [np.ones(len(ranked)), ranked, *(np.maximum(ranked - knot, 0.0) for knot in KNOTS)]
    columns.append(np.isnan(scores).astype(np.float64))
    names = np.asarray(kinds, dtype=object)
    common = [kind for kind, _ in Counter(kinds).most_common(MOST_KINDS + 1)]
    columns += [(names == kind).astype(np.float64) for kind in common[1:]]  # the commonest is the constant
    return np.column_stack(columns)


def cross_fitted(columns: Floats, outcome: LoggedOutcome, fold: NDArray[np.int64]) -> Model:
    """Predict the outcome's mean and variance for each of n events, by ridge regression on the folds without it.

    Each seen outcome is weighted by one over its chance. Cross-fitting keeps an event's own outcome out of its
    prediction (Chernozhukov and others 2018, "Double/debiased machine learning"), so the model need not be right.
    """
    seen = outcome.seen & (outcome.propensity > 0)
    middle = (outcome.low + outcome.high) / 2
    mean = np.full(len(seen), middle)
    for number in range(FOLDS):
        train, held_out = seen & (fold != number), fold == number
        if train.any():
            mean[held_out] = columns[held_out] @ _ridge(columns[train], outcome, train)
    mean = _kept(mean, outcome, seen)
    return Model(mean, _variance(mean, outcome, seen))


def _ridge(columns: Floats, outcome: LoggedOutcome, train: Mask) -> Floats:
    shares = 1 / outcome.propensity[train]
    shares = shares * (len(shares) / shares.sum())
    penalty = RIDGE * np.eye(columns.shape[1])
    penalty[0, 0] = 1e-9  # the constant is free
    weighted = columns * shares[:, None]
    coefficients: Floats = np.linalg.solve(weighted.T @ columns + penalty, weighted.T @ outcome.values[train])
    return coefficients


def _kept(mean: Floats, outcome: LoggedOutcome, seen: Mask) -> Floats:
    """Clip to the possible range; with m binary outcomes not nearer to either end than 2 / (m + 4).

    That is as if two more of each kind had been seen (Agresti and Coull 1998). If there are outcomes seen by chance, m
    counts only these, because the model is needed for events like them.
    """
    if not outcome.binary:
        return np.clip(mean, outcome.low, outcome.high)
    few = int((seen & outcome.uncertain).sum()) if outcome.uncertain.any() else int(seen.sum())
    return np.clip(mean, 2 / (few + 4), 1 - 2 / (few + 4))


def _variance(mean: Floats, outcome: LoggedOutcome, seen: Mask) -> Floats:
    """Return the variance: of a binary outcome by its mean, else that of the seen ones about their predictions."""
    if outcome.binary:
        return mean * (1 - mean)
    if not seen.any():
        return np.full(len(mean), (outcome.high - outcome.low) ** 2 / 4)
    shares = 1 / outcome.propensity[seen]
    spread = float(shares @ np.square(outcome.values[seen] - mean[seen]) / shares.sum())
    return np.full(len(mean), spread)


def _ranks(scores: Floats) -> Floats:
    """Return each score's rank among all, 0 to 1; equal scores share the middle of their ranks."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    upper = np.cumsum(counts)
    ranks: Floats = ((upper - counts / 2) / len(scores))[place]
    return ranks
