"""The state of a claim: which cases count, when it is decided, and how often wrongly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from streams.core.messages import Judgement, PanelCase
from streams.panels.claims import ErrorClaim, PreferenceClaim
from streams.panels.decision import ClaimState, cases_needed, decide, decided_cases
from streams.panels.estimation.draw import draw_cases
from streams.panels.evidence import PanelEvidence
from tests.harness.panels import RUBRIC, answer, case, evidence, panel, said, skipped, stratum

FIVE_PERCENT = ErrorClaim(0.05)
REASONER = PreferenceClaim("reasoner", "worker")


def judged(*verdicts: str, raters: int = 1, tasks: int = 1000) -> PanelEvidence:
    """A panel of one rater that found each case right (y) or wrong (n), skipped it (s) or did not see it (?)."""
    words = {"y": "yes", "n": "no"}
    cases = [case(place) for place in range(1, 1 + len(verdicts))]
    rated = [
        skipped(one.case_id, "anna") if verdict == "s" else said(one.case_id, "anna", words[verdict])
        for one, verdict in zip(cases, verdicts, strict=True)
        if verdict != "?"
    ]
    return evidence(panel(stratum(tasks=tasks), raters_per_case=raters), cases, *rated)


def test_a_claim_holds_when_enough_answers_were_right() -> None:
    state = decide(FIVE_PERCENT, judged(*"y" * 100))
    assert (state.decision, state.cases, state.low) == ("holds", 100, 0.0)
    assert state.high <= 0.05
    assert '"error <= 0.05" holds after 100 cases, with certainty 95 %' in state.words


def test_a_claim_fails_when_enough_answers_were_wrong() -> None:
    state = decide(FIVE_PERCENT, judged(*"nynynynyny"))
    assert state.decision == "fails"
    assert state.low > 0.05
    assert "does not hold after 10 cases" in state.words


def test_a_claim_is_open_without_cases_and_after_few() -> None:
    assert decide(FIVE_PERCENT, judged()).decision == "open"
    state = decide(FIVE_PERCENT, judged(*"yyyyy"))
    assert (state.decision, state.cases) == ("open", 5)
    assert "is not decided after 5 cases. The error lies between 0 % and" in state.words


def test_only_the_cases_before_the_first_unjudged_one_count() -> None:
    state = decide(FIVE_PERCENT, judged(*("y" * 40 + "?" + "y" * 60)))
    assert (state.decision, state.cases) == ("open", 40)


def test_a_case_that_lacks_one_of_its_raters_ends_the_cases_that_count() -> None:
    assert decide(FIVE_PERCENT, judged(*"yyy", raters=2)).cases == 0


def test_cases_count_in_the_order_of_the_draw_not_of_the_judgements() -> None:
    cases = [case(place) for place in (3, 1, 2)]
    rated = [said("c3", "anna", "yes"), said("c1", "anna", "no"), said("c2", "anna", "yes")]
    of = evidence(panel(raters_per_case=1), cases, *rated)
    assert [(one.case.position, one.least) for one in decided_cases(FIVE_PERCENT, of)] == [(1, 1.0), (2, 0.0), (3, 0.0)]


def test_a_skipped_case_counts_as_wrong_against_the_claim() -> None:
    skips, wrong = (decide(FIVE_PERCENT, judged(*("y" * 99 + last))) for last in "sn")
    assert (skips.high, skips.skipped) == (wrong.high, 1)
    assert "1 of them have no judgement" in skips.words


def test_a_skipped_case_counts_as_right_against_the_refutation() -> None:
    assert decide(FIVE_PERCENT, judged(*"ssssssssss")).decision == "open"
    assert decide(FIVE_PERCENT, judged(*"nnnnnnnnnn")).decision == "fails"


def test_an_erased_case_counts_as_skipped() -> None:
    whole = judged(*("y" * 60 + "?"))
    state = decide(FIVE_PERCENT, whole, erased={"c61"})
    assert (state.cases, state.skipped) == (61, 1)
    assert decide(FIVE_PERCENT, whole, erased={"c60"}).skipped == 0  # it was judged before


def pairs(*picks: str) -> PanelEvidence:
    """A panel that compared the worker's with the reasoner's answer in all cases but those marked with a dash."""
    cases: list[PanelCase] = []
    rated: list[Judgement] = []
    for place, pick in enumerate(picks, start=1):
        both = (answer("worker", delivered=False), answer("reasoner"))
        cases.append(case(place, *(both[1:] if pick == "-" else both)))
        rated += [said(f"c{place}", "anna", pick, "better")] if pick != "-" else []
    options = ("worker", "reasoner")
    return evidence(panel(stratum(tasks=1000), raters_per_case=1, options=options), cases, *rated)


def test_a_preference_holds_when_the_option_wins_often_enough() -> None:
    assert decide(REASONER, pairs(*["reasoner", "tie", "reasoner"] * 10)).decision == "holds"


def test_a_preference_fails_when_the_other_option_wins_often_enough() -> None:
    assert decide(REASONER, pairs(*["worker", "both bad", "worker"] * 10)).decision == "fails"


def test_cases_with_one_answer_alone_favour_neither_option() -> None:
    found = decided_cases(REASONER, pairs("reasoner", "-", "tie", "worker"))
    assert [one.least for one in found] == [1.0, 0.5, 0.5, 0.0]


def test_without_a_comparison_the_option_that_is_right_wins() -> None:
    text = RUBRIC[: RUBRIC.index('[[question]]\nname = "better"')]
    both = (answer("worker", delivered=False), answer("reasoner"))
    rated = [said("c1", "anna", "no", option="worker"), said("c1", "anna", "yes", option="reasoner")]
    of = panel(raters_per_case=1, options=("worker", "reasoner"), rubric=text)
    assert [one.least for one in decided_cases(REASONER, evidence(of, [case(1, *both)], *rated))] == [1.0]


def test_about_as_many_more_cases_are_needed_as_prove_it_in_the_end() -> None:
    """The further cases are taken to hold an error now and then, so they are more than the all right ones that do."""
    after = cases_needed(FIVE_PERCENT, judged(*"y" * 40))
    whole = decide(FIVE_PERCENT, judged(*"y" * 200)).moments
    proven = next(one.cases for one in whole if one.high <= 0.05)
    assert after is not None
    assert proven - 40 <= after <= 2.5 * (proven - 40)


def test_before_the_first_case_the_number_is_that_of_right_answers_alone() -> None:
    whole = decide(FIVE_PERCENT, judged(*"y" * 200)).moments
    proven = next(one.cases for one in whole if one.high <= 0.05)
    assert cases_needed(FIVE_PERCENT, judged()) == pytest.approx(proven, rel=0.1)
    assert cases_needed(FIVE_PERCENT, judged(tasks=20)) == 20


def test_before_the_first_case_no_number_refutes_a_claim() -> None:
    assert cases_needed(FIVE_PERCENT, judged(), refute=True) is None


def test_no_number_of_cases_proves_a_claim_that_the_cases_refute() -> None:
    assert cases_needed(FIVE_PERCENT, judged(*"nynynyny")) is None


def simulated(errors: Sequence[float], weights: Sequence[float], predictions: Sequence[float], seed: int) -> ClaimState:
    """The state of the claim after a panel on tasks of which these are wrong, drawn with these weights."""
    drawn = draw_cases(np.array(weights), 150, seed)
    cases = [
        case(one.position, weight=one.weight, prediction=predictions[one.index], probability=one.probability)
        for one in drawn
    ]
    rated = [said(f"c{one.position}", "anna", "no" if errors[one.index] else "yes") for one in drawn]
    of = stratum(tasks=len(errors), weight=float(sum(weights)), prediction=float(sum(predictions)))
    return decide(FIVE_PERCENT, evidence(panel(of, raters_per_case=1), cases, *rated))


def test_a_claim_that_is_just_false_is_rarely_found_to_hold() -> None:
    """Of 1,000 tasks 51 are wrong, those with a high weight more often; it may hold by chance in 5 % of the panels."""
    random = np.random.default_rng(48)
    heavy = np.arange(1000) % 4 == 0
    errors = np.zeros(1000)
    errors[random.choice(np.flatnonzero(heavy), 31, replace=False)] = 1
    errors[random.choice(np.flatnonzero(~heavy), 20, replace=False)] = 1
    weights, predictions = np.where(heavy, 4.0, 1.0), np.where(heavy, 0.12, 0.03)
    states = [simulated(errors.tolist(), weights.tolist(), predictions.tolist(), seed) for seed in range(60)]
    assert sum(one.decision == "holds" for one in states) <= 3
    assert sum(one.decision == "fails" for one in states) <= 3


@pytest.mark.parametrize("certainty", [0.8, 0.99])
def test_a_higher_certainty_needs_more_cases(certainty: float) -> None:
    needed = [
        next((one.cases for one in decide(FIVE_PERCENT, judged(*"y" * 200), level).moments if one.high <= 0.05), 201)
        for level in (certainty, 0.95)
    ]
    assert (needed[0] < needed[1]) == (certainty < 0.95)
