"""Fit every calibrator to raw confidences with known outcomes, and choose the best on held-out cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.calibration.calibrators import (
    LOGIT_CLIP,
    Calibrator,
    IdentityCalibrator,
    Isotonic,
    Platt,
    Temperature,
    VennAbers,
)
from streams.core.errors import ConfigError
from streams.evaluation.reliability import brier_score, checked, expected_calibration_error, log_loss
from streams.models.listeners.training import fit_temperature as fit_softmax_temperature

MIN_CASES = 20
TIE = 1e-4
"""Log losses (nats) nearer than this are a tie, which the simpler calibrator wins."""

Floats = NDArray[np.float64]
Outcomes = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CalibratorScore:
    """The errors of one method on held-out cases; log loss in nats. Smaller is better in all three."""

    method: str
    log_loss: float
    brier: float
    ece: float


@dataclass(frozen=True, slots=True, eq=False)
class CalibratorChoice:
    """The chosen calibrator, fitted to all cases, and the figures behind the choice.

    `table` has a row for each method, the simplest first. `held_out` has shape (n,): the probability of each
    case by the chosen method, fitted to the folds without that case.
    """

    calibrator: Calibrator
    table: tuple[CalibratorScore, ...]
    held_out: Floats


def choose_calibrator(raw: Floats, correct: Outcomes, *, folds: int = 5, seed: int = 0) -> CalibratorChoice:
    """Choose the calibrator with the least log loss over all n cases, each held out once; ties go to the simpler.

    `raw` and `correct` have shape (n,). The folds are stratified by outcome, the same for every method. Raises
    ConfigError for fewer than 20 cases, outcomes of one kind only, folds < 2 or > n, or a score outside [0, 1].
    """
    scores, truth = _checked(raw, correct)
    if not 2 <= folds <= len(scores):
        raise ConfigError(f"{len(scores)} cases cannot be divided into {folds} folds.", "Use 5 folds.", "folds")
    fold = _stratified_folds(truth, folds, np.random.default_rng(seed))
    held_out = {name: _held_out(fit, scores, truth, fold) for name, fit in FITS.items()}
    table = tuple(_score(name, probability, truth) for name, probability in held_out.items())
    best = min(row.log_loss for row in table)
    chosen = next(row.method for row in table if row.log_loss <= best + TIE)
    return CalibratorChoice(FITS[chosen](scores, truth), table, held_out[chosen])


def fit_identity(_raw: Floats, _correct: Outcomes) -> IdentityCalibrator:
    return IdentityCalibrator()


def fit_temperature(raw: Floats, correct: Outcomes) -> Temperature:
    """Find the temperature from 0.01 to 100 with the least log loss (Guo et al. 2017, section 4.2).

    The sigmoid is a softmax over the logits 0 and z.
    """
    logits = np.column_stack([np.zeros(len(raw)), _logits(raw)])
    return Temperature(fit_softmax_temperature(logits, correct.astype(np.int64)))


def fit_platt(raw: Floats, correct: Outcomes) -> Platt:
    """Minimise the cross-entropy against Platt's smoothed targets, with a >= 0, by SciPy's L-BFGS-B.

    Targets are (N+ + 1) / (N+ + 2) for right and 1 / (N- + 2) for wrong answers (Platt 1999, section 2.2). Scores
    that are uninformative or reversed give a = 0: a constant.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    z = _logits(raw)
    right = int(correct.sum())
    target = np.where(correct, (right + 1) / (right + 2), 1 / (len(correct) - right + 2))

    def loss(line: Floats) -> tuple[float, Floats]:
        margin = line[0] * z + line[1]
        gap = _sigmoid(margin) - target
        value = np.mean(np.logaddexp(0.0, margin) - target * margin)
        return float(value), np.array([np.mean(gap * z), np.mean(gap)])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.0, None), (None, None)])
    return Platt(float(found.x[0]), float(found.x[1]))


def fit_isotonic(raw: Floats, correct: Outcomes) -> Isotonic:
    """Fit scikit-learn's isotonic regression (Zadrozny, Elkan 2002) within [1 / (n + 2), (n + 1) / (n + 2)].

    These bounds are Laplace's rule of succession for n equal outcomes. Without them the ends are exactly 0 and 1, and
    one exception costs an infinite log loss.
    """
    from sklearn.isotonic import IsotonicRegression

    least = 1 / (len(raw) + 2)
    model = IsotonicRegression(y_min=least, y_max=1 - least).fit(raw, correct.astype(np.float64))
    return Isotonic(tuple(model.X_thresholds_.tolist()), tuple(model.y_thresholds_.tolist()))


