"""The cases that count in a panel's figures: the first ones of the draw, up to the first that is not complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streams.core.messages import PanelCase
from streams.panels.estimation.prefix import prefix_probabilities
from streams.panels.estimation.rates import RateInterval, weighted_ratio
from streams.panels.evidence import DELIVERED, CaseValue, PanelEvidence, case_values

if TYPE_CHECKING:
    from streams.panels.rubric import Question

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CountedCases:
    """Cases in the order of the draw with their chances, shape (cases,), of being among them."""

    cases: tuple[PanelCase, ...]
    probabilities: Values

    def __len__(self) -> int:
        return len(self.cases)

    def where(self, keep: Callable[[PanelCase], bool]) -> CountedCases:
        """Return the cases of a part of the population: they are a draw of that part."""
        kept = np.array([keep(case) for case in self.cases], dtype=bool)
        some = tuple(case for case, is_kept in zip(self.cases, kept, strict=True) if is_kept)
        return CountedCases(some, self.probabilities[kept])

    @property
    def weights(self) -> Values:
        """The cases' weights in the draw, shape (cases,)."""
        return np.array([case.weight for case in self.cases], dtype=np.float64)

    @property
    def predictions(self) -> Values:
        """The predicted probabilities that the delivered answers are wrong, shape (cases,)."""
        return np.array([case.prediction for case in self.cases], dtype=np.float64)


def counted_cases(evidence: PanelEvidence) -> CountedCases:
    """Return the first cases of the draw up to the first that people have not completed in every question."""
    return _prefix(evidence, evidence.sample, open_cases(evidence))


def open_cases(evidence: PanelEvidence) -> set[str]:
    """Return the ids of the drawn cases that people have not completed in every question."""
    return {
        one.case.case_id
        for question in evidence.rubric.questions
        for option in options_of(evidence, question)
        for one in case_values(evidence, question, option)
        if not one.complete
    }


def judged_cases(evidence: PanelEvidence, question: Question, judge: str) -> CountedCases:
    """Return the first cases of the draw up to the first that a model has neither judged nor skipped."""
    values = [
        one for option in options_of(evidence, question) for one in case_values(evidence, question, option, judge=judge)
    ]
    missing = {one.case.case_id for one in values if not one.complete}
    drawn = tuple(case for case in evidence.cases if case.purpose in ("sample", "judge"))
    return _prefix(evidence, drawn, missing)


def _prefix(evidence: PanelEvidence, drawn: tuple[PanelCase, ...], missing: set[str]) -> CountedCases:
    panel = evidence.panel
    count = next((place for place, case in enumerate(drawn) if case.case_id in missing), len(drawn))
    cases = drawn[:count]
    if count == len(evidence.sample):
        return CountedCases(cases, np.array([case.probability for case in cases], dtype=np.float64))
    if count == len(drawn):
        return CountedCases(cases, np.array([case.judge_probability for case in cases], dtype=np.float64))
    weights = np.array([case.weight for case in cases], dtype=np.float64)
    total = sum(one.weight for one in panel.population)
    return CountedCases(cases, prefix_probabilities(weights, weight=total, seed=panel.seed))


def options_of(evidence: PanelEvidence, question: Question) -> tuple[str, ...]:
    """Return the options that a question is asked about; of a comparison, the one that its figures are about."""
    options = evidence.panel.options
    if question.type == "pick":
        return options[1:2]
    return (DELIVERED, *options) if len(options) > 1 else (DELIVERED,)


def part_of(counted: CountedCases, values: Values, keep: Callable[[PanelCase], bool]) -> tuple[CountedCases, Values]:
    """Return the cases of a part of the population, and their values out of those of all cases, shape (cases,)."""
    return counted.where(keep), values[np.array([keep(case) for case in counted.cases], dtype=bool)]


def values_of(counted: CountedCases, values: list[CaseValue]) -> tuple[CountedCases, Values]:
    """Return the counted cases that have a value or were skipped, and the values, NaN where skipped."""
    by_id = {one.case.case_id: one.value for one in values}
    some = counted.where(lambda case: case.case_id in by_id)
    found = [by_id[case.case_id] for case in some.cases]
    return some, np.array([np.nan if one is None else one for one in found], dtype=np.float64)


def share_of(counted: CountedCases, values: Values, certainty: float) -> RateInterval:
    """Return the weighted mean of values from 0 to 1 over a part of the population of unknown size.

    Cases that were skipped (NaN) count as 0 in the lower bound and as 1 in the upper one.
    """
    known = ~np.isnan(values)
    found = weighted_ratio(values[known], counted.probabilities[known], certainty=certainty)
    if known.all():
        return found
    low, high = (
        weighted_ratio(np.where(known, values, worst), counted.probabilities, certainty=certainty)
        for worst in (0.0, 1.0)
    )
    return replace(found, low=low.low, high=high.high, cases=len(counted))
