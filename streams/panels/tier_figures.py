"""The figures of a run's panels for the evaluation of its tiers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from streams.core.messages import Judgement, Panel, PanelCase, PanelStratum
from streams.evaluation.compare.paired_statistics import CERTAINTY
from streams.evaluation.tiers.panel_figures import PanelFigures, PanelPreference, PanelRate, VerdictCount
from streams.evaluation.tiers.truth import AnswerValue, TruthSource, source_named
from streams.panels.decision import EVEN
from streams.panels.estimation.rates import RateInterval
from streams.panels.evidence import PanelEvidence, case_values, delivered_answer, read_panel
from streams.panels.population import TIERS
from streams.panels.report.counted import counted_cases, judged_cases, part_of, share_of, values_of
from streams.panels.report.error_rates import wrong_share
from streams.panels.report.judges import models_of

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
    people = source_named(f"panel:{evidence.panel.panel}"), ""
    return [people, *((source_named(f"judge:{model}"), model) for model in models_of(evidence))]


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
    panel = evidence.panel
    for source, judge in _judges(evidence):
        drawn = judged_cases(evidence, question, judge) if judge else counted_cases(evidence)
        counted, values = values_of(drawn, case_values(evidence, question, judge=judge))
        for tier in ("", *TIERS):
            own, own_values = part_of(counted, values, lambda case: tier in ("", _tier(case, panel)))  # noqa: B023 - at once
            if len(own):
                strata = [one for one in panel.population if tier in ("", one.tier)]
                yield _rate(panel, source, tier, strata, wrong_share(strata, own, own_values, CERTAINTY))


def _tier(case: PanelCase, panel: Panel) -> str:
    answer = delivered_answer(case, panel)
    return answer.tier if answer is not None else ""


def _rate(
    panel: Panel, source: TruthSource, tier: str, strata: Sequence[PanelStratum], wrong: RateInterval
) -> PanelRate:
    return PanelRate(
        panel=panel.panel,
        source=source,
        tier=tier,
        tasks=sum(one.tasks for one in strata),
        since=panel.since,
        until=panel.until,
        cases=wrong.cases,
        value=None if wrong.value is None else 1 - wrong.value,
        low=1 - wrong.high,
        high=1 - wrong.low,
    )


def _preferences(evidence: PanelEvidence) -> Iterator[PanelPreference]:
    if len(evidence.panel.options) != 2:
        return
    picks = [one for one in evidence.rubric.questions if one.type == "pick"]
    for question, (source, judge) in product(picks, _judges(evidence)):
        a, b = evidence.panel.options
        drawn = judged_cases(evidence, question, judge) if judge else counted_cases(evidence)
        counted, values = values_of(drawn, case_values(evidence, question, b, judge=judge))
        if np.isfinite(values).any():
            found = share_of(counted, values, CERTAINTY)
            yield PanelPreference(
                panel=evidence.panel.panel,
                source=source,
                question=question.name,
                a=a,
                b=b,
                cases=found.cases,
                wins=int((values > EVEN).sum()),
                ties=int((values == EVEN).sum()),
                losses=int((values < EVEN).sum()),
                value=found.value,
                low=found.low,
                high=found.high,
            )


def _verdicts(evidence: PanelEvidence) -> Iterator[VerdictCount]:
    """Count the ratings of drawn cases.

    Adjudications, gold cases, repeats, and a model's judgements on swapped sides are left out.
    """
    drawn = {case.case_id for case in evidence.cases if case.purpose in ("sample", "judge")}
    models = models_of(evidence)
    given = [
        one
        for one in evidence.judgements
        if one.case_id in drawn and one.kind == "rating" and (one.judge_kind == "person" or one.judge in models)
    ]
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
