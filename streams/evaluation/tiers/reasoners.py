"""Tier 3: each reasoner's answers, their gain over the worker's attempts at the same events, and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from streams.evaluation.compare.diff import tally
from streams.evaluation.compare.paired_statistics import DifferenceEstimate, Paired, mcnemar
from streams.evaluation.tiers.answers import AnswerQuality, qualities, sources_of
from streams.evaluation.tiers.attempts import TierAttempt, TieredEvent
from streams.evaluation.tiers.estimates import CostPerRight, GainStratum, cost_per_right, difference_of_strata
from streams.evaluation.tiers.truth import TruthSource
from streams.evaluation.tiers.workers import of_exploring_pipelines, strata_of, workers_of

GainGroup = Literal["escalated", "accepted", "all"]
"""`escalated`: answers of which the worker was not sure. `accepted`: delivered ones, of which a share was explored."""
_GROUPS: Final[tuple[GainGroup, ...]] = ("escalated", "accepted", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonerQuality:
    """One reasoner: in all, then by intent."""

    handler: str
    versions: int
    slices: tuple[AnswerQuality, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonerGain:
    """The reasoner (B) compared with the worker (A) on the tasks that both answered, by one source of labels.

    `answers` is the number of the group's tasks, `pairs` counts those with a label. `difference` and `cost` are
    weighted to all answers of the group. The cost is that of asking the reasoner.
    """

    source: TruthSource
    group: GainGroup
    answers: int
    pairs: Paired
    difference: DifferenceEstimate
    p_value: float | None
    """Of McNemar's exact test; None over all answers, whose groups were observed with different chances."""
    cost: CostPerRight


def reasoner_qualities(attempts: Sequence[TierAttempt]) -> tuple[ReasonerQuality, ...]:
    """Return the quality of each reasoner, the one with the most events first."""
    found: dict[str, list[TierAttempt]] = {}
    for one in attempts:
        found.setdefault(one.handler, []).append(one)
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(
        ReasonerQuality(handler=name, versions=len({one.handler_version for one in some}), slices=qualities(some))
        for name, some in ordered
    )


def reasoners_of(events: Sequence[TieredEvent]) -> list[TierAttempt]:
    return [one.reasoner for one in events if one.reasoner is not None]


def reasoner_gains(events: Sequence[TieredEvent]) -> tuple[ReasonerGain, ...]:
    """Return what the reasoner gains over the worker, by source and group; without the groups that have no pair."""
    sources = sources_of(workers_of([one for one in events if one.reasoner is not None]))
    made = (_gain(events, source, group) for source in sources for group in _GROUPS)
    return tuple(one for one in made if one is not None)


def _gain(events: Sequence[TieredEvent], source: TruthSource, group: GainGroup) -> ReasonerGain | None:
    strata = strata_of(of_exploring_pipelines(events) if group == "all" else events)
    wanted = {key: some for key, some in strata.items() if group == "all" or key[0] == (group == "accepted")}
    counted = [(len(some), _pairs(some, source)) for some in wanted.values()]
    pairs = sum((one for _, one in counted), Paired())
    # All answers are covered only if both groups are: otherwise the figure would be that of one group alone.
    groups = {key[0] for key, (_, one) in zip(wanted, counted, strict=True) if one.n}
    if not pairs.n or (group == "all" and len(groups) < 2):
        return None
    gained = difference_of_strata(counted)
    return ReasonerGain(
        source=source,
        group=group,
        answers=sum(size for size, _ in counted),
        pairs=pairs,
        difference=gained,
        p_value=None if group == "all" else mcnemar(pairs),
        cost=_certain(cost_per_right([_costs(some, source) for some in wanted.values()]), gained),
    )


def _certain(cost: CostPerRight, gained: DifferenceEstimate) -> CostPerRight:
    """Leave out the cost's interval if the gain may be nothing by its own interval, which is the better one."""
    return cost if (gained.low or 0.0) > 0 else replace(cost, low=None, high=None)


def _pairs(events: Sequence[TieredEvent], source: TruthSource) -> Paired:
    return sum((tally(rights) for one in events if (rights := _rights(one, source)) is not None), Paired())


def _rights(one: TieredEvent, source: TruthSource) -> tuple[bool, bool] | None:
    """Return whether the worker and the reasoner are right; None unless both answered and the source knows."""
    if one.worker is None or one.reasoner is None or source not in one.worker.right or source not in one.reasoner.right:
        return None
    return one.worker.right[source], one.reasoner.right[source]


def _costs(events: Sequence[TieredEvent], source: TruthSource) -> GainStratum:
    known = [
        (reasoned - worked, one.reasoner.usd)
        for one in events
        if one.reasoner is not None and one.reasoner.usd is not None
        if (rights := _rights(one, source)) is not None
        for worked, reasoned in [rights]
    ]
    gains, usd = (np.array([row[place] for row in known], dtype=np.float64) for place in (0, 1))
    return GainStratum(len(events), gains, usd)
