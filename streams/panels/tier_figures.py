"""The figures of a run's panels for the evaluation of its tiers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from streams.core.messages import Judgement
from streams.evaluation.tiers.panel_figures import PanelFigures, PanelPreference, PanelRate, VerdictCount
from streams.evaluation.tiers.truth import AnswerValue, TruthSource, source_named
from streams.panels.estimation.rates import RateInterval, weighted_rate
from streams.panels.evidence import DELIVERED, CaseValue, PanelEvidence, case_values, delivered_answer, read_panel
from streams.panels.rubric import Question

if TYPE_CHECKING:
    from streams.audit.query import Audit

_PANELS: Final = """
    SELECT panel FROM panels
    WHERE run = {run:String} AND until > {since:DateTime64(6, 'UTC')}
        AND coalesce(since, toDateTime64(0, 6, 'UTC')) < {until:DateTime64(6, 'UTC')}
    ORDER BY until, panel
"""


def read_panel_figures(audit: Audit, run: str, since: datetime, until: datetime) -> PanelFigures:
    """Read the panels whose population reaches into a time, oldest first, and sum up each."""
    names = [row[0] for row in audit.query(_PANELS, {"run": run, "since": since, "until": until}).rows]
    return panel_figures([read_panel(audit, name) for name in names])


def panel_figures(panels: Sequence[PanelEvidence]) -> PanelFigures:
    """Sum up panels: people and each model by themselves."""
    return PanelFigures(
        answers=tuple(one for panel in panels for one in _answers(panel)),
        rates=tuple(one for panel in panels for one in _rates(panel)),
        preferences=tuple(one for panel in panels for one in _preferences(panel)),
        verdicts=tuple(one for panel in panels for one in _verdicts(panel)),
    )


def _judges(evidence: PanelEvidence) -> list[tuple[TruthSource, str]]:
    """Return the people as one source, then each model, with the name that `case_values` takes."""
    models = sorted({one.judge for one in evidence.judgements if one.judge_kind == "model"})
    people = source_named(f"panel:{evidence.panel.panel}"), ""
    return [people, *((source_named(f"judge:{model}"), model) for model in models)]


def _answers(evidence: PanelEvidence) -> Iterator[AnswerValue]:
    question = evidence.rubric.right_question
    if question is None:
        return
    for source, judge in _judges(evidence):
        for option in evidence.panel.options:
            for one in case_values(evidence, question, option, judge=judge):
                answer = next(answer for answer in one.case.answers if answer.option == option)
                if one.complete and one.value is not None:
                    yield AnswerValue(source=source, call_id=answer.call_id, wrong=one.value)


def _rates(evidence: PanelEvidence) -> Iterator[PanelRate]:
    question = evidence.rubric.right_question
    if question is None:
        return
    for source, judge in _judges(evidence):
        known = _known(case_values(evidence, question, DELIVERED, judge=judge))
        for tier in ("", "worker", "reasoner"):
            own = [one for one in known if not tier or _tier(one, evidence) == tier]
            if own:
                yield _rate(evidence, source, tier, own, by_model=bool(judge))


def _known(values: Sequence[CaseValue]) -> list[CaseValue]:
    return [one for one in values if one.complete and one.value is not None]


def _tier(one: CaseValue, evidence: PanelEvidence) -> str:
    answer = delivered_answer(one.case, evidence.panel)
    return answer.tier if answer is not None else ""


def _rate(
    evidence: PanelEvidence, source: TruthSource, tier: str, known: Sequence[CaseValue], *, by_model: bool
) -> PanelRate:
    strata = [one for one in evidence.panel.population if not tier or one.tier == tier]
    tasks = sum(one.tasks for one in strata)
    wrong = weighted_rate(
        np.array([one.value for one in known]),
        _probabilities(known, by_model=by_model),
        np.array([one.case.prediction for one in known]),
        tasks=tasks,
        predicted=sum(one.prediction for one in strata),
    )
    return PanelRate(
        panel=evidence.panel.panel,
        source=source,
        tier=tier,
        tasks=tasks,
        since=evidence.panel.since,
        until=evidence.panel.until,
        cases=len(known),
        value=None if wrong.value is None else 1 - wrong.value,
        low=1 - wrong.high,
        high=1 - wrong.low,
    )


def _probabilities(known: Sequence[CaseValue], *, by_model: bool) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the chances with which the cases were drawn, shape (cases,)."""
    return np.array([one.case.judge_probability if by_model else one.case.probability for one in known])


def _preferences(evidence: PanelEvidence) -> Iterator[PanelPreference]:
    if len(evidence.panel.options) != 2:
        return
    for question in evidence.rubric.questions:
        if question.type == "pick":
            for source, judge in _judges(evidence):
                yield from _preference(evidence, question, source, judge)


def _preference(
    evidence: PanelEvidence, question: Question, source: TruthSource, judge: str
) -> Iterator[PanelPreference]:
    a, b = evidence.panel.options
    known = _known(case_values(evidence, question, b, judge=judge))
    if not known:
        return
    values = np.array([one.value for one in known])
    found: RateInterval = weighted_rate(
        values, _probabilities(known, by_model=bool(judge)), np.zeros(len(known)), tasks=len(known), predicted=0.0
    )
    yield PanelPreference(
        panel=evidence.panel.panel,
        source=source,
        question=question.name,
        a=a,
        b=b,
        cases=len(known),
        wins=int((values > 0.5).sum()),
        ties=int((values == 0.5).sum()),
        losses=int((values < 0.5).sum()),
        value=found.value,
        low=found.low,
        high=found.high,
    )


def _verdicts(evidence: PanelEvidence) -> Iterator[VerdictCount]:
    """Count the ratings of drawn cases; adjudications, gold cases and repeats are left out."""
    drawn = {case.case_id for case in evidence.cases if case.purpose in ("sample", "judge")}
    given = [one for one in evidence.judgements if one.case_id in drawn and one.kind == "rating"]
    names = {question.name: place for place, question in enumerate(evidence.rubric.questions)}

    def key(one: Judgement) -> tuple[int, str, str, str]:
        return names[one.question], one.judge_kind, one.option, one.verdict

    counts = Counter(key(one) for one in given if one.question in names)
    order = sorted(counts.items(), key=lambda item: (item[0][0], item[0][1] != "person", item[0][2], -item[1]))
    for (place, judges, option, verdict), judgements in order:
        yield VerdictCount(
            panel=evidence.panel.panel,
            question=evidence.rubric.questions[place].name,
            judges=judges,
            option=option,
            verdict=verdict,
            judgements=judgements,
        )
