"""Decide which of two runs is better. The rules are data, and "too few labels" is a valid answer."""

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
"""The share of events of unknown cost above which the cost counts as unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """The accuracy of both runs on their common events, by the labels.

    `aspect` is `answer` or `intent`. `events` are those at stake: for answers, without those that both runs ignored.
    `differing` of them have different answers. `alike` and `apart` are the labelled events with equal and different
    answers.
    """

    aspect: str
    events: int
    differing: int
    alike: Paired
    apart: Paired

    @property
    def labelled(self) -> Paired:
        return self.alike + self.apart

    @property
    def p_value(self) -> float:
        return mcnemar(self.labelled)

    @property
    def difference(self) -> DifferenceEstimate:
        """The difference of the shares right, over all events."""
        return difference_of_all(self.apart, self.differing, self.events)

    def bounded(self, margin: float) -> bool:
        """True if so few answers differ that the runs are within the margin regardless of the labels."""
        return wilson(self.differing, self.events)[1] <= margin

    @property
    def shares(self) -> tuple[float, float] | None:
        """The shares of all events that A and B got right; None if equal, or different, answers occur without a label.

        Equal and different answers are weighted by their frequency, so it does not matter which have more labels.
        """
        weights = ((self.apart, self.differing), (self.alike, self.events - self.differing))
        if any(events and not pairs.n for pairs, events in weights):
            return None
        parts = [(pairs, events / pairs.n / self.events) for pairs, events in weights if pairs.n]
        right_a = math.fsum(pairs.right_a * weight for pairs, weight in parts)
        return right_a, math.fsum(pairs.right_b * weight for pairs, weight in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostComparison:
    """The mean cost of an event if live, in US dollars, over the `known` events with a known cost in both runs."""

    events: int
    known: int
    mean_a: float
    mean_b: float
    difference: DifferenceEstimate


MIN_LABELLED = 10
"""With fewer labelled events with different answers the score interval alone proves nothing."""


def _significant(found: Accuracy, _: float) -> bool:
    """True by the exact test, because the interval is too narrow with few discordant pairs."""
    return found.p_value <= 1 - CERTAINTY


def _not_much_worse(found: Accuracy, margin: float) -> bool:
    enough = found.apart.n >= MIN_LABELLED and (found.difference.low or 0) >= -margin
    return enough or found.bounded(margin)


# The first row whose conditions all hold applies.
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
    for quality, rules in _QUALITY:
        if all(holds(accuracy, margin) for holds in rules):
            return quality
    if not accuracy.apart.n:
        return "unlabelled"
    enough = max(MIN_LABELLED, labels_needed(accuracy.apart, accuracy.differing, accuracy.events, margin))
    return "too few" if accuracy.apart.n < enough else "too close"


def cost_of(spending: CostComparison) -> Cost:
    return next((cost for cost, holds in _COST if holds(spending)), "unclear")
