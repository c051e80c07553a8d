"""The strengths of three or more handlers, by a question that compares two answers."""

from __future__ import annotations

from streams.core.messages import PanelCase
from streams.panels.estimation.strengths import Pairing, Strengths, bradley_terry
from streams.panels.evidence import PanelEvidence, case_values
from streams.panels.population import TIERS
from streams.panels.report.counted import CountedCases, values_of
from streams.panels.rubric import Question

LEAST_HANDLERS = 3


def handler_strengths(
    evidence: PanelEvidence, counted: CountedCases, question: Question, certainty: float
) -> Strengths | None:
    """Return the strengths by the counted cases; None if fewer than three handlers were compared.

    Where runs are compared, a handler's name has its run before it.
    """
    first, second = evidence.panel.options
    some, values = values_of(counted, case_values(evidence, question, second))
    pairings = [
        Pairing(_name(case, second, evidence), _name(case, first, evidence), float(value), float(1 / chance))
        for case, value, chance in zip(some.cases, values, some.probabilities, strict=True)
        if value == value  # NaN if all its raters skipped it
    ]
    if len({name for one in pairings for name in (one.first, one.second)}) < LEAST_HANDLERS:
        return None
    return bradley_terry(pairings, certainty=certainty, seed=evidence.panel.seed)


def _name(case: PanelCase, option: str, evidence: PanelEvidence) -> str:
    answer = next(one for one in case.answers if one.option == option)
    return answer.handler if evidence.panel.options == TIERS else f"{option} {answer.handler}"
