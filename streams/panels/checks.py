"""Cases that check the raters: gold cases, whose right verdict is known, and repeats of cases that they have judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from streams.app.providers import comparison
from streams.audit.grading import grader, markers_of, right
from streams.audit.query import Audit
from streams.core.messages import PanelCase
from streams.evaluation.tiers.truth import source_named
from streams.panels.content import handler_of
from streams.panels.population import Population, PopulationScope, PopulationTask
from streams.panels.rubric import Rubric
from streams.panels.selection import CaseSelection, DrawSettings, balanced_lefts, case_id, case_of_task
from streams.pipeline.load import Pipeline

MAX_LABELLED: Final = 2000
"""The most labelled events to choose gold cases from."""
LAST_UNREPEATED: Final = 3
"""The last cases of a draw are not repeated, because too few others could come between."""
_BY_PEOPLE: Final = ("people", "label")
"""The kinds of sources that may be people: `label` is one whose name does not say."""
_SOURCES: Final = "SELECT DISTINCT source FROM labels WHERE run IN {runs:Array(String)} ORDER BY source"
_LABELLED: Final = """
    SELECT outcome.event_id AS event_id, outcome.tier AS tier, outcome.handler AS handler, outcome.answer AS answer,
        truth.label AS label
    FROM outcomes AS outcome
    INNER JOIN
    (
        SELECT event_id, argMax(labels.label, (labelled_at, source)) AS label FROM labels
        WHERE run IN {runs:Array(String)} AND aspect = 'answer' AND labels.label != ''
            AND source IN {sources:Array(String)}
        GROUP BY event_id
    ) AS truth ON truth.event_id = outcome.event_id
    WHERE outcome.run = {run:String} AND outcome.state = 'answered' AND outcome.answer IS NOT NULL
        AND outcome.event_time >= {since:DateTime64(6, 'UTC')} AND outcome.event_time < {until:DateTime64(6, 'UTC')}
    ORDER BY sipHash64(event_id, {seed:Int64}), event_id
    LIMIT {most:UInt32}
"""


@dataclass(frozen=True, slots=True)
class KnownTruth:
    """An event whose label says if its delivered answer is right."""

    event_id: str
    right: bool


def read_truths(audit: Audit, pipeline: Pipeline, scope: PopulationScope, seed: int) -> list[KnownTruth]:
    """Return events with a label on the answer, in an order that depends on the seed alone, at most MAX_LABELLED.

    Left out are labels of systems and models by their source's name, and those that cannot be compared with the answer.
    """
    runs = sorted({"live", scope.run})
    sources = [row[0] for row in audit.query(_SOURCES, {"runs": runs}).rows if source_named(row[0]).kind in _BY_PEOPLE]
    asked = {"run": scope.run, "runs": runs, "sources": sources, "since": scope.since, "until": scope.until}
    markers, found = markers_of(pipeline), []
    for row in audit.query(_LABELLED, asked | {"seed": seed, "most": MAX_LABELLED}).records():
        handler = handler_of(pipeline, row["tier"], row["handler"])
        if handler is not None:
            grade = grader(handler, comparison(handler.correct), markers)
            is_right, _ = right(grade, row["answer"], row["label"])
            if is_right is not None:
                found.append(KnownTruth(row["event_id"], is_right))
    return found


def gold_cases(
    population: Population,
    selection: CaseSelection,
    truths: Sequence[KnownTruth],
    rubric: Rubric,
    settings: DrawSettings,
) -> list[PanelCase]:
    """Return the rubric's share of gold cases, as far as there are truths about tasks that people have not drawn.

    Half of them have wrong answers if there are enough, because raters who approve of everything must be found out.
    """
    question = rubric.right_question
    if question is None:
        return []
    drawn = {case.task for case in selection.sample}
    tasks = {task.event_id: task for task in population.tasks if task.task not in drawn}
    known = [one for one in truths if one.event_id in tasks]
    chosen = _half_wrong(known, round(rubric.gold * len(selection.sample)))
    other = next(choice.key for choice in question.choices if choice.key != question.means_right)
    expected = [question.means_right if one.right else other for one in chosen]
    return [
        replace(case, expected=verdict)
        for case, verdict in zip(_as_cases([tasks[one.event_id] for one in chosen], settings), expected, strict=True)
    ]


def _half_wrong(truths: Sequence[KnownTruth], count: int) -> list[KnownTruth]:
    """Return `count` truths, half of them wrong as far as there are some, in the given order of each kind."""
    wrong, fine = ([one for one in truths if one.right is kind] for kind in (False, True))
    of_wrong = min(len(wrong), max(count // 2, count - len(fine)))
    return [*wrong[:of_wrong], *fine[: count - of_wrong]]


def _as_cases(tasks: Sequence[PopulationTask], settings: DrawSettings) -> list[PanelCase]:
    lefts = balanced_lefts(tasks, settings.generator("gold sides"))
    return [case_of_task(task, settings, "gold", left) for task, left in zip(tasks, lefts, strict=True)]


def repeat_cases(selection: CaseSelection, rubric: Rubric, settings: DrawSettings) -> list[PanelCase]:
    """Return the rubric's share of repeats, each of another drawn case.

    The sides are exchanged, so that a rater who always prefers one side is not consistent.
    """
    drawn = selection.sample[: max(0, len(selection.sample) - LAST_UNREPEATED)]
    count = min(len(drawn), round(rubric.repeats * len(selection.sample)))
    chosen = settings.generator("repeats").choice(len(drawn), count, replace=False) if count else ()
    return [_repeat(drawn[place], settings) for place in sorted(int(one) for one in chosen)]


def _repeat(case: PanelCase, settings: DrawSettings) -> PanelCase:
    right_side = next((one.option for one in case.answers if one.option != case.left), "")
    return replace(
        case,
        case_id=case_id(settings, "repeat", case.run, case.event_id),
        purpose="repeat",
        left=right_side if case.left else "",
        reasons=(),
        position=0,
        weight=0.0,
        probability=0.0,
        judge_probability=0.0,
        repeats=case.case_id,
    )
