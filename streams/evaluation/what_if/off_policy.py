"""Estimate the result of another policy from events with partly observed outcomes.

An outcome, such as "the reasoner's answer is right", was seen with a known chance, its propensity. All three estimators
here are one formula (Robins, Rotnitzky and Zhao 1994, "Estimation of Regression Coefficients When Some
Regressors Are Not Always Observed"): a prediction for every event, plus the prediction's
error for each seen outcome, divided by the chance of seeing it. They differ only in the prediction:

- 0 (Horvitz and Thompson 1952, "A Generalization of Sampling Without Replacement From a Finite Universe");
- one mean for all (Hájek 1971, in his comment on an essay by D. Basu);
- a model's (Dudík, Langford and Li 2011, "Doubly Robust Policy Evaluation and Learning").

With known propensities each is unbiased, or nearly so, however wrong the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

CERTAINTY = 0.95
PRIOR = 50.0
"""The weight of the model's variance, in seen outcomes, beside the measured one, which is 0 if all were equal."""


@dataclass(frozen=True, slots=True, eq=False)
class LoggedOutcome:
    """One quantity of n events, seen for some of them. Arrays have shape (n,).

    `values` are valid where `seen`; `propensity` is the chance of being seen, 0 if that was impossible. All values lie
    in `low` to `high`; `binary` ones are 0 or 1.
    """

    values: Floats
    seen: Mask
    propensity: Floats
    low: float = 0.0
    high: float = 1.0
    binary: bool = True

    @property
    def uncertain(self) -> Mask:
        """A mask of the outcomes that were seen or missed by chance."""
        return (self.propensity > 0) & (self.propensity < 1)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """The prediction of an outcome: its mean and its variance, both (n,)."""

    mean: Floats
    variance: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A policy's use of an outcome: `weight` (n,), 0 for no use. It must not depend on `seen`."""

    weight: Floats
    outcome: LoggedOutcome
    model: Model


@dataclass(frozen=True, slots=True)
class PolicyEstimate:
    """A mean over events like these. `value` is None if the data only bound it.

    `low` and `high` are a 95 % interval that covers the sampling of events and of seen outcomes. `effective` is the
    equivalent number of outcomes seen with equal chances; None if every outcome was seen.
    """

    value: float | None
    low: float
    high: float
    effective: float | None


def estimate(known: Floats, terms: Sequence[Term], tasks: NDArray[np.int64] | None = None) -> PolicyEstimate:
    """Estimate the mean of `known` (n,) plus the terms, over events like these n >= 2.

    `tasks` (n,) numbers the events' tasks from 0. Events of one task are correlated, so the interval counts tasks: the
    variance is that of their sums (Liang and Zeger 1986, "Longitudinal data analysis using generalized linear models").

    The variance is the larger of the measured one of each event's contribution (its influence function) and a mean of
    it and the model's, because with few and equal outcomes the measured one would be 0. The quantile is Student's with
    Satterthwaite's degrees of freedom (1946), so few outcomes give a wide interval.
    """
    pairs = [_contribution(term) for term in terms]
    lowest = known + sum((low for low, _ in pairs), np.zeros(len(known)))
    highest = known + sum((high for _, high in pairs), np.zeros(len(known)))
    effective = _least([effective_size(term) for term in terms])
    place = np.arange(len(known)) if tasks is None else tasks
    count, spread = int(place.max()) + 1, float(np.square(np.bincount(place)).sum()) / len(known)
    size = (len(known) if effective is None else effective) / spread
    measured = max(_variance(lowest, place), _variance(highest, place))
    predicted, from_seeing = (spread * part for part in _predicted(known, terms))
    variance = max(measured, (size * measured + PRIOR * predicted) / (size + PRIOR))
    reach = _quantile(variance, from_seeing, count, size) * (variance / len(known)) ** 0.5
    low, high = float(lowest.mean()), float(highest.mean())
    value = low if np.array_equal(lowest, highest) else None
    return PolicyEstimate(value, low - reach, high + reach, effective)


