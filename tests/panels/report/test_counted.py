"""The cases that count, and their chances."""

from __future__ import annotations

import pytest

from streams.core.messages import Judgement
from streams.panels.report.counted import counted_cases, judged_cases
from tests.harness.panels import OPTIONS, PICK_ONLY, case, evidence, pair, panel, said, stratum


def judged(case_id: str, judge: str) -> list[Judgement]:
    """All answers of a rater to a case without a comparison."""
    return [said(case_id, judge, "yes"), said(case_id, judge, "2", "tone")]


def test_only_the_cases_before_the_first_unfinished_one_count() -> None:
    said_by = [one for case_id in ("c1", "c3") for judge in ("anna", "ben") for one in judged(case_id, judge)]
    of = evidence(panel(), [case(1), case(2), case(3)], *said_by, *judged("c2", "anna"))
    assert [one.case_id for one in counted_cases(of).cases] == ["c1"]


def test_a_case_without_an_answer_to_one_question_is_unfinished() -> None:
    of = evidence(panel(raters_per_case=1), [case(1)], said("c1", "anna", "yes"))
    assert len(counted_cases(of)) == 0


def test_a_finished_panel_has_the_chances_of_its_draw() -> None:
    cases = [case(1, probability=0.3), case(2, probability=0.7)]
    of = evidence(panel(raters_per_case=1), cases, *judged("c1", "anna"), *judged("c2", "anna"))
    assert counted_cases(of).probabilities.tolist() == [0.3, 0.7]


def test_an_unfinished_panel_has_the_lower_chances_of_fewer_cases() -> None:
    of = evidence(
        panel(stratum(tasks=100), raters_per_case=1), [case(number, probability=0.3) for number in range(1, 31)],
        *(one for number in range(1, 11) for one in judged(f"c{number}", "anna")),
    )  # fmt: skip
    assert counted_cases(of).probabilities == pytest.approx([0.1] * 10, rel=0.05)


def test_a_part_keeps_its_own_cases_and_chances() -> None:
    cases = [case(1, probability=0.3), case(2, probability=0.7)]
    of = evidence(panel(raters_per_case=1), cases, *judged("c1", "anna"), *judged("c2", "anna"))
    part = counted_cases(of).where(lambda one: one.position == 2)
    assert ([one.case_id for one in part.cases], part.probabilities.tolist()) == (["c2"], [0.7])


def test_comparisons_that_a_model_has_not_judged_end_its_cases() -> None:
    made = panel(stratum(tasks=100), raters_per_case=1, rubric=PICK_ONLY, options=OPTIONS)
    of = evidence(made, [pair(1), pair(2), pair(3)], said("c1", "judge-1", "worker", "better", judge_kind="model"))
    (question,) = of.rubric.questions
    assert [one.case_id for one in judged_cases(of, question, "judge-1").cases] == ["c1"]
