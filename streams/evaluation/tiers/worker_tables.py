"""Tier 2 as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streams.evaluation.tiers.answers import AnswerQuality, SourceShare
from streams.evaluation.tiers.listener_tables import confidence_cells
from streams.evaluation.tiers.sections import (
    ALL,
    UNKNOWN,
    EvaluationSection,
    EvaluationTable,
    counted,
    number,
    section,
    shown,
)
from streams.evaluation.tiers.workers import RefusalQuality, WorkerQuality, WorkerSlice


def worker_section(workers: Sequence[WorkerQuality]) -> EvaluationSection:
    slices = [(one.handler, part) for one in workers for part in _slices(one)]
    answers = [(name, one.answers) for name, one in slices]
    return section(
        "Tier 2: workers",
        () if workers else ("No worker attempted an event in this time.",),
        (
            endings_table("worker", answers),
            accuracy_table("worker", answers),
            _agreement(slices),
            _refusals(slices),
            _confidence(workers),
        ),
    )


def _slices(worker: WorkerQuality) -> Iterator[WorkerSlice]:
    yield worker.whole
    if len(worker.intents) > 1:
        yield from worker.intents


def endings_table(tier: str, answers: Sequence[tuple[str, AnswerQuality]]) -> EvaluationTable:
    """Return how attempts ended, by handler and intent, in shares of the tasks."""
    return EvaluationTable(
        title=f"How attempts of each {tier} ended",
        columns=(tier, "intent", "tasks", "delivered", "refused", "not valid", "failed"),
        rows=tuple(
            (name, one.name or ALL, number(one.tasks), shown(one.delivered), shown(one.refused),
             shown(one.invalid), shown(one.failed))
            for name, one in answers
        ),
        numeric=(2,),
        note="Shares of the tasks, with 95 % intervals. Delivered: the answer left the stream. Not valid: the reply "
        "breaks the handler's schema or contract.",
    )  # fmt: skip


def accuracy_table(tier: str, answers: Sequence[tuple[str, AnswerQuality]]) -> EvaluationTable:
    """Return the shares of right answers, by handler, intent and source of labels."""
    rows = [
        (name, one.name or ALL, right.source.name, counted(right.share), _of(one, right.source.name))
        for name, one in answers
        for right in one.right
    ]
    return EvaluationTable(
        title=f"Right answers of each {tier}, by source of labels",
        columns=(tier, "intent", "source", "right of all answers", "right of the delivered"),
        rows=tuple(rows),
    )


def _of(one: AnswerQuality, source: str) -> str:
    return next((counted(right.share) for right in one.delivered_right if right.source.name == source), UNKNOWN)


def _agreement(slices: Sequence[tuple[str, WorkerSlice]]) -> EvaluationTable:
    return EvaluationTable(
        title="Agreement with the reasoner where both answered",
        columns=("worker", "intent", "escalated answers", "accepted answers (explored)", "all answers, weighted"),
        rows=tuple(
            (name, one.answers.name or ALL, counted(found.escalated), counted(found.accepted), shown(found.all))
            for name, one in slices
            for found in [one.agreement]
            if found.escalated.n or found.accepted.n
        ),
        note="The reasoner sees accepted answers only where `explore` is set. All answers: both groups, each weighted "
        "by its size. Agreement is not accuracy.",
    )


def _refusals(slices: Sequence[tuple[str, WorkerSlice]]) -> EvaluationTable:
    return EvaluationTable(
        title="Refusals: needless and missed",
        columns=("worker", "intent", "refused", "reasoner answered", "by", "rightly", "accepted but wrong"),
        rows=tuple(
            (name, one.answers.name or ALL, number(one.refusals.refused), shown(one.refusals.needless), *cells)
            for name, one in slices
            for cells in _refusals_by_source(one.refusals)
        ),
        numeric=(2,),
        note="A refusal that the reasoner answered may have been needless. An accepted answer that is wrong by its "
        "label should have been refused or escalated.",
    )


def _refusals_by_source(found: RefusalQuality) -> Iterator[tuple[str, str, str]]:
    """Yield each source, the reasoner's right answers to refused tasks, and the wrong answers that were accepted."""
    rightly, missed = ({one.source.name: counted(one.share) for one in some} for some in _by_labels(found))
    for name in sorted({*rightly, *missed}) or [UNKNOWN] * bool(found.refused):
        yield name, rightly.get(name, UNKNOWN), missed.get(name, UNKNOWN)


def _by_labels(found: RefusalQuality) -> tuple[Sequence[SourceShare], Sequence[SourceShare]]:
    return found.answered_right, found.missed


def _confidence(workers: Sequence[WorkerQuality]) -> EvaluationTable:
    return EvaluationTable(
        title="Calibration of the workers' confidence",
        columns=("worker", "source", "tasks", "mean confidence", "right", "calibration error (95 % interval)"),
        rows=tuple((worker.handler, *confidence_cells(one)) for worker in workers for one in worker.confidence),
        numeric=(2, 3, 4),
    )
