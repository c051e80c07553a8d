"""The value of a case: whose judgements count, and when."""

from __future__ import annotations

from datetime import timedelta

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.core.errors import ConfigError
from streams.panels.evidence import (
    CaseValue,
    PanelEvidence,
    case_values,
    evidence_of,
    ratings_of,
    read_panel,
)
from tests.builders import START
from tests.harness.audit import write
from tests.harness.panels import NAME, answer, case, evidence, panel, said, skipped

LATER = START + timedelta(days=9)


def values(of: PanelEvidence, question: str = "right", option: str = "delivered", judge: str = "") -> list[CaseValue]:
    asked = next(one for one in of.rubric.questions if one.name == question)
    return case_values(of, asked, option, judge=judge)


def test_a_cases_value_is_the_share_of_its_raters_who_find_it_wrong() -> None:
    found = values(evidence(panel(), [case(1)], said("c1", "anna", "yes"), said("c1", "ben", "no")))
    assert [(one.value, one.ratings, one.complete) for one in found] == [(0.5, 2, True)]


def test_an_adjudication_wins_over_the_ratings() -> None:
    settled = said("c1", "zoe", "no", kind="adjudication")
    found = values(evidence(panel(), [case(1)], said("c1", "anna", "yes"), said("c1", "ben", "no"), settled))
    assert [(one.value, one.adjudicated) for one in found] == [(1.0, True)]


def test_a_case_with_too_few_raters_is_not_complete() -> None:
    found = values(evidence(panel(), [case(1), case(2)], said("c2", "anna", "yes"), said("c2", "ben", "yes")))
    assert [one.complete for one in found] == [False, True]


def test_the_later_of_two_judgements_of_one_rater_counts() -> None:
    again = said("c1", "anna", "yes", judged_at=LATER)
    found = values(evidence(panel(raters_per_case=1), [case(1)], again, said("c1", "anna", "no")))
    assert [(one.value, one.ratings) for one in found] == [(0.0, 1)]


def test_a_case_that_all_its_raters_skipped_is_complete_without_a_value() -> None:
    found = values(evidence(panel(), [case(1)], skipped("c1", "anna"), skipped("c1", "ben")))
    assert [(one.value, one.complete, one.skipped) for one in found] == [(None, True, True)]


def test_a_rating_after_a_skip_replaces_it() -> None:
    after = said("c1", "anna", "no", judged_at=LATER)
    found = values(evidence(panel(raters_per_case=1), [case(1)], skipped("c1", "anna"), after))
    assert [one.value for one in found] == [1.0]


def test_a_skip_after_a_rating_replaces_it() -> None:
    after = skipped("c1", "anna", judged_at=LATER)
    found = values(evidence(panel(raters_per_case=1), [case(1)], said("c1", "anna", "no"), after))
    assert [(one.value, one.skipped) for one in found] == [(None, True)]


def test_a_case_whose_event_was_erased_before_its_end_counts_as_skipped() -> None:
    rated = [said("c1", "anna", "no"), said("c2", "anna", "no"), said("c2", "ben", "no")]
    found = values(evidence_of(panel(), [case(1), case(2)], rated, erased=["c1", "c2"]))
    assert [(one.value, one.complete, one.skipped) for one in found] == [(None, True, True), (1.0, True, False)]


def test_an_adjudication_is_not_a_rating() -> None:
    settled = said("c1", "zoe", "no", kind="adjudication")
    of = evidence(panel(), [case(1)], said("c1", "anna", "yes"), settled)
    assert ratings_of(of, of.rubric.questions[0]) == {"c1": {"anna": "yes"}}


def test_gold_cases_and_repeats_have_no_value() -> None:
    checks = [
        case(0, case_id="g", purpose="gold", expected="yes"),
        case(0, purpose="repeat", case_id="r", repeats="c1"),
    ]
    found = values(evidence(panel(), [case(1), *checks], said("g", "anna", "no"), said("r", "anna", "no")))
    assert [one.case.case_id for one in found] == ["c1"]


def test_a_models_judgement_counts_apart_from_peoples() -> None:
    rated = said("c1", "haiku", "no", judge_kind="model")
    of = evidence(panel(raters_per_case=1), [case(1), case(2, purpose="judge")], rated)
    assert [one.value for one in values(of)] == [None]
    assert [(one.case.case_id, one.value) for one in values(of, judge="haiku")] == [("c1", 1.0), ("c2", None)]


def test_a_scale_has_the_points_number_as_its_value() -> None:
    of = evidence(panel(), [case(1)], said("c1", "anna", "1", "tone"), said("c1", "ben", "3", "tone"))
    assert [one.value for one in values(of, "tone")] == [2.0]


def test_the_delivered_answer_is_judged_by_its_own_option() -> None:
    pair = case(1, answer("worker", delivered=False), answer("reasoner"))
    rated = [said("c1", "anna", "no", option="worker"), said("c1", "anna", "yes", option="reasoner")]
    of = evidence(panel(raters_per_case=1, options=("worker", "reasoner")), [pair], *rated)
    assert [one.value for one in values(of)] == [0.0]
    assert [one.value for one in values(of, option="worker")] == [1.0]


def test_a_pick_counts_for_an_option_and_a_tie_half() -> None:
    pairs = [case(number, answer("worker", delivered=False), answer("reasoner")) for number in (1, 2, 3, 4)]
    picks = ["reasoner", "worker", "tie", "both bad"]
    rated = [said(one.case_id, "anna", pick, "better") for one, pick in zip(pairs, picks, strict=True)]
    of = evidence(panel(raters_per_case=1, options=("worker", "reasoner")), [*pairs, case(5)], *rated)
    assert [one.value for one in values(of, "better", "reasoner")] == [1.0, 0.0, 0.5, 0.5]


@pytest.mark.embedded
def test_a_panel_is_read_from_the_audit_as_it_was_written(config: ClickHouseConfig) -> None:
    made, drawn = panel(), [case(1), case(2, answer("worker"), answer("reasoner", delivered=False))]
    rated = [said("c1", "anna", "yes"), skipped("c2", "anna")]
    write(config, made, *drawn, *rated, *rated, said("c9", "anna", "no", panel="another"))
    connected = config.connect()
    connected.command("INSERT INTO erased_events_rows (event_id) VALUES ('e2')")
    connected.close()
    assert read_panel(Audit(config), NAME) == evidence_of(made, drawn, rated, erased=["c2"])


@pytest.mark.embedded
def test_an_unknown_panel_is_an_error_with_a_remedy(config: ClickHouseConfig) -> None:
    with pytest.raises(ConfigError, match=r"there is no panel 'week-99'.* `escalon panel list`"):
        read_panel(Audit(config), "week-99")
