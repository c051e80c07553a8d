"""The evaluation as sections of tables, which the terminal and the page show alike."""

from __future__ import annotations

from streams.core.time_range import EARLIEST, LATEST
from streams.evaluation.tiers.evaluation import TierEvaluation
from streams.evaluation.tiers.listener_tables import listener_section
from streams.evaluation.tiers.reasoner_tables import reasoner_section
from streams.evaluation.tiers.sections import (
    KIND_WORDS,
    EvaluationSection,
    EvaluationTable,
    number,
    section,
    shown,
    with_interval,
)
from streams.evaluation.tiers.worker_tables import worker_section


def sections(made: TierEvaluation) -> list[EvaluationSection]:
    """Return the sources of truth, then each tier that was asked for."""
    found = [section("Sources of truth", (), (_accuracies(made), _conflicts(made)))]
    if made.listener is not None:
        found.append(listener_section(made.listener))
    if made.workers is not None:
        found.append(worker_section(made.workers))
    if made.reasoner is not None:
        found.append(reasoner_section(made.reasoner))
    return [one for one in found if one.tables or one.sentences]


def headline(made: TierEvaluation) -> str:
    """Return the run, its time, and the numbers of its tasks and events."""
    ends = [
        f"{word} {time:%Y-%m-%d %H:%M} UTC"
        for word, time, open_end in (("from", made.since, EARLIEST), ("before", made.until, LATEST))
        if time != open_end
    ]
    when = f" {' and '.join(ends)}" if ends else ""
    return f"Run {made.run}{when}: {made.totals.tasks:,} tasks, {made.totals.events:,} events."


def _accuracies(made: TierEvaluation) -> EvaluationTable:
    return EvaluationTable(
        title="Right by each source",
        columns=("tier", "source", "kind", "tasks", "right (95 % interval)"),
        rows=tuple(
            (
                one.tier,
                one.source.name,
                KIND_WORDS[one.source.kind],
                number(one.n),
                with_interval(one.value, one.low, one.high),
            )
            for one in made.accuracies
        ),
        numeric=(3,),
        note="Of listeners the intents, of workers and reasoners the delivered answers. Shares of panels and judges "
        "are reweighted to all tasks of the panel's time; the others are those of the labelled tasks.",
    )


def _conflicts(made: TierEvaluation) -> EvaluationTable:
    return EvaluationTable(
        title="Two sources on the same answers",
        columns=("tier", "A", "B", "tasks", "agree (95 % interval)", "only A: right", "only B: right", "such as"),
        rows=tuple(
            (
                one.tier,
                one.a.name,
                one.b.name,
                number(one.pairs.n),
                shown(one.agree),
                number(one.pairs.only_a),
                number(one.pairs.only_b),
                ", ".join(one.examples[:2]),
            )
            for one in made.conflicts
        ),
        numeric=(3, 5, 6),
        note="Where two sources disagree, at least one of them is wrong about the answer: look at these events first.",
    )
