"""The sources of truth side by side, and their disagreement on the same answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from streams.evaluation.cases import first_of_each_task
from streams.evaluation.compare.diff import tally
from streams.evaluation.compare.paired_statistics import Paired
from streams.evaluation.tiers.answers import right_by_source
from streams.evaluation.tiers.attempts import TierAttempt
from streams.evaluation.tiers.estimates import Share, share
from streams.evaluation.tiers.listeners import ListenerTier
from streams.evaluation.tiers.panel_figures import PanelRate
from streams.evaluation.tiers.truth import TruthSource

MAX_EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAccuracy:
    """The share of a tier's intents, or of its delivered answers, that is right by one source.

    `reweighted`: the cases were drawn with known chances, and the share is that of all tasks. Otherwise it is the share
    of the labelled tasks.
    """

    tier: str
    source: TruthSource
    n: int
    value: float | None
    low: float | None
    high: float | None
    reweighted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConflict:
    """The verdicts of two sources on the same answers of a tier, each task once. `pairs` has the first source as A."""

    tier: str
    a: TruthSource
    b: TruthSource
    pairs: Paired
    agree: Share
    examples: tuple[str, ...]


def source_accuracies(
    tier1: ListenerTier | None, attempts: Sequence[TierAttempt], rates: Sequence[PanelRate]
) -> tuple[SourceAccuracy, ...]:
    """Return every source's share by tier: labels first, then panels and judges."""
    found = [_accuracy("listener", one.source, one.right) for one in (tier1.truths if tier1 else ())]
    for tier in ("worker", "reasoner"):
        delivered = [one for one in attempts if one.tier == tier and one.delivered]
        found += [_accuracy(tier, one.source, one.share) for one in right_by_source(delivered)]
        found += [
            SourceAccuracy(
                tier=tier, source=one.source, n=one.cases, value=one.value, low=one.low, high=one.high, reweighted=True
            )
            for one in rates
            if one.tier == tier
        ]
    return tuple(found)


def _accuracy(tier: str, source: TruthSource, one: Share) -> SourceAccuracy:
    return SourceAccuracy(
        tier=tier, source=source, n=one.n, value=one.value, low=one.low, high=one.high, reweighted=False
    )


def source_conflicts(attempts: Iterable[TierAttempt]) -> tuple[SourceConflict, ...]:
    """Compare each two sources on the answers that both know about, those with the most answers first."""
    by_pair: dict[tuple[str, TruthSource, TruthSource], list[TierAttempt]] = {}
    for one in attempts:
        for a, b in combinations(sorted(one.right, key=lambda source: source.name), 2):
            by_pair.setdefault((one.tier, a, b), []).append(one)
    found = [
        conflict(tier, a, b, [(one.right[a], one.right[b], one.event_id) for one in first_of_each_task(some)])
        for (tier, a, b), some in by_pair.items()
    ]
    return tuple(sorted(found, key=lambda one: (one.tier != "worker", -one.pairs.n, one.a.name, one.b.name)))


def conflict(tier: str, a: TruthSource, b: TruthSource, rights: Sequence[tuple[bool, bool, str]]) -> SourceConflict:
    """Sum up (right by a, right by b, event id)."""
    pairs = sum((tally((by_a, by_b)) for by_a, by_b, _ in rights), Paired())
    examples = tuple(event_id for by_a, by_b, event_id in rights if by_a != by_b)[:MAX_EXAMPLES]
    return SourceConflict(
        tier=tier, a=a, b=b, pairs=pairs, agree=share(pairs.both + pairs.neither, pairs.n), examples=examples
    )
