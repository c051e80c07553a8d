"""About how many more cases a panel needs until it says enough."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from streams.panels.decision import EVEN, ClaimState, cases_needed
from streams.panels.estimation.needed import cases_for_width
from streams.panels.evidence import PanelEvidence
from streams.panels.report.error_rates import DeliveredErrorRate
from streams.panels.report.questions import QuestionResult

ENOUGH_WIDTH: Final = 0.1
"""An interval of an error rate that is wider is called underpowered."""


def further_cases(
    evidence: PanelEvidence,
    counted: int,
    claim: ClaimState | None,
    errors: Sequence[DeliveredErrorRate],
    questions: Sequence[QuestionResult],
) -> int | None:
    """Return about how many more cases decide the claim; 0 if it is decided, None if it is unknown.

    Without a claim they narrow the interval of all wrong answers to ENOUGH_WIDTH, and part every win rate from a half.
    """
    if claim is not None:
        return 0 if claim.decision != "open" else _for_claim(evidence, claim)
    found = [*_for_errors(errors), *_for_picks(evidence, counted, questions)]
    known = [one for one in found if one is not None]
    return max(known, default=0) if counted and len(known) == len(found) else None


def _for_errors(errors: Sequence[DeliveredErrorRate]) -> Iterator[int | None]:
    for total in errors[:1]:
        yield cases_for_width(total.people, ENOUGH_WIDTH, tasks=total.tasks)


def _for_picks(evidence: PanelEvidence, counted: int, questions: Sequence[QuestionResult]) -> Iterator[int | None]:
    """Yield the cases after which each win rate's interval lies on one side of a half, if the rate stays as it is."""
    tasks = sum(one.tasks for one in evidence.panel.population)
    for rate in (one.win_rate.interval for one in questions if one.win_rate is not None):
        if rate.value is None:
            yield None
        elif rate.low <= EVEN <= rate.high:
            pairs = max(rate.cases, round(tasks * rate.cases / counted))
            more = cases_for_width(rate, max(2 * abs(rate.value - EVEN), ENOUGH_WIDTH), tasks=pairs)
            yield None if more is None else math.ceil(more * counted / rate.cases)


def _for_claim(evidence: PanelEvidence, state: ClaimState) -> int | None:
    """Return the cases that would prove the claim; if they would not, those that would refute it."""
    more = cases_needed(state.claim, evidence, state.certainty)
    return cases_needed(state.claim, evidence, state.certainty, refute=True) if more is None else more
