"""Which of two runs is better: the rules are data, and that the labels are too few to tell is an answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from streams.evaluation.compare.paired_statistics import (
    CERTAINTY,
    DifferenceEstimate,
    Paired,
    difference_of_all,
    labels_needed,
    mcnemar,
    wilson,
)

Quality = Literal["better", "slightly worse", "worse", "as good", "unlabelled", "too few", "too close"]
Cost = Literal["less", "more", "the same", "unclear", "unknown"]
MAX_UNKNOWN = 0.05
"""The share of events of unknown cost from which on nothing is said of the cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """What labels say of the events that are in both runs."""

    aspect: str
    """`answer` or `intent`."""
    events: int
    """Those at stake: for answers, without what both runs ignored."""
    differing: int
    """Events to which the runs gave different answers."""
    alike: Paired
    """The labelled events with equal answers."""
    apart: Paired
    """The labelled events with different answers."""

    @property
    def labelled(self) -> Paired:
        """All labelled events."""
        return self.alike + self.apart

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test."""
        return mcnemar(self.labelled)

    @property
    def difference(self) -> DifferenceEstimate:
        """Over all the events."""
        return difference_of_all(self.apart, self.differing, self.events)

    def bounded(self, margin: float) -> bool:
        """Whether so few answers differ that, whichever are right, the runs are within the margin."""
        return wilson(self.differing, self.events)[1] <= margin

    @property
    def shares(self) -> tuple[float, float] | None:
        """What A and B got right of all the events, equal and different answers weighed as they occur, so that it
        does not matter which were labelled more often; None where either sort occurs and has no label.
        """
        weights = ((self.apart, self.differing), (self.alike, self.events - self.differing))
        if any(events and not pairs.n for pairs, events in weights):
            return None
        parts = [(pairs, events / pairs.n / self.events) for pairs, events in weights if pairs.n]
        right_a = math.fsum(pairs.right_a * weight for pairs, weight in parts)
        return right_a, math.fsum(pairs.right_b * weight for pairs, weight in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostComparison:
    """What the events would cost live, per event in US dollars, where both runs' costs are known."""

    events: int
    known: int
    mean_a: float
    mean_b: float
    difference: DifferenceEstimate


MIN_LABELLED = 10
"""Labelled events with different answers under which the score interval alone proves nothing."""


def _significant(found: Accuracy, _: float) -> bool:
    """The exact test, for the interval is too sure of few discordant pairs."""
    return found.p_value <= 1 - CERTAINTY


def _not_much_worse(found: Accuracy, margin: float) -> bool:
    enough = found.apart.n >= MIN_LABELLED and (found.difference.low or 0) >= -margin
    return enough or found.bounded(margin)


# From the first row of which everything holds.
_QUALITY: Final[tuple[tuple[Quality, tuple[Callable[[Accuracy, float], bool], ...]], ...]] = (
    ("better", (_significant, lambda found, _: (found.difference.low or 0) > 0)),
    ("slightly worse", (_significant, lambda found, _: (found.difference.high or 0) < 0, _not_much_worse)),
    ("worse", (_significant, lambda found, _: (found.difference.high or 0) < 0)),
    ("as good", (_not_much_worse,)),
)
_COST: Final[tuple[tuple[Cost, Callable[[CostComparison], bool]], ...]] = (
    ("unknown", lambda spent: spent.known < (1 - MAX_UNKNOWN) * spent.events or not spent.known),
    ("unclear", lambda spent: spent.difference.low is None or spent.difference.high is None),
    ("the same", lambda spent: spent.difference.low == spent.difference.high == 0),
    ("less", lambda spent: (spent.difference.high or 0) < 0),
    ("more", lambda spent: (spent.difference.low or 0) > 0),
)


def quality_of(accuracy: Accuracy, margin: float) -> Quality:
    """How B's accuracy compares with A's."""
    for quality, rules in _QUALITY:
        if all(holds(accuracy, margin) for holds in rules):
            return quality
    if not accuracy.apart.n:
        return "unlabelled"
    enough = max(MIN_LABELLED, labels_needed(accuracy.apart, accuracy.differing, accuracy.events, margin))
    return "too few" if accuracy.apart.n < enough else "too close"


def cost_of(spending: CostComparison) -> Cost:
    """How B's cost compares with A's."""
    return next((cost for cost, holds in _COST if holds(spending)), "unclear")
