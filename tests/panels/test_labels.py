"""Panels as a source of truth: which verdicts count, and that each task has the same chance."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from streams.panels.labels import JudgedSample, judged_sample, with_equal_shares, without_overlap
from tests.builders import START
from tests.harness.panels import RUBRIC, answer, case, evidence, panel, said, skipped, stratum


def sample(*cases: Any, judgements: Any, **more: Any) -> JudgedSample | None:
    """The sample of a panel with one rater a case."""
    return judged_sample(evidence(panel(**{"raters_per_case": 1} | more), cases, *judgements))


def by_case(found: JudgedSample | None) -> dict[str, bool]:
    """The verdicts on the delivered answers of a sample."""
    assert found is not None
    return {case_id: right for (case_id, _), right in found.verdicts.items()}


def test_an_answer_is_right_if_more_raters_say_so_than_not() -> None:
    rated = [said("c1", name, word) for name, word in (("anna", "yes"), ("ben", "yes"), ("zoe", "no"))]
    assert by_case(sample(case(1), judgements=rated, raters_per_case=3)) == {"c1": True}


def test_on_a_tie_an_answer_counts_as_wrong_unless_it_was_adjudicated() -> None:
    tie = [said("c1", "anna", "yes"), said("c1", "ben", "no")]
    settled = said("c1", "zoe", "yes", kind="adjudication")
    assert by_case(sample(case(1), judgements=tie, raters_per_case=2)) == {"c1": False}
    assert by_case(sample(case(1), judgements=[*tie, settled], raters_per_case=2)) == {"c1": True}


def test_only_the_finished_beginning_of_the_draw_counts() -> None:
    found = sample(case(1), case(2), case(3), judgements=[said("c1", "anna", "yes"), said("c3", "anna", "yes")])
    assert found is not None
    assert ([one.case_id for one in found.cases], found.judged) == (["c1"], 1)


def test_a_case_is_finished_when_both_of_its_answers_are_judged() -> None:
    pair = case(1, answer("worker"), answer("reasoner", delivered=False))
    one = said("c1", "anna", "yes", option="worker")
    both = {"options": ("worker", "reasoner")}
    assert sample(pair, judgements=[one], **both) is None
    found = sample(pair, judgements=[one, said("c1", "anna", "no", option="reasoner")], **both)
    assert found is not None
    assert found.verdicts == {("c1", "worker"): True, ("c1", "reasoner"): False}


def test_a_skipped_case_is_counted_and_has_no_verdict() -> None:
    found = sample(case(1), case(2), judgements=[skipped("c1", "anna"), said("c2", "anna", "yes")])
    assert found is not None
    assert (by_case(found), found.judged, found.skipped) == ({"c2": True}, 2, 1)


def test_gold_cases_repeats_and_judgements_of_models_are_left_out() -> None:
    checks = [case(0, case_id="g", purpose="gold", expected="yes"), case(0, case_id="r", purpose="repeat")]
    model = said("c1", "haiku", "yes", judge_kind="model")
    assert sample(case(1), *checks, judgements=[model, said("g", "anna", "yes"), said("r", "anna", "yes")]) is None


def test_a_rubric_that_does_not_ask_for_right_or_wrong_gives_no_truth() -> None:
    text = RUBRIC.replace('means_right = "yes"\n', "")
    assert sample(case(1), judgements=[said("c1", "anna", "yes")], rubric=text) is None


def finished(name: str, cases: int, tasks: int, *, week: int = 0) -> JudgedSample:
    """The sample of a panel on one week of which some cases were judged."""
    begin = START + timedelta(weeks=week)
    drawn = [case(number, event_time=begin + timedelta(hours=number)) for number in range(1, 1 + cases)]
    of = panel(stratum(tasks=tasks), panel=name, since=begin, until=begin + timedelta(weeks=1), raters_per_case=1,
               created_at=begin + timedelta(weeks=1))  # fmt: skip
    found = judged_sample(evidence(of, drawn, *(said(one.case_id, "anna", "yes") for one in drawn)))
    assert found is not None
    return found


def test_samples_are_cut_to_the_same_share_of_their_tasks() -> None:
    cut = with_equal_shares([finished("a", 20, 100), finished("b", 20, 200)])
    assert {one.panel.panel: len(one.cases) for one in cut} == {"a": 10, "b": 20}


def test_a_panel_that_would_cost_more_cases_than_it_adds_is_left_out() -> None:
    cut = with_equal_shares([finished("a", 20, 100), finished("b", 1, 1000)])
    assert [(one.panel.panel, len(one.cases)) for one in cut] == [("a", 20)]


def test_an_event_in_the_ranges_of_two_panels_counts_for_the_newer_one() -> None:
    old, new = finished("old", 20, 100), finished("new", 5, 100)
    new = replace(
        new, panel=replace(new.panel, since=START + timedelta(hours=10), created_at=START + timedelta(days=9))
    )
    first, second = without_overlap([old, new])
    assert (first.panel.panel, len(first.cases)) == ("new", 5)
    assert [one.position for one in second.cases] == list(range(1, 10))


def test_panels_on_different_runs_do_not_overlap() -> None:
    old, new = finished("old", 3, 100), finished("new", 3, 100)
    new = replace(new, panel=replace(new.panel, run="candidate", created_at=START + timedelta(days=9)))
    assert [len(one.cases) for one in without_overlap([old, new])] == [3, 3]