def fit_venn_abers(raw: Floats, correct: Outcomes) -> VennAbers:
    """Fit both isotonic regressions at every distinct score, with a case added there as wrong and as right.

    Vovk, Petej, Fedorova 2015, section 2. Scores at which neither step function changes are left out without loss.
    Takes about k^2 steps for k distinct scores.
    """
    knots, place, counts = np.unique(raw, return_inverse=True, return_counts=True)
    rights: Floats = np.bincount(place, correct.astype(np.float64)).astype(np.float64)
    p0, p1 = _isotonic_with(knots, rights, counts, 0.0), _isotonic_with(knots, rights, counts, 1.0)
    # Each value comes from its own fit, so rounding may break an order that holds exactly.
    p0 = np.maximum.accumulate(p0)
    p1 = np.maximum(np.maximum.accumulate(p1), p0)
    needed = (np.diff(p0, prepend=-1.0) != 0) | (np.diff(p1, append=2.0) != 0)
    return VennAbers(*(tuple(column[needed].tolist()) for column in (knots, p0, p1)))


FITS: dict[str, Callable[[Floats, Outcomes], Calibrator]] = {
    "identity": fit_identity,
    "temperature": fit_temperature,
    "platt": fit_platt,
    "isotonic": fit_isotonic,
    "venn-abers": fit_venn_abers,
}
"""The simplest first. Each takes scores in [0, 1] and outcomes, both of shape (n,)."""


def _isotonic_with(knots: Floats, rights: Floats, counts: NDArray[np.int64], added: float) -> Floats:
    """Return, for each knot, the isotonic fit's value there after adding a case with outcome `added`."""
    from scipy.optimize import isotonic_regression

    values = np.empty(len(knots))
    means, weights = rights / counts, counts.astype(np.float64)
    for k in range(len(knots)):
        mean, weight = means[k], weights[k]
        means[k], weights[k] = (rights[k] + added) / (weight + 1), weight + 1
        values[k] = isotonic_regression(means, weights=weights).x[k]
        means[k], weights[k] = mean, weight
    return np.clip(values, 0.0, 1.0)


def _checked(raw: Floats, correct: Outcomes) -> tuple[Floats, Outcomes]:
    scores, truth = checked(raw, correct)
    if len(scores) < MIN_CASES:
        raise ConfigError(f"{len(scores)} cases are too few to calibrate.", f"Label at least {MIN_CASES}.")
    if truth.all() or not truth.any():
        kind = "right" if truth.all() else "wrong"
        raise ConfigError(f"All {len(truth)} answers are {kind}.", "Label more cases until both kinds occur.")
    return scores, truth


def _stratified_folds(truth: Outcomes, folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Assign a fold to each case. Right and wrong cases are dealt out in turn, even if fewer than the folds."""
    shuffled = rng.permutation(len(truth))
    dealt = shuffled[np.argsort(truth[shuffled], kind="stable")]
    fold = np.empty(len(truth), dtype=np.int64)
    fold[dealt] = np.arange(len(truth)) % folds
    return fold


def _held_out(
    fit: Callable[[Floats, Outcomes], Calibrator], scores: Floats, truth: Outcomes, fold: NDArray[np.int64]
) -> Floats:
    probability = np.empty(len(scores))
    for number in np.unique(fold):
        outside = fold == number
        probability[outside] = fit(scores[~outside], truth[~outside]).many(scores[outside])
    return probability


def _score(method: str, probability: Floats, truth: Outcomes) -> CalibratorScore:
    error = expected_calibration_error(probability, truth)
    return CalibratorScore(method, log_loss(probability, truth), brier_score(probability, truth), error)


def _logits(raw: Floats) -> Floats:
    clipped = np.clip(raw, LOGIT_CLIP, 1.0 - LOGIT_CLIP)
    odds: Floats = np.log(clipped) - np.log1p(-clipped)
    return odds


def _sigmoid(values: Floats) -> Floats:
    ratio: Floats = np.exp(-np.logaddexp(0.0, -values))
    return ratio
