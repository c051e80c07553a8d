from __future__ import annotations

from dataclasses import replace

import pytest

from streams.evaluation.tiers.panel_figures import PanelFigures
from streams.panels.evidence import PanelEvidence
from streams.panels.tier_figures import panel_figures
from tests.harness.panels import NAME, answer, case, evidence, panel, said, stratum

PEOPLE, JUDGE = f"panel:{NAME}", "judge:haiku"
CENSUS = {"probability": 1.0, "judge_probability": 1.0}
ONE_RATER = {"raters_per_case": 1}


def of_tiers() -> PanelEvidence:
    """A census: the worker's answers c1 and c2, of which c1 is wrong, and the reasoner's answer c3."""
    thought = replace(answer(), tier="reasoner", handler="think", call_id="call-think")
    cases = [case(1, **CENSUS), case(2, **CENSUS), case(3, thought, **CENSUS)]
    made = panel(stratum(tasks=2), stratum("think", tasks=1), cases=3, **ONE_RATER)
    return evidence(made, cases, *(
        said(case_id, "anna", verdict, question)
        for case_id, verdict in {"c1": "no", "c2": "yes", "c3": "yes"}.items()
        for question, verdict in (("right", verdict), ("tone", "2"))
    ))  # fmt: skip


def shares(found: PanelFigures) -> dict[tuple[str, str], tuple[int, int, float | None]]:
    return {(one.source.name, one.tier): (one.tasks, one.cases, one.value) for one in found.rates}


def test_the_share_of_right_answers_is_given_by_tier_and_in_all() -> None:
    found = shares(panel_figures([of_tiers()]))
    assert {name: (tasks, cases) for name, (tasks, cases, _) in found.items()} == {
        (PEOPLE, ""): (3, 3),
        (PEOPLE, "worker"): (2, 2),
        (PEOPLE, "reasoner"): (1, 1),
    }
    assert [value for _, _, value in found.values()] == pytest.approx([2 / 3, 1 / 2, 1.0])


def test_a_case_that_was_drawn_with_a_lower_chance_stands_for_more_tasks() -> None:
    cases = [case(1, probability=0.25, prediction=0.0), case(2, probability=0.5, prediction=0.0)]
    judged = [said("c1", "anna", "no"), said("c2", "anna", "yes")]
    polite = [said(name, "anna", "2", "tone") for name in ("c1", "c2")]
    made = panel(stratum(tasks=6, prediction=0.0), cases=2, **ONE_RATER)
    (whole, _) = panel_figures([evidence(made, cases, *judged, *polite)]).rates
    assert whole.value == pytest.approx(2 / (4 + 2))  # of 6 tasks, c1 stands for 4 and c2 for 2
    assert whole.low is not None
    assert whole.high is not None
    assert whole.low < 1 / 3 < whole.high


def test_a_model_is_a_source_of_its_own() -> None:
    people = of_tiers()
    model = [
        replace(one, judge="haiku", judge_kind="model", verdict="no")
        for one in people.judgements
        if one.question == "right"
    ]
    found = shares(panel_figures([evidence(people.panel, people.cases, *people.judgements, *model)]))
    assert found[PEOPLE, ""][2] == pytest.approx(2 / 3)
    assert found[JUDGE, ""][2] == pytest.approx(0.0)


def test_each_judged_answer_has_its_call_and_its_value() -> None:
    found = panel_figures([of_tiers()]).answers
    assert [(one.source.name, one.source.kind, one.call_id, one.wrong) for one in found] == [
        (PEOPLE, "panel", "call-outcome", 1.0),
        (PEOPLE, "panel", "call-outcome", 0.0),
        (PEOPLE, "panel", "call-think", 0.0),
    ]


def test_a_comparison_counts_wins_ties_and_losses_and_reweights_the_rate() -> None:
    both = answer("worker", delivered=True), answer("reasoner", delivered=False)
    chances = {1: 0.25, 2: 0.5, 3: 0.5}
    cases = [case(place, *both, probability=chance) for place, chance in chances.items()]
    picks = {"c1": "reasoner", "c2": "worker", "c3": "tie"}
    made = panel(options=("worker", "reasoner"), cases=3, **ONE_RATER)
    judged = [said(name, "anna", verdict, "better") for name, verdict in picks.items()]
    asked = [
        said(name, "anna", verdict, question, option=option)
        for name in picks
        for option in ("worker", "reasoner")
        for question, verdict in (("right", "yes"), ("tone", "2"))
    ]
    (found,) = panel_figures([evidence(made, cases, *judged, *asked)]).preferences
    assert (found.a, found.b, found.question) == ("worker", "reasoner", "better")
    assert (found.wins, found.ties, found.losses) == (1, 1, 1)
    assert found.value == pytest.approx((4 * 1 + 2 * 0 + 2 * 0.5) / 8)


def test_verdicts_are_counted_by_question_as_they_were_given() -> None:
    found = panel_figures([of_tiers()]).verdicts
    assert [(one.question, one.judges, one.option, one.verdict, one.judgements) for one in found] == [
        ("right", "person", "outcome", "yes", 2),
        ("right", "person", "outcome", "no", 1),
        ("tone", "person", "outcome", "2", 3),
    ]


def test_a_panel_without_a_judgement_gives_no_figure() -> None:
    assert panel_figures([evidence(panel(), [case(1)])]) == PanelFigures()
