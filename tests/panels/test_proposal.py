"""One changed threshold or route that a panel's judgements speak for, or the reasons for none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streams.calibration.risk_control import Target
from streams.core.messages import Judgement, PanelCase
from streams.panels.answer_calls import AnswerCall
from streams.panels.evidence import evidence_of
from streams.panels.proposal import ProposalRequest, Proposals, propose
from streams.pipeline.load import Pipeline
from tests.harness.panels import ERRORS_ONLY, OPTIONS, PICK_ONLY, answer, case, panel, said, stratum
from tests.harness.shop import PIPELINE, shop

CASES = 200


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("shop"))


def accepted(confidence: float | None, intent: str = "order") -> AnswerCall:
    return AnswerCall(confidence=confidence, accepted=True, characters=10, intent=intent)


def proposed(
    pipeline: Pipeline,
    cases: list[PanelCase],
    judgements: list[Judgement],
    answers: dict[str, AnswerCall],
    max_error: float = 0.1,
    **fields: Any,
) -> Proposals:
    usual = {"raters_per_case": 1, "rubric": ERRORS_ONLY}
    of = evidence_of(panel(stratum(tasks=2000), **usual | fields), cases, judgements)
    return propose(ProposalRequest(of, answers, pipeline, Target(max_error, 0.95)))


def by_confidence(pipeline: Pipeline, wrong_below: float, least: float = 0.5, max_error: float = 0.1) -> Proposals:
    """Of 200 answers with confidences from `least` to 1, those below a limit are wrong."""
    confidences = [round(least + (1 - least) * n / CASES, 4) for n in range(1, CASES + 1)]
    cases = [case(n, answer(call_id=f"k{n}"), probability=0.1) for n in range(1, CASES + 1)]
    rated = [said(f"c{n}", "anna", "no" if one < wrong_below else "yes") for n, one in enumerate(confidences, 1)]
    answers = {f"k{n}": accepted(one) for n, one in enumerate(confidences, 1)}
    return proposed(pipeline, cases, rated, answers, max_error)


def test_a_threshold_is_raised_until_the_error_bound_meets_the_target(pipeline: Pipeline) -> None:
    found = by_confidence(pipeline, wrong_below=0.9, least=0.8).found
    assert [(one.table, one.key, one.before) for one in found] == [("workers.answer", "threshold", "0.8")]
    # Below 0.9 all are wrong. Of those at or above t the share (0.9 - t) / (1 - t) is wrong: 10 % at t = 0.889.
    assert 0.889 < float(found[0].value) <= 0.9
    assert found[0].setting == f"workers.answer.threshold={found[0].value}"


def test_a_threshold_is_lowered_while_the_error_bound_meets_the_target(pipeline: Pipeline) -> None:
    found = by_confidence(pipeline, wrong_below=0.6).found
    assert [one.key for one in found] == ["threshold"]
    assert 0.56 < float(found[0].value) < 0.62
    assert "with 0.8" in found[0].why


def test_a_stricter_target_accepts_less(pipeline: Pipeline) -> None:
    loose, strict = (by_confidence(pipeline, 0.6, max_error=limit).found[0] for limit in (0.2, 0.05))
    assert float(loose.value) < float(strict.value)


def test_a_threshold_that_accepts_as_much_as_it_may_stays(tmp_path: Path) -> None:
    now = shop(tmp_path, PIPELINE.replace("threshold = 0.8", "threshold = 0.1"))
    found = by_confidence(now, wrong_below=0.0)
    assert found.found == ()
    assert found.not_found[-1].startswith("The threshold of answer stays at 0.1")


def test_errors_among_the_most_confident_answers_propose_nothing(pipeline: Pipeline) -> None:
    found = by_confidence(pipeline, wrong_below=1.0)
    assert found.found == ()
    assert "of its 66 most confident judged answers up to" in found.not_found[-1]


def test_a_few_cases_are_too_few_for_a_threshold(pipeline: Pipeline) -> None:
    cases = [case(n, answer(call_id=f"k{n}"), probability=0.1) for n in range(1, 11)]
    rated = [said(f"c{n}", "anna", "yes") for n in range(1, 11)]
    found = proposed(pipeline, cases, rated, {f"k{n}": accepted(n / 10) for n in range(1, 11)})
    assert found.found == ()


def test_workers_without_a_confidence_are_named(pipeline: Pipeline) -> None:
    found = proposed(pipeline, [case(1, answer(call_id="k1"))], [said("c1", "anna", "yes")], {"k1": accepted(None)})
    assert "The threshold of answer: no judged answer of it has a confidence." in found.not_found


def pairs(wins: int, losses: int, *, delivered: str = "worker") -> tuple[list[PanelCase], list[Judgement]]:
    """Cases with both answers, and picks of the reasoner's in `wins` of them."""
    cases = [
        case(
            n, answer("worker", delivered=delivered == "worker", call_id=f"k{n}"),
            answer("reasoner", delivered=delivered == "reasoner"), probability=0.1,
        )
        for n in range(1, wins + losses + 1)
    ]  # fmt: skip
    picks = ["reasoner"] * wins + ["worker"] * losses
    return cases, [said(f"c{n}", "anna", pick, "better") for n, pick in enumerate(picks, 1)]


