"""One event in two runs: what of it changed, and which run was right."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from streams.core.answer_comparison import Comparison
from streams.evaluation.compare.diff import CHANGES, EventEnd, EventPair, answers_rightly, judge, same, tally
from streams.evaluation.compare.paired_statistics import Paired
from streams.evaluation.panel_labels import JudgedAnswer

YES = EventEnd(state="answered", tier="worker", handler="answer", intent="order", answer='{"n": 7, "why": "x"}')
BY_N = {("worker", "answer"): Comparison("fields", ("n",))}


def pair(a: EventEnd = YES, b: EventEnd = YES, **more: Any) -> EventPair:
    return EventPair(event_id="e", text="hello", a=a, b=b, **more)


def test_an_event_that_ended_alike_has_not_changed() -> None:
    found = judge(pair(), {})
    assert (found.changes, found.right, found.right_intent, found.disputed) == ((), None, None, False)


@pytest.mark.parametrize("name", CHANGES)
def test_every_difference_is_named(name: str) -> None:
    changed: dict[str, Any] = {name: "another"}
    other = replace(YES, **changed)
    assert judge(pair(b=other), {}).changes == (name,)


def test_answers_are_the_same_by_the_rule_of_a_handler_on_the_way_in_either_run() -> None:
    other = replace(YES, answer='{"n": 7, "why": "y"}', tier="reasoner", handler="think", route=("worker", "answer"))
    assert "answer" in judge(pair(b=other), {}).changes
    assert "answer" not in judge(pair(b=other), BY_N).changes
    assert "answer" not in judge(pair(a=other, b=YES), BY_N).changes


def test_an_answer_is_not_the_same_as_none_and_no_json_is_only_the_same_as_itself() -> None:
    assert not same(None, "1", [])
    assert same(None, None, [])
    assert same('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', [])
    assert not same("NaN", "Infinity", [])


def test_a_label_says_which_run_was_right_and_an_event_without_an_answer_was_not() -> None:
    nothing = replace(YES, state="failed", answer=None)
    found = judge(pair(b=nothing, label='{"n": 7}'), BY_N)
    assert found.right == (True, False)
    assert found.disputed
    assert answers_rightly(YES, YES.answer or "", [])
    assert not answers_rightly(YES, '"8"', [])


def judged(answer: str | None, *, right: bool) -> JudgedAnswer:
    return JudgedAnswer(
        event_id="e", run="live", call_id="c", handler="answer", handler_version="v", answer=answer, right=right
    )


def test_a_panel_judges_each_answer_that_is_the_same_as_one_that_it_saw() -> None:
    other = replace(YES, answer='{"n": 8}')
    seen = (judged('{"n": 7, "why": "another"}', right=True), judged('{"n": 8}', right=False))
    assert judge(pair(b=other, judged=seen), BY_N).right == (True, False)
    assert judge(pair(judged=seen), BY_N).right == (True, True)
    assert judge(pair(b=replace(YES, state="failed", answer=None), judged=seen), BY_N).right == (True, False)


def test_an_answer_that_the_panel_did_not_see_is_neither_right_nor_wrong() -> None:
    other = replace(YES, answer='{"n": 8}')
    found = judge(pair(b=other, judged=(judged(YES.answer, right=True),)), BY_N)
    assert (found.right, found.not_graded) == (None, True)


def test_an_answer_that_was_judged_both_ways_is_neither_right_nor_wrong() -> None:
    both = (judged(YES.answer, right=True), judged(YES.answer, right=False))
    assert judge(pair(judged=both), BY_N).right is None


def test_an_intent_s_label_is_a_word_or_the_word_as_json() -> None:
    other = replace(YES, intent="question")
    assert judge(pair(b=other, intent_label=" order "), {}).right_intent == (True, False)
    found = judge(pair(b=other, intent_label='"question"'), {})
    assert found.right_intent == (False, True)
    assert found.disputed_intent


def test_an_event_that_both_runs_ignored_needs_no_answer_unless_it_is_labelled() -> None:
    ignored = replace(YES, state="ignored", answer=None)
    assert not judge(pair(ignored, replace(ignored, state="duplicate")), {}).at_stake
    assert judge(pair(ignored, YES), {}).at_stake
    assert judge(pair(ignored, ignored, label="1"), {}).at_stake


def test_flips_are_ranked_by_label_then_by_change_then_by_cost() -> None:
    failed = replace(YES, state="failed", answer=None)
    dear = replace(YES, handler="other", usd=Decimal("0.5"))
    found = {
        "right by one": judge(pair(b=failed, label=YES.answer), {}),
        "another state": judge(pair(b=failed), {}),
        "a dearer handler": judge(pair(b=dear), {}),
        "a handler": judge(pair(b=replace(YES, handler="other")), {}),
        "nothing": judge(pair(), {}),
    }
    assert sorted(found, key=lambda name: found[name].rank) == list(found)


def test_a_labelled_event_counts_in_one_field_of_the_table_of_pairs() -> None:
    assert [tally(right) for right in ((True, True), (True, False), (False, True), (False, False))] == [
        Paired(both=1), Paired(only_a=1), Paired(only_b=1), Paired(neither=1),
    ]  # fmt: skip
