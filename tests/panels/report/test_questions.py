"""The people's answers to each question, on panels whose figures are worked out by hand."""

from __future__ import annotations

import pytest

from streams.core.messages import Judgement, PanelCase
from streams.panels.evidence import evidence_of
from streams.panels.report.questions import QuestionResult
from streams.panels.report.results import panel_results
from tests.harness.panels import ERRORS_ONLY, OPTIONS, PICK_ONLY, answer, case, pair, panel, said, skipped

TONE_ONLY = """
title = "Tone"
[[question]]
name = "tone"
ask = "How polite is it?"
type = "scale"
points = ["rude", "neutral", "kind"]
"""


def compared(cases: list[PanelCase], *rated: Judgement) -> QuestionResult:
    made = panel(raters_per_case=1, rubric=PICK_ONLY, options=OPTIONS)
    return panel_results(evidence_of(made, cases, rated)).questions[0]


def test_a_win_rate_counts_ties_as_half_and_each_case_for_its_tasks() -> None:
    cases = [pair(1, probability=0.5), pair(2, probability=0.25), pair(3, probability=0.25)]
    verdicts = ("reasoner", "worker", "tie")
    found = compared(cases, *(said(f"c{n}", "anna", verdict, "better") for n, verdict in enumerate(verdicts, 1)))
    assert found.win_rate is not None
    assert found.win_rate.interval.value == pytest.approx((2 * 1 + 4 * 0 + 4 * 0.5) / 10)
    shares = {figure.name: figure.interval.value for figure in found.figures}
    assert shares == pytest.approx({"worker": 0.4, "reasoner": 0.2, "tie": 0.4, "both bad": 0.0})


def test_cases_with_one_answer_are_not_compared() -> None:
    alone = case(2, answer("worker"))
    found = compared([pair(1), alone], said("c1", "anna", "reasoner", "better"))
    assert [figure.interval.cases for figure in found.figures] == [1, 1, 1, 1]


def test_two_handlers_have_no_strengths() -> None:
    found = compared([pair(1), pair(2)], *(said(f"c{n}", "anna", "reasoner", "better") for n in (1, 2)))
    assert found.strengths is None


def test_three_handlers_have_strengths_in_the_order_of_their_wins() -> None:
    # The reasoner wins 3 of 4 against `extract`, and 2 of 4 against `answer`: log 3 above the one, equal to the other.
    cases = [pair(n, worker="extract" if n <= 4 else "answer") for n in range(1, 9)]
    winners = ["reasoner"] * 3 + ["worker"] + ["reasoner", "worker"] * 2
    found = compared(cases, *(said(f"c{n}", "anna", winner, "better") for n, winner in enumerate(winners, 1)))
    assert found.strengths is not None
    by_handler = {one.handler: one.value for one in found.strengths.handlers}
    assert found.strengths.handlers[-1].handler == "extract"
    assert by_handler["think"] - by_handler["extract"] == pytest.approx(1.0986, abs=1e-3)
    assert by_handler["think"] - by_handler["answer"] == pytest.approx(0.0, abs=1e-3)


def test_a_scale_has_its_mean_in_points() -> None:
    cases = [case(1, probability=0.5), case(2, probability=0.25)]
    rated = [said("c1", "anna", "3", "tone"), said("c2", "anna", "1", "tone"), said("c2", "ben", "2", "tone")]
    made = panel(raters_per_case=1, rubric=TONE_ONLY)
    found = panel_results(evidence_of(made, cases, rated)).questions[0]
    assert found.figures[0].interval.value == pytest.approx((2 * 3 + 4 * 1.5) / 6)
    assert 1 <= found.figures[0].interval.low < found.figures[0].interval.high <= 3


def test_agreement_is_over_all_judged_cases_also_unfinished_ones() -> None:
    rated = [said("c2", judge, "3", "tone") for judge in ("anna", "ben")]
    rated += [said("c3", judge, "1", "tone") for judge in ("anna", "ben")]
    made = panel(raters_per_case=3, rubric=TONE_ONLY)
    found = panel_results(evidence_of(made, [case(1), case(2), case(3)], rated)).questions[0]
    assert found.raters == {2: 2}
    assert found.agreement.alpha is not None
    assert found.agreement.alpha.value == 1.0
    assert found.figures[0].interval.value is None


def test_both_answers_of_a_pair_are_judged_items_of_their_own() -> None:
    rated = [
        said("c1", judge, verdict, "tone", option=option)
        for judge in ("anna", "ben") for option, verdict in (("worker", "1"), ("reasoner", "3"))
    ]  # fmt: skip
    made = panel(rubric=TONE_ONLY, options=OPTIONS)
    found = panel_results(evidence_of(made, [pair(1)], rated)).questions[0]
    assert found.raters == {2: 2}
    assert {one.name: one.interval.value for one in found.figures} == pytest.approx(
        {"delivered answers": 3, "worker, where both answered": 1, "reasoner, where both answered": 3}
    )


def test_a_skipped_comparison_counts_as_lost_in_the_lower_bound_and_as_won_in_the_upper_one() -> None:
    cases = [pair(n) for n in range(1, 6)]
    known = [said(f"c{n}", "anna", verdict, "better") for n, verdict in enumerate(("reasoner", "worker") * 2, 1)]
    ends = [skipped("c5", "anna"), said("c5", "anna", "worker", "better"), said("c5", "anna", "reasoner", "better")]
    without, lost, won = (found.interval for end in ends if (found := compared(cases, *known, end).win_rate))
    assert (without.value, without.low, without.high) == (0.5, lost.low, won.high)


def test_the_delivered_answers_figure_is_left_to_the_error_rates() -> None:
    rated = [said("c1", "anna", "no", option=option) for option in OPTIONS]
    made = panel(raters_per_case=1, rubric=ERRORS_ONLY, options=OPTIONS)
    found = panel_results(evidence_of(made, [pair(1)], rated)).questions[0]
    assert [one.name for one in found.figures] == [
        "worker, where both answered: wrong",
        "reasoner, where both answered: wrong",
    ]


def test_a_comparison_counts_in_the_strengths_for_the_tasks_that_it_stands_for() -> None:
    # The reasoner's two wins against `extract` stand for 2 tasks each, its loss for 4: it is as strong.
    cases = [pair(n, worker="extract", probability=0.25 if n == 3 else 0.5) for n in (1, 2, 3)]
    cases += [pair(n, probability=0.5) for n in (4, 5)]
    winners = ["reasoner", "reasoner", "worker", "reasoner", "worker"]
    found = compared(cases, *(said(f"c{n}", "anna", winner, "better") for n, winner in enumerate(winners, 1)))
    assert found.strengths is not None
    assert [one.value for one in found.strengths.handlers] == pytest.approx([0, 0, 0], abs=1e-6)
