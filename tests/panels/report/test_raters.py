"""Each rater's gold cases, repeats, sides and pace."""

from __future__ import annotations

import pytest

from streams.core.messages import Judgement, PanelCase
from streams.panels.evidence import PanelEvidence, evidence_of
from streams.panels.report.raters import RaterResult, rater_results
from tests.harness.panels import answer, case, panel, said, skipped

OPTIONS = ("worker", "reasoner")


def results(evidence: PanelEvidence) -> dict[str, RaterResult]:
    return {one.name: one for one in rater_results(evidence, 0.95)}


def of(cases: list[PanelCase], *rated: Judgement, options: tuple[str, ...] = ("outcome",)) -> dict[str, RaterResult]:
    return results(evidence_of(panel(options=options), cases, rated))


def test_gold_cases_are_right_as_expected_on_the_question_about_being_right_alone() -> None:
    gold = [case(0, case_id=name, purpose="gold", expected="no") for name in ("g1", "g2")]
    found = of(gold, said("g1", "anna", "no"), said("g1", "anna", "3", "tone"), said("g2", "anna", "yes"))["anna"]
    assert (found.gold.hits, found.gold.n, found.cases) == (1, 2, 0)
    assert (found.gold.low, found.gold.high) == pytest.approx((0.095, 0.905), abs=5e-4)  # Wilson's interval of 1 in 2


def test_a_repeat_is_compared_with_the_raters_own_first_verdict() -> None:
    cases = [case(1), case(0, case_id="r1", purpose="repeat", repeats="c1")]
    rated = [said("c1", "anna", "yes"), said("c1", "anna", "2", "tone"), said("c1", "ben", "no")]
    again = [said("r1", "anna", "yes"), said("r1", "anna", "3", "tone")]
    found = of(cases, *rated, *again)["anna"]
    assert (found.repeats.hits, found.repeats.n, found.cases) == (1, 2, 1)


def test_the_left_share_counts_decided_comparisons() -> None:
    pairs = [case(number, answer("worker"), answer("reasoner", delivered=False)) for number in (1, 2, 3)]
    rated = [
        said("c1", "anna", "worker", "better", left="worker"),
        said("c2", "anna", "worker", "better", left="reasoner"),
        said("c3", "anna", "tie", "better", left="worker"),
    ]
    found = of(pairs, *rated, options=OPTIONS)["anna"]
    assert (found.left.hits, found.left.n) == (1, 2)


def test_a_cases_time_counts_once_for_all_its_questions() -> None:
    rated = [said("c1", "anna", "yes", seconds=10.0), said("c1", "anna", "2", "tone", seconds=10.0)]
    found = of([case(1), case(2)], *rated, said("c2", "anna", "yes", seconds=30.0))["anna"]
    assert found.seconds == 20.0


def test_a_rater_who_only_skipped_is_listed() -> None:
    found = of([case(1)], skipped("c1", "ben"))["ben"]
    assert (found.cases, found.skipped, found.gold.value) == (0, 1, None)


def test_models_and_adjudicators_are_not_raters() -> None:
    rated = [said("c1", "haiku", "no", judge_kind="model"), said("c1", "zoe", "no", kind="adjudication")]
    assert of([case(1)], *rated) == {}
