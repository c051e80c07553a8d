"""Measure probabilities against outcomes: reliability by bins, calibration error, Brier score and log loss.

Outcomes are binary: the answer was right or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.evaluation.compare.paired_statistics import CERTAINTY, wilson

Floats = NDArray[np.float64]
Strategy = Literal["equal mass", "equal width"]

RESAMPLES = 1000
HISTOGRAM_BINS = 20
_SMALLEST = 1e-15
"""In the log loss smaller probabilities count as this, so that it stays finite: at most 34.5."""
_CHUNK = 2_000_000
"""Draws held at once while resampling."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The `n` cases with a probability in [low, high): their mean probability and their accuracy.

    `lower` and `upper` are the Wilson interval of the accuracy. The last bin includes its high end.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """The bins that hold a case, and the summary measures with 95 % bootstrap intervals (low, high).

    `ece` is biased upwards: it is above 0 even for a perfect calibrator, more so with few cases and many bins, and
    higher still in a resample, so the interval may lie above the estimate. Compare calibrators by `log_loss`
    (nats) or `brier`. `histogram` counts the probabilities in HISTOGRAM_BINS equally wide bins from 0 to 1.
    """

    n: int
    bins: tuple[Bin, ...]
    ece: float
    ece_interval: tuple[float, float]
    brier: float
    brier_interval: tuple[float, float]
    log_loss: float
    histogram: tuple[int, ...]


def reliability(
    probability: Floats,
    correct: NDArray[np.bool_],
    bins: int = 10,
    *,
    strategy: Strategy = "equal mass",
    rng: np.random.Generator | None = None,
) -> Reliability:
    """Measure probabilities of shape (n,) against outcomes of shape (n,); without `rng` the seed is 0.

    Equal scores share a bin, so equal mass may give fewer than `bins`. Intervals are percentiles of
    1000 resamples with the bins held fixed: Efron 1979, "Bootstrap Methods: Another Look at the Jackknife".
    Raises ConfigError for empty or unequal arrays, a probability outside [0, 1], or no bins.
    """
    scores, truth = checked(probability, correct)
    edges = _edges(scores, bins, strategy)
    place = np.searchsorted(edges[1:-1], scores, side="right")
    ece, brier = _resample(scores, truth, place, rng or np.random.default_rng(0))
    rows = [_bin(edges, k, scores[place == k], truth[place == k]) for k in np.unique(place).tolist()]
    return Reliability(
        n=len(scores),
        bins=tuple(rows),
        ece=sum(row.n * abs(row.accuracy - row.confidence) for row in rows) / len(scores),
        ece_interval=_percentiles(ece),
        brier=brier_score(scores, truth),
        brier_interval=_percentiles(brier),
        log_loss=log_loss(scores, truth),
        histogram=tuple(np.histogram(scores, HISTOGRAM_BINS, (0.0, 1.0))[0].tolist()),
    )


def expected_calibration_error(probability: Floats, correct: NDArray[np.bool_], bins: int = 10) -> float:
    """Return the mean |accuracy - mean probability| over bins of equal mass, weighted by their cases.

    Naeini, Cooper, Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", with bins
    of equal mass instead of equal width. Biased upwards. Raises ConfigError as `reliability` does.
    """
    scores, truth = checked(probability, correct)
    place = np.searchsorted(_edges(scores, bins, "equal mass")[1:-1], scores, side="right")
    return float(np.abs(np.bincount(place, truth - scores)).sum() / len(scores))


def brier_score(probability: Floats, correct: NDArray[np.bool_]) -> float:
    """Return the mean of (p - outcome)^2, 0 to 1: Brier 1950, halved as is usual for two classes."""
    return float(np.mean((probability - correct) ** 2))


def log_loss(probability: Floats, correct: NDArray[np.bool_]) -> float:
    """Return the mean of -ln of the probability of the actual outcome, in nats (Good 1952)."""
    happened = np.where(correct, probability, 1.0 - probability)
    return float(-np.log(np.maximum(happened, _SMALLEST)).mean())


def checked(probability: Floats, correct: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return both as arrays of shape (n,), n > 0. Raises ConfigError as `reliability` does."""
    scores, truth = np.asarray(probability, dtype=np.float64), np.asarray(correct)
    if scores.ndim != 1 or scores.shape != truth.shape or not len(scores):
        raise ConfigError(f"There are {scores.shape} probabilities for {truth.shape} outcomes.", "Give one for each.")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ConfigError("A probability is not a number from 0 to 1.", "Leave out cases without a confidence.")
    if not np.isin(truth, (0, 1)).all():
        raise ConfigError("An outcome is neither right nor wrong.", "Give True or False for each case.")
    return scores, truth.astype(np.bool_)


def _edges(scores: Floats, bins: int, strategy: Strategy) -> Floats:
    if bins < 1:
        raise ConfigError(f"{bins} bins are too few.", "Use at least one.", "bins")
    if strategy == "equal width":
        return np.linspace(0.0, 1.0, bins + 1)
    if strategy == "equal mass":
        edges = np.unique(np.quantile(scores, np.linspace(0.0, 1.0, bins + 1)))
        return edges if len(edges) > 1 else np.repeat(edges, 2)
    raise ConfigError(f"{strategy!r} is not a strategy.", "Use equal mass or equal width.", "strategy")


def _bin(edges: Floats, number: int, scores: Floats, truth: NDArray[np.bool_]) -> Bin:
    hits = int(truth.sum())
    lower, upper = wilson(hits, len(truth))
    limits = float(edges[number]), float(edges[number + 1])
    return Bin(*limits, len(truth), float(scores.mean()), hits / len(truth), lower, upper)


def _resample(
    scores: Floats, truth: NDArray[np.bool_], place: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the ECE and the Brier score of each resample, both of shape (RESAMPLES,)."""
    n, bins = len(scores), int(place.max()) + 1
    gap = truth - scores
    ece, brier = [], []
    rows = max(1, min(RESAMPLES, _CHUNK // n))
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        drawn = rng.integers(0, n, (count, n))
        cell = place[drawn] + bins * np.arange(count)[:, None]
        sums = np.bincount(cell.ravel(), gap[drawn].ravel(), count * bins).reshape(count, bins)
        ece.append(np.abs(sums).sum(axis=1) / n)
        brier.append((gap**2)[drawn].mean(axis=1))
    return np.concatenate(ece), np.concatenate(brier)


def _percentiles(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - CERTAINTY) / 2, (1 + CERTAINTY) / 2]).tolist()
    return low, high
