"""The part of a judge's choices that follows an answer's place instead of its content."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streams.core.messages import Judgement
from streams.panels.evidence import UNDECIDED
from streams.panels.judge.verdicts import SWAPPED


@dataclass(frozen=True, slots=True)
class BothOrders:
    """Pairs that a judge was shown in both orders, by what it chose each time. Each pair and question counts once."""

    pairs: int
    alike: int
    """The same option, tie or `both bad` in both orders."""
    first: int
    """The answer that was first, both times."""
    second: int


def both_orders(judgements: Iterable[Judgement], judge: str) -> BothOrders:
    """Compare what a judge chose in the two orders of each pair."""
    chosen: dict[tuple[str, str], dict[str, Judgement]] = {}
    for one in judgements:
        if one.judge in (judge, judge + SWAPPED) and one.kind == "rating" and not one.option:
            chosen.setdefault((one.case_id, one.question), {})[one.judge] = one
    pairs = [tuple(by_judge.values()) for by_judge in chosen.values() if len(by_judge) == 2]
    alike = sum(one.verdict == other.verdict for one, other in pairs)
    first = sum(one.verdict == one.left and other.verdict == other.left for one, other in pairs)
    second = sum(_second(one) and _second(other) for one, other in pairs)
    return BothOrders(len(pairs), alike, first, second)


def _second(one: Judgement) -> bool:
    return one.verdict not in (*UNDECIDED, one.left)
