"""The share of the delivered answers that people find wrong: in total, by tier and by handler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streams.core.messages import Panel, PanelCase, PanelStratum
from streams.panels.estimation.rates import JudgedCases, RateInterval, two_phase_rate, weighted_rate
from streams.panels.estimation.sequential import sequential_bounds
from streams.panels.evidence import PanelEvidence, case_values, delivered_answer
from streams.panels.report.counted import CountedCases, Values, judged_cases, part_of, values_of
from streams.panels.rubric import Question

TOTAL = "all answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredErrorRate:
    """The share of a part's delivered answers that are wrong.

    A skipped case counts as right in the lower bound of an interval, and as wrong in the upper one.
    """

    part: str
    """`all answers`, or the tier and the handler."""
    tasks: int
    cases: int
    skipped: int
    people: RateInterval
    """By people's judgements; the predictions narrow it."""
    at_any_moment: tuple[float, float] | None
    """The interval that holds however often one looks; only for a panel with a claim to stop at."""
    assisted: RateInterval | None
    """By people's judgements with a model's as predictor; None unless a model judged all these cases."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgedValues:
    """The cases that a model judged, in the order of the draw, and its values by case id."""

    counted: CountedCases
    values: Values


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    strata: Sequence[PanelStratum]
    total: bool = False

    def has(self, case: PanelCase, panel: Panel) -> bool:
        answer = delivered_answer(case, panel)
        names = {(one.tier, one.handler) for one in self.strata}
        return self.total or (answer is not None and (answer.tier, answer.handler) in names)

    @property
    def tasks(self) -> int:
        return sum(one.tasks for one in self.strata)

    @property
    def predicted(self) -> float:
        return sum(one.prediction for one in self.strata)

    @property
    def weight(self) -> float:
        return sum(one.weight for one in self.strata)


def error_rates(
    evidence: PanelEvidence, question: Question, counted: CountedCases, certainty: float, judge: str = ""
) -> tuple[DeliveredErrorRate, ...]:
    """Return the error rate of all delivered answers, of each tier, and of each handler.

    `judge` names a model whose judgements predict people's.
    """
    some, values = values_of(counted, case_values(evidence, question))
    judged = judged_values(evidence, question, judge) if judge else None
    return tuple(
        _rate(part, evidence.panel, some, values, judged, certainty) for part in _parts(evidence.panel.population)
    )


def judged_values(evidence: PanelEvidence, question: Question, judge: str) -> JudgedValues:
    """Return a model's values of the first cases of the draw, up to the first that it has not judged.

    The value of a case that it skipped is the prediction: what a model skips must not depend on people's verdicts.
    """
    counted, values = values_of(judged_cases(evidence, question, judge), case_values(evidence, question, judge=judge))
    return JudgedValues(counted, np.where(np.isnan(values), counted.predictions, values))


def _parts(population: Sequence[PanelStratum]) -> Iterator[_Part]:
    yield _Part(TOTAL, population, total=True)
    tiers = sorted({one.tier for one in population}, reverse=True)
    for tier in tiers:
        own = sorted((one for one in population if one.tier == tier), key=lambda one: (-one.tasks, one.handler))
        if len(tiers) > 1 and len(own) > 1:
            yield _Part(f"{tier}s", own)
        if len(population) > 1:
            yield from (_Part(f"{tier} {one.handler}", [one]) for one in own)


def _rate(
    part: _Part, panel: Panel, all_counted: CountedCases, all_values: Values, judged: JudgedValues | None, level: float
) -> DeliveredErrorRate:
    counted, values = part_of(all_counted, all_values, lambda case: part.has(case, panel))
    skipped = np.isnan(values)
    return DeliveredErrorRate(
        part=part.name,
        tasks=part.tasks,
        cases=len(counted),
        skipped=int(skipped.sum()),
        people=wrong_share(part.strata, counted, values, level),
        at_any_moment=_at_any_moment(part, counted, values, level) if panel.stop else None,
        assisted=_assisted(part, panel, counted, values, judged, level) if judged and not skipped.any() else None,
    )


def wrong_share(
    strata: Sequence[PanelStratum], counted: CountedCases, values: Values, certainty: float
) -> RateInterval:
    """Return the share of wrong answers in a part of the population, by its cases' values (cases,), NaN where skipped.

    A skipped case counts as right in the lower bound, and as wrong in the upper one.
    """
    skipped = np.isnan(values)
    low, middle, high = (
        weighted_rate(
            np.where(skipped, guess, values),
            counted.probabilities,
            counted.predictions,
            tasks=sum(one.tasks for one in strata),
            predicted=sum(one.prediction for one in strata),
            certainty=certainty,
        )
        for guess in (0.0, counted.predictions, 1.0)
    )
    return replace(middle, low=low.low, high=high.high)


def _at_any_moment(part: _Part, counted: CountedCases, values: Values, certainty: float) -> tuple[float, float]:
    """Return the bounds with the skipped cases as right in the lower and as wrong in the upper one."""
    skipped = np.isnan(values)
    low, high = _sequential(part, counted, np.where(skipped, 0.0, values), certainty)
    return low, _sequential(part, counted, np.where(skipped, 1.0, values), certainty)[1] if skipped.any() else high


def _sequential(part: _Part, counted: CountedCases, values: Values, certainty: float) -> tuple[float, float]:
    moments = sequential_bounds(
        values,
        counted.weights,
        counted.predictions,
        tasks=part.tasks,
        weight=part.weight,
        predicted=part.predicted,
        certainty=certainty,
    )
    return (moments[-1].low, moments[-1].high) if moments else (0.0, 1.0)


def _assisted(
    part: _Part, panel: Panel, counted: CountedCases, values: Values, judged: JudgedValues, certainty: float
) -> RateInterval | None:
    own, own_values = part_of(judged.counted, judged.values, lambda case: part.has(case, panel))
    place = {case.case_id: number for number, case in enumerate(own.cases)}
    if not len(counted) or any(case.case_id not in place for case in counted.cases):
        return None
    same = [place[case.case_id] for case in counted.cases]
    return two_phase_rate(
        values,
        np.minimum(counted.probabilities, own.probabilities[same]),
        counted.predictions,
        own_values[same],
        own.probabilities[same],
        JudgedCases(own_values, own.predictions, own.probabilities),
        tasks=part.tasks,
        predicted=part.predicted,
        certainty=certainty,
    )
