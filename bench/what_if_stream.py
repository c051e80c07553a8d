"""Streams of which everything is known, and what a pipeline would have recorded of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.core.messages import Attempt
from streams.evaluation.cases import LabelsFrom
from streams.evaluation.what_if.history import PastEvent


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Every event with its score, both answers' rightness and costs, whether asked or not. Arrays have shape (n,)."""

    score: NDArray[np.float64]
    intent: NDArray[np.int64]
    worker_right: NDArray[np.bool_]
    reasoner_right: NDArray[np.bool_]
    agrees: NDArray[np.bool_]
    worker_usd: NDArray[np.float64]
    reasoner_usd: NDArray[np.float64]

    def truth(self, threshold: float, explore: float, labels: LabelsFrom) -> dict[str, float]:
        """Accuracy and cost an event of a threshold, over all events."""
        accepted = self.score >= threshold
        people = labels == "people"
        own, theirs = (self.worker_right, self.reasoner_right) if people else (self.agrees, np.ones_like(accepted))
        asked = np.where(accepted, explore, 1.0)
        return {
            "accuracy": float(np.where(accepted, own, theirs).mean()),
            "cost": float((self.worker_usd + asked * self.reasoner_usd).mean()),
        }

    def drawn(self, count: int, rng: np.random.Generator) -> World:
        """Events drawn from this world with replacement, so that this world's truth is theirs."""
        places = rng.integers(0, len(self.score), count)
        return World(*(getattr(self, name)[places] for name in World.__slots__))


def world(count: int, seed: int = 0, *, odd: bool = False) -> World:
    """A made-up stream. In an odd one no line through the score predicts anything."""
    rng = np.random.default_rng(seed)
    score = rng.beta(3, 1.3, count)
    intent = rng.integers(0, 3, count)
    hard = rng.random(count)
    chance = 0.25 + 0.7 * score - 0.1 * (intent == 2)
    if odd:
        chance = 0.6 + 0.3 * np.sin(23 * score)
    worker = rng.random(count) < chance
    reasoner = rng.random(count) < 0.97 - 0.15 * hard
    alike = np.where(worker & reasoner, True, np.where(worker | reasoner, False, rng.random(count) < 0.3))
    cost = 0.02 * np.exp(rng.normal(0, 0.5, count) + 0.5 * (intent == 1) - 0.5 * score)
    return World(score, intent, worker, reasoner, alike.astype(np.bool_), np.full(count, 0.001), cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """The way a stream was run and labelled."""

    threshold: float = 0.7
    explore: float = 0.05
    labels: LabelsFrom = "reasoner"
    labelled: float = 1.0


def recorded(of: World, how: Logging, rng: np.random.Generator, worker: str = "answer") -> list[PastEvent]:
    """Return the rows that the audit would hold of a stream."""
    n = len(of.score)
    accepted = of.score >= how.threshold
    explored = accepted & (rng.random(n) < how.explore)
    known, told = ~accepted | explored, rng.random(n) < how.labelled
    people = how.labels == "people"
    right, right_seen = (of.worker_right, told) if people else (of.agrees, known)
    theirs, theirs_seen = (of.reasoner_right, told & known) if people else (known, known)
    kept = zip(_where(right_seen, right), _where(theirs_seen, theirs), _where(known, of.reasoner_usd), strict=True)
    rows = zip(of.score.tolist(), of.intent.tolist(), accepted.tolist(), explored.tolist(), kept, strict=True)
    return [
        PastEvent(
            event_id=f"e{number}",
            intent=f"intent-{intent}",
            action="work",
            handler=worker,
            pipeline="p",
            attempt=Attempt(tier="worker", handler=worker, status="answered", raw_confidence=score, call_id="c"),
            decision="accepted" if taken else "escalated",
            propensity=how.explore if taken and how.explore else None,
            explored=asked,
            reasoner="think" if asked or not taken else "",
            worker_right=one,
            reasoner_right=other,
            worker_usd=float(of.worker_usd[number]),
            reasoner_usd=usd,
        )
        for number, (score, intent, taken, asked, (one, other, usd)) in enumerate(rows)
    ]


def _where(seen: NDArray[np.bool_], values: NDArray[Any]) -> list[Any]:
    return [value if one else None for one, value in zip(seen.tolist(), values.tolist(), strict=True)]
