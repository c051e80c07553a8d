"""The fits behind a verifier: rates of categories, a sparse logistic regression, a forest, and their mixture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streams.models.verifier.ensemble import CLIP, Ensemble, Linear, Mixture, logit, mix, sigmoid
from streams.models.verifier.forest import Forest

TREES = 100
COLUMNS_TRIED = 1 / 3
"""Share of the columns that a split may choose from."""
PENALTY = 7.0
"""Weight of the L1 norm against the log loss summed over the rows."""
SMOOTHING = 20.0
"""Rows of the overall rate that are added to every value of a category."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the forest that are tried."""
_ITERATIONS = 1_000
_TOLERANCE = 1e-6

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


def category_rates(codes: Whole, values: int, outcomes: Floats) -> Floats:
    """Return smoothed rates (values + 1, heads) of outcomes (n, heads) for each value; the last row is the overall
    rate.

    (sum + m * overall) / (count + m) with m = SMOOTHING: Micci-Barreca 2001, "A Preprocessing Scheme for High-
    Cardinality Categorical Attributes in Classification and Prediction Problems".
    """
    overall = outcomes.mean(axis=0)
    counts = np.bincount(codes, minlength=values + 1)[:, None]
    sums = np.stack([np.bincount(codes, column, minlength=values + 1) for column in outcomes.T], axis=1)
    rates: Floats = (sums + SMOOTHING * overall) / (counts + SMOOTHING)
    rates[values] = overall
    return rates


def out_of_fold_rates(codes: Whole, values: int, outcomes: Floats, folds: Whole) -> Floats:
    """Return the rate of each row's value, (n, heads), from the other folds: a row never sees its own outcome."""
    found = np.empty_like(outcomes)
    for fold in np.unique(folds):
        own = folds == fold
        found[own] = category_rates(codes[~own], values, outcomes[~own])[codes[own]]
    return found


def fit_ensemble(rows: Floats, outcomes: Floats, trees: int, seed: int) -> Ensemble:
    """Fit both views to rows (n, columns), which may hold NaN, and outcomes (n, heads) of 0 and 1."""
    known = np.isfinite(rows)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, rows, 0.0).sum(axis=0) / counts
    filled = np.where(known, rows, means)
    spread = filled.std(axis=0)
    # A constant column differs from its computed mean by rounding only, which must not be blown up.
    scales = np.where(spread > 1e-9 * (1.0 + np.abs(means)), spread, 1.0)
    standard = np.clip((filled - means) / scales, -CLIP, CLIP)
    fits = [fit_sparse_logistic(standard, outcome) for outcome in outcomes.T]
    weights = np.stack([weights for weights, _ in fits], axis=1)
    return Ensemble(
        Linear(means, scales, weights, np.array([bias for _, bias in fits])), fit_forest(filled, outcomes, trees, seed)
    )


def fit_forest(rows: Floats, outcomes: Floats, trees: int, seed: int) -> Forest:
    """Fit extremely randomised trees with one leaf value for each head: Geurts, Ernst, Wehenkel 2006.

    Leaves hold at least sqrt(n) / 6 rows, and at least 3, so that the trees do not learn noise.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    least = max(3, round(np.sqrt(len(rows)) / 6))
    model = ExtraTreesRegressor(trees, min_samples_leaf=least, max_features=COLUMNS_TRIED, random_state=seed, n_jobs=1)
    model.fit(rows, outcomes if outcomes.shape[1] > 1 else outcomes[:, 0])
    return Forest.from_sklearn([tree.tree_ for tree in model.estimators_])


def fit_sparse_logistic(standard: Floats, outcome: Floats) -> tuple[Floats, float]:
    """Return weights (columns,) and bias of a logistic regression with an L1 penalty on the weights.

    Tibshirani 1996, "Regression Shrinkage and Selection via the Lasso"; solved by FISTA (Beck and Teboulle 2009) with
    the step 1 / L, L = |X|^2 / 4n the Lipschitz constant of the gradient.
    """
    count = len(standard)
    design = np.hstack([standard, np.ones((count, 1))])
    step = 4.0 * count / np.linalg.norm(design, 2) ** 2
    threshold = np.full(design.shape[1], step * PENALTY / count)
    threshold[-1] = 0.0
    current = ahead = np.zeros(design.shape[1])
    momentum = 1.0
    for _ in range(_ITERATIONS):
        moved = ahead - step * design.T @ (sigmoid(design @ ahead) - outcome) / count
        following = np.sign(moved) * np.maximum(np.abs(moved) - threshold, 0.0)
        next_momentum = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = following + (momentum - 1.0) / next_momentum * (following - current)
        change = np.abs(following - current).max()
        current, momentum = following, next_momentum
        if change < _TOLERANCE:
            break
    return current[:-1], float(current[-1])


def fit_mixture(linear: Floats, forest: Floats, outcomes: Floats) -> Mixture:
    """Return the forest's share and the calibration with the least log loss on out-of-fold views (n, heads)."""
    fitted = [_calibrated(mix(linear, forest, share), outcomes, share) for share in SHARES]
    return min(fitted, key=lambda found: found[0])[1]


def _calibrated(mixed: Floats, outcomes: Floats, share: float) -> tuple[float, Mixture]:
    lines = [_fit_platt(logit(column), outcome) for column, outcome in zip(mixed.T, outcomes.T, strict=True)]
    slopes, offsets = tuple(slope for _, slope, _ in lines), tuple(offset for _, _, offset in lines)
    return sum(loss for loss, _, _ in lines), Mixture(share, slopes, offsets)


def _fit_platt(scores: Floats, outcome: Floats) -> tuple[float, float, float]:
    """Return log loss, slope and offset of sigmoid(slope * score + offset), the slope from 0.01 to 100."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    def loss(line: Floats) -> tuple[float, Floats]:
        slope = np.exp(line[0])
        found = slope * scores + line[1]
        miss = sigmoid(found) - outcome
        value = float((np.logaddexp(0.0, found) - outcome * found).mean())
        return value, np.array([slope * (miss * scores).mean(), miss.mean()])

    limits = [(np.log(0.01), np.log(100.0)), (-20.0, 20.0)]
    best = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=limits)
    return float(best.fun), float(np.exp(best.x[0])), float(best.x[1])
