"""Cost against quality: what a share of reasoner calls buys, when a score says which events to send first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

RANDOM_SEEDS = 50
RESAMPLES = 1000
WANTED = 0.95
"""Of the reasoner's accuracy."""
SHARES = tuple(round(0.1 * step, 1) for step in range(11))


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """1 where the worker, and where the reasoner, was right about an event, else 0; both of shape (n,)."""

    worker: Floats
    reasoner: Floats

    @property
    def gap(self) -> float:
        """The reasoner's accuracy less the worker's."""
        return float(self.reasoner.mean() - self.worker.mean())

    def taken(self, places: Places) -> Outcomes:
        """Those at some places."""
        return Outcomes(self.worker[places], self.reasoner[places])


@dataclass(frozen=True, slots=True)
class Figures:
    """All are shares, 0 to 1; None where the reasoner is not better than the worker, so nothing can be recovered.

    `apgr` is the area under the recovered part of the gap over the share of reasoner calls, by trapezoids; `cpt50`
    and `cpt80` are the least shares that recover 50 and 80 % of the gap: Ong et al. 2024, "RouteLLM", section 2.2.
    `share_at_95` is the least share with 95 % of the reasoner's accuracy.
    """

    apgr: float | None
    cpt50: float | None
    cpt80: float | None
    share_at_95: float | None


def asked_first(need: Floats) -> Places:
    """The events in the order in which they go to the reasoner: greatest need first, ties in the given order."""
    return np.argsort(-need, kind="stable").astype(np.int64)


def accuracies(order: Places, outcomes: Outcomes) -> Floats:
    """The accuracy when the first 0, 1, ... n events of an order go to the reasoner; shape (n + 1,)."""
    gained = np.cumsum((outcomes.reasoner - outcomes.worker)[order])
    whole: Floats = (outcomes.worker.sum() + np.concatenate([[0.0], gained])) / len(order)
    return whole


def figures(need: Floats, outcomes: Outcomes) -> Figures:
    """The figures of sending events by their `need` of the reasoner, shape (n,), greatest first."""
    curve = accuracies(asked_first(need), outcomes)
    share_at_95 = _least_share(curve, WANTED * curve[-1])
    if outcomes.gap <= 0:
        return Figures(None, None, None, share_at_95)
    low, gap = curve[0], curve[-1] - curve[0]
    return Figures(
        float(np.trapezoid((curve - low) / gap, dx=1 / (len(curve) - 1))),
        _least_share(curve, low + 0.5 * gap),
        _least_share(curve, low + 0.8 * gap),
        share_at_95,
    )


def random_figures(outcomes: Outcomes, seeds: int = RANDOM_SEEDS) -> Figures:
    """The means over random orders."""
    drawn = [figures(np.random.default_rng(seed).random(len(outcomes.worker)), outcomes) for seed in range(seeds)]
    means: Mapping[str, Any] = {
        name: None if value is None else float(np.mean([getattr(one, name) for one in drawn]))
        for name, value in asdict(drawn[0]).items()
    }
    return Figures(**means)


def apgr_interval(need: Floats, outcomes: Outcomes, seed: int = 0) -> tuple[float, float] | None:
    """The 2.5 and 97.5 % points of the APGR over 1000 resamples of the events (Efron 1979); None without a gap.

    It holds the trained models fixed, so it says how far the test events decide, and not the training events.
    """
    rng, n = np.random.default_rng(seed), len(need)
    drawn = [_apgr(places, need, outcomes) for places in rng.integers(0, n, (RESAMPLES, n))]
    known = [value for value in drawn if value is not None]
    if outcomes.gap <= 0 or not known:
        return None
    low, high = np.quantile(known, [0.025, 0.975]).tolist()
    return low, high


def at_shares(need: Floats, outcomes: Outcomes) -> list[float]:
    """The accuracy at each of SHARES, rounded to whole events."""
    curve = accuracies(asked_first(need), outcomes)
    return [float(curve[round(share * (len(curve) - 1))]) for share in SHARES]


def _apgr(places: Places, need: Floats, outcomes: Outcomes) -> float | None:
    return figures(need[places], outcomes.taken(places)).apgr


def _least_share(curve: Floats, accuracy: float) -> float:
    """The least share that reaches an accuracy; a curve is of whole events, so it may miss by rounding alone."""
    reached = np.flatnonzero(curve >= accuracy - 1e-12)
    return float(reached[0]) / (len(curve) - 1) if len(reached) else 1.0
