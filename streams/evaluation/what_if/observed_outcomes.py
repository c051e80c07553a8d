"""The outcomes of past events, and the chance with which each was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.core.fingerprint import draw
from streams.evaluation.cases import LabelsFrom
from streams.evaluation.what_if.direct_model import FOLDS, cross_fitted, design
from streams.evaluation.what_if.history import PastEvent
from streams.evaluation.what_if.off_policy import Floats, LoggedOutcome, Mask, Model

SEEN_IN_A_BIN, MOST_BINS = 20, 5
"""Scores are binned by this many seen outcomes, to estimate how the chance of being seen depends on the score."""


@dataclass(frozen=True, slots=True, eq=False)
class ObservedOutcome:
    """An outcome with its cross-fitted predictions."""

    outcome: LoggedOutcome
    model: Model


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """The outcomes of n events. A cost is None if no price was ever known."""

    worker_right: ObservedOutcome
    reasoner_right: ObservedOutcome
    worker_usd: ObservedOutcome | None
    reasoner_usd: ObservedOutcome | None


def outcomes_of(events: Sequence[PastEvent], labels: LabelsFrom) -> Outcomes:
    """Return the outcomes of n events with their propensities and models.

    The chance of a reasoner's answer is the recorded one, times the share of requested answers that arrived. A label's
    chance is the share labelled among events with the same decision and a similar score. Labels are assumed to be
    missing at random given these two (Rubin 1976, "Inference and Missing Data").
    """
    looked = _Features.at(events)
    certain = np.ones(len(events))
    asked = np.array([past.asked for past in events], dtype=np.float64)
    drawn = np.array([past.explored if past.decision == "accepted" else past.asked == 1 for past in events])
    worked = np.array([past.attempt is not None for past in events])
    answered = np.array([past.attempt is not None and past.attempt.status == "answered" for past in events])
    chance, among = (asked, drawn & answered) if labels == "reasoner" else (certain, answered)
    theirs = looked.right([past.reasoner_right for past in events], asked, drawn)
    # If the worker's answer came from the cache, the reasoner's would have as well.
    stored = np.array([past.stored and past.reasoner_usd is None for past in events])
    theirs_usd = [0.0 if free else past.reasoner_usd for free, past in zip(stored, events, strict=True)]
    return Outcomes(
        worker_right=looked.right([past.worker_right for past in events], chance, among),
        reasoner_right=_agrees_with_itself(theirs) if labels == "reasoner" else theirs,
        worker_usd=looked.usd([past.worker_usd for past in events], certain, worked),
        reasoner_usd=looked.usd(theirs_usd, np.where(stored, 1.0, asked), drawn | stored, stored),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Features:
    """The features of n events that predict outcomes, and the chance of seeing them."""

    scores: Floats
    groups: NDArray[np.object_]
    columns: Floats
    folds: NDArray[np.int64]

    @classmethod
    def at(cls, events: Sequence[PastEvent]) -> _Features:
        scores = np.array([_score(past) for past in events], dtype=np.float64)
        return cls(
            scores=scores,
            groups=np.array([past.decision or past.action for past in events], dtype=object),
            columns=design(scores, [f"{past.handler} {past.intent}" for past in events]),
            folds=np.array([int(FOLDS * draw("fold", past.task or past.event_id)) for past in events], dtype=np.int64),
        )

    def right(self, values: Sequence[bool | None], chance: Floats, among: Mask) -> ObservedOutcome:
        known, numbers = _known(values, among)
        propensity = chance * shares_seen(known, among, self.scores, self.groups)
        return self._fitted(LoggedOutcome(numbers, known & (propensity > 0), propensity))

    def usd(
        self, values: Sequence[float | None], chance: Floats, among: Mask, stored: Mask | None = None
    ) -> ObservedOutcome | None:
        """Return costs. Those `stored` are always known and carry no information about the others."""
        known, numbers = _known(values, among)
        free = np.zeros(len(known), dtype=np.bool_) if stored is None else stored
        if not (known & ~free).any():
            return None
        shares = shares_seen(known & ~free, among & ~free, self.scores, self.groups)
        propensity = np.where(free, 1.0, chance * shares)
        ends = float(numbers[known].min()), float(numbers[known].max())
        found = LoggedOutcome(numbers, known & (propensity > 0), propensity, *ends, binary=False)
        columns = np.column_stack([self.columns, free.astype(np.float64)]) if free.any() else self.columns
        return ObservedOutcome(found, cross_fitted(columns, found, self.folds))

    def _fitted(self, outcome: LoggedOutcome) -> ObservedOutcome:
        return ObservedOutcome(outcome, cross_fitted(self.columns, outcome, self.folds))


def _known(values: Sequence[float | None], among: Mask) -> tuple[Mask, Floats]:
    """Return a mask of the known values, and all values as numbers."""
    known = np.array([value is not None for value in values]) & among
    return known, np.array([0.0 if value is None else float(value) for value in values], dtype=np.float64)


def _score(past: PastEvent) -> float:
    raw = past.attempt.raw_confidence if past.attempt else None
    return float("nan") if raw is None else raw


def _agrees_with_itself(seen: ObservedOutcome) -> ObservedOutcome:
    """Mark all answers of the reasoner as right, for it is the source of truth."""
    n = len(seen.outcome.values)
    outcome = LoggedOutcome(np.ones(n), np.ones(n, dtype=np.bool_), np.ones(n))
    return ObservedOutcome(outcome, Model(np.ones(n), np.zeros(n)))


def shares_seen(known: Mask, among: Mask, scores: Floats, groups: NDArray[np.object_]) -> Floats:
    """Return the share known (n,) among events of the same group with a similar score; 0 if none was.

    A group has at most MOST_BINS bins, each with at least SEEN_IN_A_BIN known outcomes.
    """
    found = np.zeros(len(known))
    filled = np.where(np.isnan(scores), -1.0, scores)
    for group in sorted(set(groups.tolist())):
        inside = groups == group
        if not (known & inside).any():
            continue
        bins = max(1, min(MOST_BINS, int((known & inside).sum()) // SEEN_IN_A_BIN))
        edges = np.unique(np.quantile(filled[known & inside], np.arange(1, bins) / bins))
        place = np.searchsorted(edges, filled, side="right")
        for bin_ in range(len(edges) + 1):
            here = inside & (place == bin_)
            total = int((among & here).sum())
            found[here] = (known & here).sum() / total if total else 0.0
    return found