def bounded(found: PolicyEstimate, low: float, high: float) -> PolicyEstimate:
    value = None if found.value is None else min(max(found.value, low), high)
    return replace(found, value=value, low=max(found.low, low), high=min(found.high, high))


def effective_size(term: Term) -> float | None:
    """Return Kish's effective number (1965) of the seen outcomes of a term; None if it uses only certain ones."""
    taken = (term.weight != 0) & term.outcome.uncertain
    if not taken.any():
        return None
    seen = taken & term.outcome.seen
    shares = np.abs(term.weight[seen]) / term.outcome.propensity[seen]
    return float(shares.sum() ** 2 / np.square(shares).sum()) if seen.any() else 0.0


def horvitz_thompson(term: Term) -> Term:
    return _with_constant(term, 0.0)


def hajek(term: Term) -> Term:
    """Return the term with one prediction for all: the weighted mean of its uncertain outcomes."""
    shares, values = _shares(term)
    return _with_constant(term, float(shares @ values / shares.sum()) if len(values) else 0.0)


def _with_constant(term: Term, mean: float) -> Term:
    shares, values = _shares(term)
    spread = float(shares @ np.square(values - mean) / shares.sum()) if len(values) else 0.0
    n = len(term.weight)
    return replace(term, model=Model(np.full(n, mean), np.full(n, spread)))


def _shares(term: Term) -> tuple[Floats, Floats]:
    """Return the weights and values of the term's uncertain outcomes that were seen."""
    seen = (term.weight != 0) & term.outcome.uncertain & term.outcome.seen
    return np.abs(term.weight[seen]) / term.outcome.propensity[seen], term.outcome.values[seen]


def _contribution(term: Term) -> tuple[Floats, Floats]:
    """Return each event's least and largest contribution. They differ if its outcome could never be seen."""
    outcome, mean = term.outcome, term.model.mean
    error = np.zeros(len(mean))
    seen = outcome.seen & (outcome.propensity > 0)
    error[seen] = (outcome.values[seen] - mean[seen]) / outcome.propensity[seen]
    likely, open_ = term.weight * (mean + error), (outcome.propensity == 0) & (term.weight != 0)
    ends = term.weight * outcome.low, term.weight * outcome.high
    return np.where(open_, np.minimum(*ends), likely), np.where(open_, np.maximum(*ends), likely)


def _variance(values: Floats, place: NDArray[np.int64]) -> float:
    """Return the variance of one event's value: n times that of the mean. Events at one place are correlated."""
    sums = np.bincount(place, values - values.mean())
    return float(np.square(sums).sum()) / len(values) * len(sums) / max(1, len(sums) - 1)


def _predicted(known: Floats, terms: Sequence[Term]) -> tuple[float, float]:
    """Return the model's variance of one event's contribution, and its part from seeing only some outcomes."""
    means, own, seeing = known.copy(), 0.0, 0.0
    for term in terms:
        possible = (term.outcome.propensity > 0) & (term.weight != 0)
        means += np.where(possible, term.weight * term.model.mean, 0.0)
        variance = np.square(term.weight[possible]) * term.model.variance[possible]
        chance = term.outcome.propensity[possible]
        own += float(variance.sum()) / len(known)
        seeing += float((variance * (1 - chance) / chance).sum()) / len(known)
    return float(means.var(ddof=1)) + own + seeing, seeing


def _quantile(variance: float, seeing: float, events: int, size: float) -> float:
    """Return Student's quantile. The variance from partial seeing has about `size` degrees of freedom."""
    part = min(1.0, seeing / variance) if variance > 0 else 0.0
    freedom = 1 / (part**2 / (size + 2) + (1 - part) ** 2 / max(1, events - 1))
    return float(stdtrit(freedom, 0.5 + CERTAINTY / 2))


def _least(sizes: Sequence[float | None]) -> float | None:
    known = [size for size in sizes if size is not None]
    return min(known) if known else None
