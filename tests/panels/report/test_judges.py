"""A model as judge against people, on panels whose figures are worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.core.messages import Judgement
from streams.panels.evidence import PanelEvidence, evidence_of
from streams.panels.judge.position import BothOrders
from streams.panels.judge.verdicts import SWAPPED
from streams.panels.report.counted import counted_cases
from streams.panels.report.judges import JudgeResult, judge_results
from tests.harness.panels import ERRORS_ONLY, OPTIONS, PICK_ONLY, answer, case, pair, panel, said


def results(evidence: PanelEvidence, **lengths: int) -> list[JudgeResult]:
    return list(judge_results(evidence, counted_cases(evidence), lengths, 0.95))


def model(case_id: str, verdict: str, question: str = "right", **more: str) -> Judgement:
    return said(case_id, "haiku", verdict, question, judge_kind="model", **more)


def test_true_positive_and_negative_rates_are_reweighted() -> None:
    cases = [case(n, probability=p) for n, p in enumerate((0.5, 0.25, 0.5, 0.25), 1)]
    people = [said(f"c{n}", "anna", verdict) for n, verdict in enumerate(("yes", "yes", "no", "no"), 1)]
    models = [model(f"c{n}", verdict) for n, verdict in enumerate(("yes", "no", "yes", "no"), 1)]
    made = panel(raters_per_case=1, rubric=ERRORS_ONLY)
    found = results(evidence_of(made, cases, [*people, *models]))[0]
    assert (found.judge, found.question, found.agreement.cases) == ("haiku", "right", 4)
    assert found.true_positive is not None
    assert found.true_negative is not None
    # Of the right answers the model finds the first one right, which stands for 2 of 6 tasks; of the wrong ones it
    # finds the last one wrong, which stands for 4 of 6.
    assert found.true_positive.value == pytest.approx(2 / 6)
    assert found.true_negative.value == pytest.approx(4 / 6)
    assert found.agreement.value == pytest.approx(6 / 12)


def test_agreement_is_with_a_rater_drawn_at_random() -> None:
    rated = [said("c1", "anna", "yes"), said("c1", "ben", "no"), model("c1", "no")]
    found = results(evidence_of(panel(rubric=ERRORS_ONLY), [case(1)], rated))[0]
    assert found.agreement.value == pytest.approx(0.5)


def test_a_model_that_finds_long_answers_right_has_a_length_bias() -> None:
    cases = [case(n, answer(call_id=f"k{n}")) for n in range(1, 7)]
    people = [said(f"c{n}", "anna", "no" if n in (3, 4) else "yes") for n in range(1, 7)]
    models = [model(f"c{n}", "no" if n == 1 else "yes") for n in range(1, 7)]
    made = panel(raters_per_case=1, rubric=ERRORS_ONLY)
    lengths = {f"k{n}": 10 * n for n in range(1, 7)}
    found = results(evidence_of(made, cases, [*people, *models]), **lengths)[0].length_bias
    assert found is not None
    # Shorter half, cases 1 to 3: the model is stricter by 1, and more lenient by 1, 0 on average. Longer half: more
    # lenient by 1 in one of three.
    assert found.value == pytest.approx(1 / 3)
    assert found.cases == 6
    assert found.low < 0 < found.high


def test_a_model_that_prefers_the_longer_of_two_answers_has_a_length_bias() -> None:
    pairs = [pair(n) for n in (1, 2, 3)]
    people = [said(f"c{n}", "anna", "worker", "better") for n in (1, 2, 3)]
    models = [
        model(f"c{n}", verdict, "better", left="worker") for n, verdict in enumerate(("reasoner", "tie", "worker"), 1)
    ]
    made = panel(raters_per_case=1, rubric=PICK_ONLY, options=OPTIONS)
    found = results(evidence_of(made, pairs, [*people, *models]), **{"call-worker": 10, "call-reasoner": 90})[0]
    assert found.length_bias is not None
    assert found.length_bias.value == pytest.approx((1 + 0.5 + 0) / 3)
    assert found.left is not None
    assert (found.left.hits, found.left.n) == (1, 2)


def test_unknown_lengths_give_no_bias() -> None:
    made = panel(raters_per_case=1, rubric=ERRORS_ONLY)
    rated = [said("c1", "anna", "yes"), model("c1", "yes")]
    assert results(evidence_of(made, [case(1)], rated))[0].length_bias is None


def test_a_panel_without_a_model_has_no_judges() -> None:
    made = panel(raters_per_case=1, rubric=ERRORS_ONLY)
    assert results(evidence_of(made, [case(1)], [said("c1", "anna", "yes")])) == []


def test_the_same_pairs_in_both_orders_are_compared_and_not_a_second_judge() -> None:
    pairs = [pair(n) for n in (1, 2)]
    people = [said(f"c{n}", "anna", "worker", "better") for n in (1, 2)]
    models = [model("c1", "worker", "better", left="worker"), model("c2", "worker", "better", left="worker")]
    swapped = [
        replace(model(name, verdict, "better", left="reasoner"), judge=f"haiku{SWAPPED}")
        for name, verdict in (("c1", "worker"), ("c2", "reasoner"))
    ]
    made = panel(raters_per_case=1, rubric=PICK_ONLY, options=OPTIONS)
    found = results(evidence_of(made, pairs, [*people, *models, *swapped]))
    assert [one.judge for one in found] == ["haiku"]
    assert found[0].orders == BothOrders(pairs=2, alike=1, first=1, second=0)


def test_a_model_that_prefers_the_shorter_answer_has_a_negative_length_bias() -> None:
    pairs = [pair(n) for n in (1, 2)]
    people = [said(f"c{n}", "anna", "worker", "better") for n in (1, 2)]
    models = [model("c1", "reasoner", "better"), model("c2", "tie", "better")]
    made = panel(raters_per_case=1, rubric=PICK_ONLY, options=OPTIONS)
    found = results(evidence_of(made, pairs, [*people, *models]), **{"call-worker": 90, "call-reasoner": 10})[0]
    assert found.length_bias is not None
    assert found.length_bias.value == pytest.approx(-(1 + 0.5) / 2)
