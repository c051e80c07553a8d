"""Decide a claim by a panel's judgements, validly at every moment at which one looks.

The cases count in the order of the draw, up to the first one that lacks a judgement: which raters are quick must not
decide which cases count. A case that all its raters skipped counts against the claim, and against its refutation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from streams.panels.claims import Claim, ErrorClaim, PreferenceClaim
from streams.panels.evidence import PanelEvidence, case_values

if TYPE_CHECKING:
    from streams.core.messages import PanelCase
    from streams.panels.estimation.sequential import Moment

Decision = Literal["holds", "fails", "open"]
CERTAINTY: Final = 0.95
EVEN: Final = 0.5
"""The value of a case in which neither of two options wins."""


@dataclass(frozen=True, slots=True)
class ClaimState:
    """The state of a claim after the first `cases` of the draw.

    `moments` bound the rate that the claim is about after each case: the error rate, or for a preference the mean over
    all tasks of 1 for a win, 0.5 for a tie or without a comparison, 0 for a loss. Each side of each bound holds with
    the certainty. `skipped` of the cases have no judgement, because all raters skipped them or the event was erased.
    """

    claim: Claim
    decision: Decision
    certainty: float
    moments: tuple[Moment, ...]
    skipped: int
    words: str

    @property
    def cases(self) -> int:
        """The cases that count."""
        return len(self.moments)

    @property
    def low(self) -> float:
        """The lower bound of the rate."""
        return self.moments[-1].low if self.moments else 0.0

    @property
    def high(self) -> float:
        """The upper bound of the rate."""
        return self.moments[-1].high if self.moments else 1.0


@dataclass(frozen=True, slots=True)
class DecidedCase:
    """One case and the least and the greatest value that it may have; both are its value unless it was skipped."""

    case: PanelCase
    least: float
    greatest: float

    @property
    def skipped(self) -> bool:
        """True if nothing is known of the case."""
        return self.least != self.greatest


def decide(
    claim: Claim, evidence: PanelEvidence, certainty: float = CERTAINTY, *, erased: Collection[str] = ()
) -> ClaimState:
    """Return the state of a claim. Unjudged cases in `erased`, and those of the evidence, count as skipped.

    The chance that a false claim is ever found to hold is at most 1 - certainty, and so is that of a true one to fail.
    """
    counted, population = decided_cases(claim, evidence, erased), _population(claim, evidence)
    moments = bounds(
        counted, [population.prediction(one.case) for one in counted], tasks=population.tasks,
        weight=population.weight, predicted=population.predicted, extremes=population.extremes, certainty=certainty,
    )  # fmt: skip
    decision = decision_on(claim, moments[-1].low, moments[-1].high) if moments else "open"
    skipped = sum(one.skipped for one in counted)
    return ClaimState(
        claim, decision, certainty, moments, skipped, _words(claim, decision, certainty, moments, skipped)
    )


def bounds(
    counted: Sequence[DecidedCase],
    predictions: Sequence[float],
    *,
    tasks: int,
    weight: float,
    predicted: float,
    extremes: tuple[float, float] = (0.0, 1.0),
    certainty: float,
) -> tuple[Moment, ...]:
    """Return the bounds of a rate after each case, the upper one with skipped cases at their greatest value.

    `tasks`, `weight` and `predicted` are the number, the sum of weights and of predictions of the population, and
    `extremes` its least and its greatest prediction. Each side holds with the certainty by itself.
    """
    import numpy as np

    from streams.panels.estimation.sequential import Moment, sequential_bounds

    def moments(values: list[float]) -> list[Moment]:
        weights = np.array([one.case.weight for one in counted])
        return sequential_bounds(
            np.array(values), weights, np.array(predictions), tasks=tasks, weight=weight, predicted=predicted,
            extremes=extremes, certainty=2 * certainty - 1,
        )  # fmt: skip

    upper = moments([one.greatest for one in counted])
    lower = moments([one.least for one in counted]) if any(one.skipped for one in counted) else upper
    return tuple(Moment(high.cases, low.low, high.high) for low, high in zip(lower, upper, strict=True))


def cases_needed(
    claim: Claim, evidence: PanelEvidence, certainty: float = CERTAINTY, *, refute: bool = False
) -> int | None:
    """Return about how many more cases would prove a claim, or refute it; None if more like those so far would not.

    Before the first case, these are the cases that prove it if nothing speaks against it.
    """
    import numpy as np

    from streams.panels.estimation.needed import cases_to_decide

    counted, population = decided_cases(claim, evidence), _population(claim, evidence)
    if refute and not counted:
        return None
    below = isinstance(claim, ErrorClaim) != refute
    return cases_to_decide(
        np.array([one.greatest if below else one.least for one in counted]),
        np.array([one.case.weight for one in counted]),
        np.array([population.prediction(one.case) for one in counted]),
        claim.limit if isinstance(claim, ErrorClaim) else EVEN,
        below=below, tasks=population.tasks, weight=population.weight, predicted=population.predicted,
        extremes=population.extremes, certainty=certainty,
    )  # fmt: skip


def least_cases(claim: Claim, certainty: float) -> int:
    """Return the cases of a panel of a large population that prove a claim if nothing speaks against it."""
    from streams.panels.estimation import needed

    below = isinstance(claim, ErrorClaim)
    limit = claim.limit if isinstance(claim, ErrorClaim) else EVEN
    return needed.least_cases(limit, below=below, certainty=certainty)


def decided_cases(claim: Claim, evidence: PanelEvidence, erased: Collection[str] = ()) -> list[DecidedCase]:
    """Return the first cases of the draw that all have their judgements, each with its value by the claim."""
    known = _errors(evidence) if isinstance(claim, ErrorClaim) else _preferences(claim, evidence)
    unasked = _Known(None if isinstance(claim, ErrorClaim) else EVEN, complete=True)
    found = []
    for case in evidence.sample:
        one = known.get(case.case_id, unasked)
        if not one.complete and case.case_id not in erased:
            break
        value = one.value if one.complete else None
        found.append(DecidedCase(case, *((0.0, 1.0) if value is None else (value, value))))
    return found


@dataclass(frozen=True, slots=True)
class _Population:
    """The number of tasks and the sums of their weights and predictions. `even`: all predictions are EVEN."""

    tasks: int
    weight: float
    predicted: float
    even: bool

    @property
    def extremes(self) -> tuple[float, float]:
        """The least and the greatest prediction, as far as they are known."""
        return (EVEN, EVEN) if self.even else (0.0, 1.0)

    def prediction(self, case: PanelCase) -> float:
        return EVEN if self.even else case.prediction


def _population(claim: Claim, evidence: PanelEvidence) -> _Population:
    strata, even = evidence.panel.population, not isinstance(claim, ErrorClaim)
    tasks = sum(one.tasks for one in strata)
    predicted = EVEN * tasks if even else sum(one.prediction for one in strata)
    return _Population(tasks, sum(one.weight for one in strata), predicted, even)


class _Known(NamedTuple):
    value: float | None
    complete: bool


def _errors(evidence: PanelEvidence) -> dict[str, _Known]:
    question = evidence.rubric.right_question
    found = case_values(evidence, question) if question is not None else []
    return {one.case.case_id: _Known(one.value, one.complete) for one in found}


def _preferences(claim: PreferenceClaim, evidence: PanelEvidence) -> dict[str, _Known]:
    """Return the values of cases with both answers: by the comparison, or without one by which answer is right."""
    pick = next((one for one in evidence.rubric.questions if one.type == "pick"), None)
    if pick is not None:
        found = case_values(evidence, pick, claim.better)
        return {one.case.case_id: _Known(one.value, one.complete) for one in found}
    question = evidence.rubric.right_question
    if question is None:
        return {}
    better = case_values(evidence, question, claim.better)
    worse = {one.case.case_id: one for one in case_values(evidence, question, claim.worse)}
    pairs = [(one, worse[one.case.case_id]) for one in better if one.case.case_id in worse]
    return {
        one.case.case_id: _Known(
            None if one.value is None or other.value is None else EVEN * (1 + other.value - one.value),
            one.complete and other.complete,
        )
        for one, other in pairs
    }


def decision_on(claim: Claim, low: float, high: float) -> Decision:
    """Return the decision by the bounds of the rate that a claim is about."""
    if isinstance(claim, ErrorClaim):
        return "holds" if high <= claim.limit else "fails" if low > claim.limit else "open"
    return "holds" if low > EVEN else "fails" if high <= EVEN else "open"


def _words(claim: Claim, decision: Decision, certainty: float, moments: Sequence[Moment], skipped: int) -> str:
    cases = f"{len(moments):,} case{'' if len(moments) == 1 else 's'}"
    end = {"holds": "holds", "fails": "does not hold", "open": "is not decided"}[decision]
    said = [
        f'"{claim}" {end} after {cases}{"" if decision == "open" else f", with certainty {percentage(certainty)}"}.'
    ]
    if moments and isinstance(claim, ErrorClaim):
        said.append(f"The error lies between {percentage(moments[-1].low)} and {percentage(moments[-1].high)}.")
    if skipped:
        said.append(f"{skipped:,} of them have no judgement, because all raters skipped them or the event was erased; "
                    "they count against it.")  # fmt: skip
    return " ".join(said)


def percentage(value: float) -> str:
    """Return a share as a percentage, rounded to two places."""
    return f"{100 * value:.2f}".rstrip("0").rstrip(".") + " %"
