"""The share of wrong answers, on panels whose figures are worked out by hand."""

from __future__ import annotations

import pytest

from streams.core.messages import Judgement, PanelCase
from streams.panels.evidence import PanelEvidence, evidence_of
from streams.panels.report.counted import counted_cases
from streams.panels.report.error_rates import DeliveredErrorRate, error_rates, judged_values
from streams.panels.report.judges import models_of
from streams.panels.report.results import panel_results
from tests.harness.panels import ERRORS_ONLY, answer, case, panel, said, skipped, stratum
from tests.harness.simulated_panel import Simulation


def of(cases: list[PanelCase], verdicts: str, *more: Judgement, **fields: str) -> PanelEvidence:
    """Evidence of one rater: y and n are verdicts in the order of the draw, s is a skip."""
    words = {"y": "yes", "n": "no"}
    rated = [
        skipped(one.case_id, "anna") if letter == "s" else said(one.case_id, "anna", words[letter])
        for one, letter in zip(cases, verdicts, strict=False)
    ]
    strata = stratum(tasks=8, prediction=1.6), stratum("think", 2, prediction=0.4)
    return evidence_of(panel(*strata, raters_per_case=1, rubric=ERRORS_ONLY, **fields), cases, [*rated, *more])


def rates(evidence: PanelEvidence) -> dict[str, DeliveredErrorRate]:
    question = evidence.rubric.right_question
    assert question is not None
    found = error_rates(evidence, question, counted_cases(evidence), 0.95, next(iter(models_of(evidence)), ""))
    return {one.part: one for one in found}


def test_each_case_counts_for_the_tasks_that_it_stands_for() -> None:
    cases = [case(1, probability=0.5, prediction=0.5), case(2, probability=0.25, prediction=0.1)]
    # The mean prediction over 10 tasks is 0.2. The first case stands for 2 tasks and is worse than predicted by 0.5,
    # the second one stands for 4 and is better by 0.1: 0.2 + (2 * 0.5 - 4 * 0.1) / 6.
    assert rates(of(cases, "ny"))["all answers"].people.value == pytest.approx(0.3)


def test_a_handlers_rate_comes_from_its_own_cases_and_predictions() -> None:
    reasoned = answer(tier="reasoner", handler="think")
    found = rates(of([case(1), case(2), case(3, reasoned)], "yny"))
    assert {name: (one.tasks, one.cases) for name, one in found.items()} == {
        "all answers": (10, 3), "worker answer": (8, 2), "reasoner think": (2, 1),
    }  # fmt: skip
    # Predicted are 1.6 / 8 = 0.2 over the worker's tasks, and 0.1 for both cases, of which one is wrong.
    assert found["worker answer"].people.value == pytest.approx(0.2 + (0.9 - 0.1) / 2)
    assert found["reasoner think"].people.value == pytest.approx(0.2 - 0.1)


def test_a_skipped_case_counts_as_right_in_the_lower_bound_and_as_wrong_in_the_upper_one() -> None:
    cases = [case(number) for number in range(1, 7)]
    without, right, wrong = (rates(of(cases, verdicts))["all answers"] for verdicts in ("yyynys", "yyynyy", "yyynyn"))
    assert without.skipped == 1
    assert (without.people.low, without.people.high) == (right.people.low, wrong.people.high)


def test_a_panel_without_a_claim_has_no_bounds_for_any_moment() -> None:
    assert rates(of([case(1)], "n"))["all answers"].at_any_moment is None


def test_the_bounds_for_any_moment_are_wider_than_the_interval() -> None:
    found = rates(Simulation(cases=60).evidence(stop="error <= 0.05"))["all answers"]
    assert found.at_any_moment is not None
    low, high = found.at_any_moment
    assert low <= found.people.low < found.people.high < high


def test_skipped_cases_widen_the_bounds_for_any_moment() -> None:
    cases = [case(number) for number in range(1, 7)]
    found = {
        verdicts: rates(of(cases, verdicts, stop="error <= 0.5"))["all answers"].at_any_moment
        for verdicts in ("yyyyys", "yyyyyy", "yyyyyn")
    }
    skipped_one, right, wrong = found.values()
    assert right is not None
    assert wrong is not None
    assert right != wrong
    assert skipped_one == (right[0], wrong[1])


def test_a_model_that_judges_as_people_do_narrows_the_interval() -> None:
    simulated = Simulation(seed=5, judge=600, noise=0.0, judge_noise=0.02, informed=False).evidence()
    total = rates(simulated)["all answers"]
    assert total.assisted is not None
    assert total.assisted.width < 0.85 * total.people.width


def test_a_model_that_missed_a_counted_case_assists_nothing() -> None:
    cases = [case(1), case(2)]
    rated = said("c1", "haiku", "yes", judge_kind="model")
    assert rates(of(cases, "yn", rated))["all answers"].assisted is None


def test_a_case_that_a_model_skipped_has_the_prediction_as_its_value() -> None:
    cases = [case(1), case(2), case(3, purpose="judge")]
    rated = [said("c1", "haiku", "yes", judge_kind="model"), said("c3", "haiku", "no", judge_kind="model")]
    skip = skipped("c2", "haiku", judge_kind="model")
    evidence = of(cases, "yn", *rated, skip)
    question = evidence.rubric.right_question
    assert question is not None
    assert judged_values(evidence, question, "haiku").values.tolist() == [0.0, 0.1, 1.0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_intervals_of_a_simulated_panel_hold_the_true_rates(seed: int) -> None:
    simulation = Simulation(seed=seed, noise=0.0)
    found = rates(simulation.evidence())
    total = found["all answers"]
    assert total.people.low < simulation.error_rate < total.people.high
    assert total.people.width < 0.1
    own = [one.wrong for one in simulation.population if one.handler == "answer"]
    assert found["worker answer"].people.low < sum(own) / len(own) < found["worker answer"].people.high


def test_a_part_without_cases_has_no_rate() -> None:
    found = rates(of([case(1)], "y"))["reasoner think"]
    assert (found.cases, found.people.value, found.people.low, found.people.high) == (0, None, 0.0, 1.0)


def test_a_rubric_without_such_a_question_has_no_error_rates() -> None:
    rubric = ERRORS_ONLY.replace('means_right = "yes"', "")
    assert panel_results(evidence_of(panel(rubric=rubric), [case(1)], [])).errors == ()
