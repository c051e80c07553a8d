"""The conclusion about two runs, in one plain sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from streams.core.dollars import dollars
from streams.evaluation.compare.paired_statistics import events_needed, labels_needed
from streams.evaluation.compare.preference import (
    MIN_LABELLED,
    Accuracy,
    Cost,
    CostComparison,
    Quality,
    cost_of,
    quality_of,
)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """B's quality and cost compared with A's, and the sentence that states both."""

    quality: Quality
    cost: Cost
    sentence: str


def conclude(accuracy: Accuracy, spending: CostComparison, margin: float) -> Conclusion:
    """Conclude whether B's accuracy is within `margin` (a share) of A's, and compare the costs.

    One interval answers both whether B is better and whether it is not worse by the margin, without a correction:
    Morikawa and Yoshida 1995, "A useful testing strategy in phase III trials".
    """
    quality, cost = quality_of(accuracy, margin), cost_of(spending)
    found, spent = _QUALITY_WORDS[quality](accuracy, margin), _COST_WORDS[cost](spending)
    if cost not in _STATED:
        sentence = f"{found}. {spent}."
    elif quality in _SETTLED:
        sentence = f"{found} and {spent}."
    else:
        sentence = f"{found}. B {spent}."
    return Conclusion(quality, cost, sentence)


_SETTLED: Final = ("better", "slightly worse", "worse", "as good")
_STATED: Final = ("less", "more", "the same")


def _better(accuracy: Accuracy, _: float) -> str:
    return f"B is better than A by {_span(accuracy)} points ({_basis(accuracy)})"


def _slightly_worse(accuracy: Accuracy, margin: float) -> str:
    return f"B is worse than A, but by less than {_points(margin)} ({_span(accuracy)}; {_basis(accuracy)})"


def _worse(accuracy: Accuracy, _: float) -> str:
    return f"B is worse than A by {_span(accuracy)} points ({_basis(accuracy)})"


def _as_good(accuracy: Accuracy, margin: float) -> str:
    if not accuracy.bounded(margin):
        return f"B is as good as A within {_points(margin)} ({_ends(accuracy)}; {_basis(accuracy)})"
    differing = f"{accuracy.differing:,} of {accuracy.events:,} {accuracy.aspect}s differ"
    return f"B is as good as A within {_points(margin)}, regardless of the labels (only {differing}),"


def _unlabelled(accuracy: Accuracy, margin: float) -> str:
    if not accuracy.differing:
        return (
            f"No {accuracy.aspect} differs, but {accuracy.events:,} events are too few to rule out a difference of "
            f"{_points(margin)}; about {_round(events_needed(margin)):,} are needed"
        )
    return (
        f"It is unknown which is right more often: of {accuracy.differing:,} events with different "
        f"{accuracy.aspect}s none is labelled{_missing(accuracy, margin)}"
    )


def _too_few(accuracy: Accuracy, margin: float) -> str:
    return (
        f"Too few labelled events to say which is right more often: of {accuracy.differing:,} with different "
        f"{accuracy.aspect}s {accuracy.apart.n:,} are labelled{_missing(accuracy, margin)}"
    )


def _too_close(accuracy: Accuracy, margin: float) -> str:
    return (
        f"Too close to say whether B is as good as A within {_points(margin)}: it lies {_ends(accuracy)} points from "
        f"A ({_basis(accuracy)})"
    )


def _missing(accuracy: Accuracy, margin: float) -> str:
    """State the labels needed, or the events if there are fewer different answers than that."""
    wanted = max(MIN_LABELLED, labels_needed(accuracy.apart, accuracy.differing, accuracy.events, margin))
    if wanted <= accuracy.differing:
        return f", and about {_round(wanted):,} are needed to see a difference of {_points(margin)}"
    events = math.ceil(wanted * accuracy.events / max(1, accuracy.differing))
    return f", and a difference of {_points(margin)} takes about {_round(events):,} events in both runs"


def _round(number: int) -> int:
    unit = int(10 ** max(0, len(str(number)) - 2))
    return -(-number // unit) * unit


def _basis(accuracy: Accuracy) -> str:
    return f"{accuracy.labelled.n:,} labelled " + ("events" if accuracy.aspect == "answer" else f"{accuracy.aspect}s")


def _ends(accuracy: Accuracy) -> str:
    return " to ".join(f"{end:+{form}}" for end, form in _shown(accuracy))


def _span(accuracy: Accuracy) -> str:
    return " to ".join(sorted((f"{abs(end):{form}}" for end, form in _shown(accuracy)), key=float))


def _shown(accuracy: Accuracy) -> list[tuple[float, str]]:
    """Return both ends in points with their format: to a tenth, or to two digits if both are under one."""
    interval = accuracy.difference
    ends = [100 * (interval.low or 0), 100 * (interval.high or 0)]
    if max(map(abs, ends)) < 1:
        return [(end, ".2g") for end in ends]
    return [(round(end, 1) + 0.0, ".1f") for end in ends]  # + 0.0 makes -0.0 plain 0


def _points(margin: float) -> str:
    return f"{100 * margin:g} point" + ("" if margin == 0.01 else "s")


_QUALITY_WORDS: Final[dict[Quality, Callable[[Accuracy, float], str]]] = {
    "better": _better,
    "slightly worse": _slightly_worse,
    "worse": _worse,
    "as good": _as_good,
    "unlabelled": _unlabelled,
    "too few": _too_few,
    "too close": _too_close,
}


def _compared(spending: CostComparison) -> str:
    word = "less" if spending.difference.value < 0 else "more"
    if spending.mean_a <= 0:
        return f"costs {dollars(spending.mean_b)} an event, where A costs nothing"
    return f"costs {percent(abs(spending.difference.value) / spending.mean_a)} {word}"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


_COST_WORDS: Final[dict[Cost, Callable[[CostComparison], str]]] = {
    "less": _compared,
    "more": _compared,
    "the same": lambda _: "costs the same",
    "unclear": lambda _: "It is unclear whether B costs less",
    "unknown": lambda spent: f"The cost in both runs is known for only {spent.known:,} of {spent.events:,} events",
}
