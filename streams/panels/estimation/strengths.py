"""Rank three or more handlers by who wins against whom.

The model is that of Bradley and Terry 1952, Rank Analysis of Incomplete Block Designs: handler a wins against b with
the chance 1 / (1 + exp(strength b - strength a)). A tie is half a win for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Wins = NDArray[np.float64]
RESAMPLES: Final = 500
_PRIOR_WINS: Final = 0.1
"""Wins that each two handlers that met get in a resample, as a resample in which one never wins has no estimate."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """A comparison of two handlers: `share` is 1 if `first` won, 0.5 for a tie, 0 if `second` won."""

    first: str
    second: str
    share: float
    weight: float
    """1 / chance of the case, or 1 where all chances are equal."""


@dataclass(frozen=True, slots=True)
class Strength:
    """A handler's strength on a logarithmic scale on which the mean of all is 0, with its bootstrap interval."""

    handler: str
    value: float
    low: float
    high: float
    comparisons: int

    def beats(self, other: Strength) -> float:
        """Return the estimated chance of winning against another handler."""
        return float(1 / (1 + np.exp(other.value - self.value)))


@dataclass(frozen=True, slots=True)
class Strengths:
    """The handlers, the strongest first; none if they have no common scale, and then `why_not` says why."""

    handlers: tuple[Strength, ...]
    why_not: str = ""


def bradley_terry(pairings: Sequence[Pairing], *, certainty: float = 0.95, seed: int = 0) -> Strengths:
    """Return the strengths by the weighted comparisons, one for each case, with percentiles over resampled cases."""
    names = sorted({name for one in pairings for name in (one.first, one.second)})
    if len(names) < 2:
        return Strengths((), "Strengths need comparisons of at least two handlers.")
    places = {name: place for place, name in enumerate(names)}
    first = np.array([places[one.first] for one in pairings])
    second = np.array([places[one.second] for one in pairings])
    weights = np.array([one.weight for one in pairings])
    share = np.array([one.share for one in pairings])
    contests = _Contests(first, second, share, weights / weights.mean(), len(names))
    wins = contests.wins(np.arange(len(pairings)))
    if why_not := _without_scale(wins, names):
        return Strengths((), why_not)
    values, random = _fit(wins), np.random.default_rng(seed)
    met = np.where(wins + wins.T > 0, _PRIOR_WINS, 0.0)
    drawn = random.integers(len(pairings), size=(RESAMPLES, len(pairings)))
    found = [_fit(contests.wins(some) + met) for some in drawn]
    low, high = np.quantile(found, [(1 - certainty) / 2, (1 + certainty) / 2], axis=0)
    counts = np.bincount(np.concatenate([first, second]), minlength=len(names)).tolist()
    rows = zip(names, values.tolist(), low.tolist(), high.tolist(), counts, strict=True)
    return Strengths(tuple(sorted((Strength(*row) for row in rows), key=lambda one: -one.value)))


@dataclass(frozen=True, slots=True, eq=False)
class _Contests:
    """Comparisons as arrays of shape (comparisons,): indices of the two handlers, the first one's share, weights."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    share: Wins
    weights: Wins
    handlers: int

    def wins(self, places: NDArray[np.int64]) -> Wins:
        """Return how often each handler (row) won against each other one (column), of the comparisons at `places`."""
        first, second = self.first[places], self.second[places]
        weights, share = self.weights[places], self.share[places]
        cells = np.concatenate([first * self.handlers + second, second * self.handlers + first])
        counted = np.concatenate([weights * share, weights * (1 - share)])
        sums = np.bincount(cells, counted, self.handlers**2)
        return np.asarray(sums.reshape(self.handlers, self.handlers), dtype=np.float64)


def _fit(wins: Wins) -> Wins:
    """Return the most likely strengths (handlers,), with mean 0."""
    import choix

    values = np.asarray(choix.ilsr_pairwise_dense(wins, max_iter=1000), dtype=np.float64)
    return np.asarray(values - values.mean(), dtype=np.float64)


def _without_scale(wins: Wins, names: Sequence[str]) -> str:
    """Return why the handlers have no common scale; empty if they have one: if each can beat each, by others or not."""
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    groups, group = connected_components(wins > 0, connection="weak")
    if groups > 1:
        apart = _listed([name for name, own in zip(names, group, strict=True) if own == 0])
        return f"Nothing compares {apart} with the other handlers, so they have no common scale."
    classes, found = connected_components(wins > 0, connection="strong")
    for one in range(classes if classes > 1 else 0):
        inside = found == one
        if not wins[np.ix_(~inside, inside)].any():
            never = _listed([name for name, own in zip(names, inside, strict=True) if own])
            return f"No other handler has ever won against {never}, so the strengths have no upper limit."
    return ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
