"""A model's reply as judgements."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.core.messages import Attempt, Judgement
from streams.panels.judge.position import BothOrders, both_orders
from streams.panels.judge.verdicts import SWAPPED, judgements_of, showings
from tests.builders import START
from tests.harness.judge import ALONE, DESK, SURE, pair
from tests.harness.panels import case, said


def attempt(answer: Any = None, **more: Any) -> Attempt:
    usual: dict[str, Any] = {"status": "answered", "answer": json.dumps(answer), "call_id": "judge-call"}
    return Attempt(tier="judge", handler="judge", **usual | more)


def judged(answer: Any, left: str = "worker", *, swapped: bool = False) -> list[Judgement]:
    shown = showings(pair(1, left), "m", both_orders=True)[swapped]
    return judgements_of(shown, DESK, attempt(answer), START)


def test_each_answer_gets_a_judgement_with_its_own_call() -> None:
    found = [(one.question, one.option, one.verdict, one.call_id) for one in judged(SURE) if one.option]
    assert found == [
        ("right", "worker", "yes", "call-worker"),
        ("right", "reasoner", "no", "call-reasoner"),
        ("tone", "worker", "3", "call-worker"),
        ("tone", "reasoner", "1", "call-reasoner"),
    ]


@pytest.mark.parametrize(
    ("choice", "left", "swapped", "verdict"),
    [
        ("A", "worker", False, "worker"),
        ("B", "worker", False, "reasoner"),
        ("A", "reasoner", False, "reasoner"),
        ("A", "worker", True, "reasoner"),
        ("tie", "worker", False, "tie"),
        ("both bad", "reasoner", False, "both bad"),
    ],
)
def test_a_choice_names_the_option_on_that_side(choice: str, left: str, swapped: bool, verdict: str) -> None:
    (found,) = (one for one in judged({**SURE, "better": choice}, left, swapped=swapped) if one.question == "better")
    assert (found.verdict, found.option, found.call_id) == (verdict, "", "")


def test_a_judgement_says_which_answer_was_first_and_who_judged() -> None:
    first, other = judged(SURE)[0], judged(SURE, swapped=True)[0]
    assert (first.judge, first.left, first.judge_kind, first.comment) == ("m", "worker", "model", "It says so.")
    assert (other.judge, other.left) == (f"m{SWAPPED}", "reasoner")
    assert {one.rubric for one in judged(SURE)} == {DESK.id}


def test_a_single_answer_has_no_sides_and_no_comparison() -> None:
    (shown,) = showings(case(1), "m", both_orders=True)
    found = judgements_of(shown, DESK, attempt(ALONE), START)
    assert [(one.question, one.option, one.verdict, one.left) for one in found] == [
        ("right", "outcome", "yes", ""),
        ("tone", "outcome", "2", ""),
    ]


@pytest.mark.parametrize(
    ("more", "comment"),
    [
        ({"status": "refused", "refusal_class": "unsafe", "refusal_reason": "not this"}, "refused: not this"),
        ({"status": "invalid", "error_type": "not_json", "error": "no JSON"}, "invalid: no JSON"),
    ],
)
def test_a_reply_without_verdicts_is_a_skip(more: dict[str, Any], comment: str) -> None:
    (shown, *_) = showings(pair(1), "m", both_orders=False)
    (found,) = judgements_of(shown, DESK, attempt(**{"answer": None} | more), START)
    assert (found.kind, found.question, found.verdict, found.comment) == ("skip", "", "", comment)


def test_a_failed_call_judges_nothing() -> None:
    (shown, *_) = showings(pair(1), "m", both_orders=False)
    assert judgements_of(shown, DESK, attempt(None, status="failed", error_type="timeout"), START) == []


def test_choices_in_both_orders_are_alike_or_follow_the_place() -> None:
    def chose(case_id: str, normal: str, swapped: str) -> list[Judgement]:
        return [
            said(case_id, "m", normal, "better", left="worker", judge_kind="model"),
            said(case_id, f"m{SWAPPED}", swapped, "better", left="reasoner", judge_kind="model"),
        ]

    told = [
        *chose("c1", "worker", "worker"),
        *chose("c2", "tie", "tie"),
        *chose("c3", "worker", "reasoner"),  # the first one both times
        *chose("c4", "reasoner", "worker"),  # the second one both times
        *chose("c5", "worker", "tie"),
        said("c6", "m", "worker", "better", left="worker"),  # shown once
        said("c7", "anna", "worker", "better"),
    ]
    assert both_orders(told, "m") == BothOrders(pairs=5, alike=2, first=1, second=1)