def routed(pipeline: Pipeline, wins: int, losses: int, intent: str = "order", **more: str) -> Proposals:
    cases, rated = pairs(wins, losses, **more)
    answers = {f"k{n}": accepted(0.9, intent) for n in range(1, len(cases) + 1)}
    return proposed(pipeline, cases, rated, answers, options=OPTIONS, rubric=PICK_ONLY)


def test_an_intent_whose_worker_clearly_loses_goes_to_the_reasoner(pipeline: Pipeline) -> None:
    found = routed(pipeline, 18, 2).found
    assert [(one.table, one.key, one.value, one.before) for one in found] == [
        ("routes", "order", '"reasoners.think"', "workers.answer")
    ]
    assert found[0].setting == "routes.order=reasoners.think"


def test_an_intent_whose_worker_loses_by_chance_keeps_its_route(pipeline: Pipeline) -> None:
    found = routed(pipeline, 12, 8)
    assert found.found == ()
    assert found.not_found[0].startswith("The route of 'order' stays: of 20 compared answers")


def test_answers_that_were_escalated_do_not_speak_against_a_route(pipeline: Pipeline) -> None:
    found = routed(pipeline, 20, 0, delivered="reasoner")
    assert found.found == ()
    assert found.not_found[0].startswith("Routes: no intent has 5 judged cases")


def test_without_a_comparison_the_answers_that_are_right_decide_the_route(pipeline: Pipeline) -> None:
    cases, _ = pairs(20, 0)
    rated = [
        said(of.case_id, "anna", verdict, option=option)
        for of in cases for option, verdict in (("worker", "no"), ("reasoner", "yes"))
    ]  # fmt: skip
    answers = {f"k{n}": accepted(0.9) for n in range(1, 21)}
    found = proposed(pipeline, cases, rated, answers, options=OPTIONS)
    assert [one.key for one in found.found] == ["order"]


def test_a_panel_that_compares_runs_names_the_other_runs_pipeline_as_the_candidate(pipeline: Pipeline) -> None:
    pair = case(1, answer("live", call_id="k1"), answer("cheaper", run="cheaper"))
    rated = [said("c1", "anna", "yes", option=option) for option in ("live", "cheaper")]
    found = proposed(pipeline, [pair], rated, {"k1": accepted(0.9)}, options=("live", "cheaper"))
    assert found.not_found[0] == "Routes: the panel compares runs; the pipeline of cheaper is itself the candidate."


def test_a_rubric_without_a_question_about_being_right_proposes_no_threshold(pipeline: Pipeline) -> None:
    assert (
        "Thresholds: no question of the rubric has means_right, so no answer is known to be right."
        in routed(pipeline, 1, 1).not_found
    )


@pytest.mark.parametrize(("count", "thresholds"), [(56, ["0.7"]), (50, [])])
def test_the_upper_bound_alone_has_the_certainty(pipeline: Pipeline, count: int, thresholds: list[str]) -> None:
    # Of right answers alone, drawn with a chance of 0.1, the upper bound is 4.7 % for 56 and 5.3 % for 50.
    cases = [case(n, answer(call_id=f"k{n}"), probability=0.1) for n in range(1, count + 1)]
    rated = [said(f"c{n}", "anna", "yes") for n in range(1, count + 1)]
    answers = {f"k{n}": accepted(0.7) for n in range(1, count + 1)}
    assert [one.value for one in proposed(pipeline, cases, rated, answers, 0.05).found] == thresholds
