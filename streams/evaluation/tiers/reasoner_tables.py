"""Tier 3 as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from streams.core.dollars import dollars
from streams.evaluation.tiers.estimates import CostPerRight
from streams.evaluation.tiers.evaluation import ReasonerTier
from streams.evaluation.tiers.panel_figures import PanelFigures, VerdictCount
from streams.evaluation.tiers.reasoners import GainGroup, ReasonerGain
from streams.evaluation.tiers.sections import (
    UNKNOWN,
    EvaluationSection,
    EvaluationTable,
    number,
    section,
    with_interval,
)
from streams.evaluation.tiers.truth import TruthSource
from streams.evaluation.tiers.worker_tables import accuracy_table, endings_table

_GROUPS: Final[dict[GainGroup, str]] = {
    "escalated": "not sure, escalated",
    "accepted": "accepted (explored)",
    "all": "all, weighted",
}


def reasoner_section(tier: ReasonerTier) -> EvaluationSection:
    answers = [
        (one.handler, part)
        for one in tier.reasoners
        for part in (one.slices if len(one.slices) > 2 else one.slices[:1])
    ]
    return section(
        "Tier 3: reasoners",
        tuple(_sentences(tier)),
        (
            endings_table("reasoner", answers),
            accuracy_table("reasoner", answers),
            _gains(tier.gains),
            _costs(tier.gains),
            _rates(tier.panels),
            _preferences(tier.panels),
            _verdicts((*tier.panels.verdicts, *tier.other_verdicts)),
        ),
    )


def _sentences(tier: ReasonerTier) -> Iterator[str]:
    if not tier.reasoners:
        yield "No reasoner attempted an event in this time."
    for one in tier.gains:
        if one.group != "all" and (words := _gain_words(one)):
            yield words


def _gain_words(one: ReasonerGain) -> str:
    found, cost = one.difference, one.cost
    whose = "the worker was not sure of" if one.group == "escalated" else "the worker's answer was accepted for"
    if (one.p_value or 0.0) > 0.05 or found.low is None or found.high is None or found.low <= 0 <= found.high:
        return (
            f"On the tasks that {whose}, nothing shows that the reasoner is right more often or less often than the "
            f"worker ({one.source.name}, {one.pairs.n:,} labelled)."
        )
    more = "more" if found.value > 0 else "less"
    price = ""
    if found.value > 0 and cost.value is not None:
        price = f" Each additional right answer costs {dollars(cost.value)}{_cost_interval(cost)}."
    return (
        f"On the tasks that {whose}, the reasoner is right {more} often than the worker, by {_points(one)} points "
        f"({one.source.name}, {one.pairs.n:,} labelled).{price}"
    )


def _points(one: ReasonerGain) -> str:
    ends = sorted(abs(100 * (end or 0.0)) for end in (one.difference.low, one.difference.high))
    return f"{ends[0]:.1f} to {ends[1]:.1f}"


def _cost_interval(cost: CostPerRight) -> str:
    if cost.low is None or cost.high is None:
        return " (too uncertain for an interval)"
    return f" ({dollars(cost.low)}–{dollars(cost.high)})"


def _gains(gains: Sequence[ReasonerGain]) -> EvaluationTable:
    return EvaluationTable(
        title="The reasoner against the worker's attempt, where both answered and a label is known",
        columns=("source", "the worker's answers", "tasks", "both right", "only worker", "only reasoner", "neither",
                 "gain, points", "p"),
        rows=tuple(
            (one.source.name, f"{_GROUPS[one.group]}: {one.answers:,}", number(one.pairs.n), number(one.pairs.both),
             number(one.pairs.only_a), number(one.pairs.only_b), number(one.pairs.neither), _difference(one),
             UNKNOWN if one.p_value is None else f"{one.p_value:.2g}")
            for one in gains
        ),
        numeric=(2, 3, 4, 5, 6, 8),
        note="Gain: how much more often the reasoner is right, in percentage points with a 95 % interval.",
    )  # fmt: skip


def _difference(one: ReasonerGain) -> str:
    low, value, high = (
        f"{100 * (end or 0.0):+.1f}" for end in (one.difference.low, one.difference.value, one.difference.high)
    )
    return f"{value} ({low} to {high})"


def _costs(gains: Sequence[ReasonerGain]) -> EvaluationTable:
    return EvaluationTable(
        title="The cost of a point of quality",
        columns=(
            "source",
            "the worker's answers",
            "tasks",
            "USD to ask the reasoner",
            "USD for each additional right answer",
        ),
        rows=tuple(
            (
                one.source.name,
                _GROUPS[one.group],
                number(one.cost.events),
                dollars(one.cost.mean_usd),
                "no gain" if one.cost.value is None else f"{dollars(one.cost.value)}{_cost_interval(one.cost)}",
            )
            for one in gains
            if one.cost.events
        ),
        numeric=(2, 3),
        note="A point of quality on 1,000 tasks is ten more right answers. The worker's cost is spent either way.",
    )


def _rates(panels: PanelFigures) -> EvaluationTable:
    return EvaluationTable(
        title="Panels: right answers among the delivered, reweighted to all tasks",
        columns=("panel", "by", "tier", "cases", "of tasks", "right (95 % interval)"),
        rows=tuple(
            (one.panel, _by(one.source), one.tier or "all", number(one.cases), number(one.tasks),
             with_interval(one.value, one.low, one.high))
            for one in panels.rates
        ),
        numeric=(3, 4),
    )  # fmt: skip


def _preferences(panels: PanelFigures) -> EvaluationTable:
    return EvaluationTable(
        title="Panels: wins in comparisons, reweighted; a tie is half a win",
        columns=("panel", "by", "question", "compared", "cases", "wins", "ties", "losses", "win rate (95 % interval)"),
        rows=tuple(
            (one.panel, _by(one.source), one.question, f"{one.b} against {one.a}", number(one.cases),
             number(one.wins), number(one.ties), number(one.losses), with_interval(one.value, one.low, one.high))
            for one in panels.preferences
        ),
        numeric=(4, 5, 6, 7),
    )  # fmt: skip


def _by(source: TruthSource) -> str:
    return "people" if source.kind == "panel" else source.name


def _verdicts(verdicts: Sequence[VerdictCount]) -> EvaluationTable:
    return EvaluationTable(
        title="Verdicts by question",
        columns=("panel", "question", "judges", "about", "verdict", "judgements"),
        rows=tuple(
            (one.panel or UNKNOWN, one.question, "people" if one.judges == "person" else "models",
             one.option or UNKNOWN, one.verdict, number(one.judgements))
            for one in verdicts
        ),
        numeric=(5,),
        note="Counts of the judgements as they were given, not reweighted: they are not rates of the stream.",
    )  # fmt: skip
