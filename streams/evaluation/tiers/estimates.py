"""Shares, differences and costs with 95 % intervals, also over strata that were observed with different chances."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.evaluation.compare.paired_statistics import (
    CERTAINTY,
    MIN_DIFFERING,
    MIN_PAIRS,
    DifferenceEstimate,
    Paired,
    difference,
    normal,
    wilson,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `n` cases, with Wilson's interval; the share and its ends are None without cases."""

    hits: int
    n: int
    value: float | None
    low: float | None
    high: float | None


NOTHING: Final = Share(0, 0, None, None, None)


def share(hits: int, n: int, certainty: float = CERTAINTY) -> Share:
    """Return a share with its score interval (Wilson 1927)."""
    return Share(hits, n, hits / n, *wilson(hits, n, certainty)) if n else NOTHING


def share_of(values: Iterable[bool]) -> Share:
    """Return the share of true values."""
    known = list(values)
    return share(sum(known), len(known))


def share_of_strata(strata: Sequence[tuple[int, Share]]) -> Share:
    """Return the share over strata, each weighted by its size; those without a case are left out.

    The intervals are combined by Zou and Donner 2008, "Construction of confidence limits about effect measures: a
    general approach". `hits` and `n` are the unweighted sums.
    """
    known = [(size, one) for size, one in strata if one.n]
    if len(known) < 2:
        return known[0][1] if known else NOTHING
    total = sum(size for size, _ in known)
    parts = [(size / total, one.value or 0.0, one.low or 0.0, one.high or 0.0) for size, one in known]
    value, low, high = _weighted(parts)
    return Share(
        sum(one.hits for _, one in known), sum(one.n for _, one in known), value, max(0.0, low), min(1.0, high)
    )


def difference_of_strata(strata: Sequence[tuple[int, Paired]]) -> DifferenceEstimate:
    """Return by how much B is right more often than A, each stratum weighted by its size.

    Within a stratum the interval is Tango's (1998), over strata Zou and Donner's (2008). Without pairs it is (-1, 1).
    """
    known = [(size, difference(pairs)) for size, pairs in strata if pairs.n]
    if len(known) < 2:
        return known[0][1] if known else difference(Paired())
    total = sum(size for size, _ in known)
    parts = [(size / total, one.value, _or(one.low, -1.0), _or(one.high, 1.0)) for size, one in known]
    value, low, high = _weighted(parts)
    return DifferenceEstimate(value, max(-1.0, low), min(1.0, high))


def _weighted(parts: Sequence[tuple[float, float, float, float]]) -> tuple[float, float, float]:
    """Combine (weight, value, low, high) of independent strata to value, low and high."""
    value = math.fsum(weight * one for weight, one, _, _ in parts)
    down = math.hypot(*(weight * (one - low) for weight, one, low, _ in parts))
    up = math.hypot(*(weight * (high - one) for weight, one, _, high in parts))
    return value, value - down, value + up


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


@dataclass(frozen=True, slots=True)
class CostPerRight:
    """US dollars for each additional right answer, with its interval, and the mean US dollars of an event.

    `value` is None if no answer was gained, the ends also if the gain is not significant or too few cases differ.
    """

    events: int
    mean_usd: float | None
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class GainStratum:
    """Cases observed with one chance, out of `size`: right answers gained (-1, 0, 1) and US dollars, shapes (n,)."""

    size: int
    gains: Floats
    usd: Floats


def cost_per_right(strata: Sequence[GainStratum], certainty: float = CERTAINTY) -> CostPerRight:
    """Return the mean cost divided by the mean gain, over strata weighted by their sizes.

    The interval is that of a ratio of two correlated means: Fieller 1954, "Some problems in interval estimation".
    """
    known = [one for one in strata if len(one.gains)]
    events = sum(len(one.gains) for one in known)
    if not known:
        return CostPerRight(0, None, None, None, None)
    weights = np.array([one.size for one in known], dtype=np.float64)
    weights /= weights.sum()
    usd = float(weights @ [one.usd.mean() for one in known])
    gain = float(weights @ [one.gains.mean() for one in known])
    if gain <= 0:
        return CostPerRight(events, usd, None, None, None)
    low, high = _fieller(usd, gain, _covariance(known, weights), normal(certainty)) if _enough(known) else (None, None)
    return CostPerRight(events, usd, usd / gain, low, high)


def _enough(strata: Sequence[GainStratum]) -> bool:
    differing = sum(int(np.count_nonzero(one.gains)) for one in strata)
    events = sum(len(one.gains) for one in strata)
    return events >= MIN_PAIRS and differing >= MIN_DIFFERING and all(len(one.gains) > 1 for one in strata)


def _covariance(strata: Sequence[GainStratum], weights: Floats) -> NDArray[np.float64]:
    """Return the covariance matrix (2, 2) of the means of dollars and gain."""
    parts = [
        weight**2 * np.cov(one.usd, one.gains) / len(one.gains)
        for weight, one in zip(weights.tolist(), strata, strict=True)
    ]
    return np.asarray(np.sum(parts, axis=0))


def _fieller(usd: float, gain: float, covariance: Floats, z: float) -> tuple[float | None, float | None]:
    square = z * z
    a = gain**2 - square * float(covariance[1, 1])
    if a <= 0:  # the gain may be 0, so the cost of an additional right answer has no upper end
        return None, None
    b = usd * gain - square * float(covariance[0, 1])
    c = usd**2 - square * float(covariance[0, 0])
    half = math.sqrt(max(0.0, b * b - a * c))
    return (b - half) / a, (b + half) / a
