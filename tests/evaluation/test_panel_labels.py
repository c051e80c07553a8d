"""Verdicts of panels on cases: about that very call, or the same answer of the same worker in another run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from streams.calling.task import Task
from streams.evaluation.cases import labelled
from streams.evaluation.panel_labels import JudgedAnswer, PanelLabels, with_verdicts
from tests.builders import START
from tests.harness.shop import case

SAID = '{"number": "7"}'


def judged(number: int, *, right: bool = True, **more: Any) -> JudgedAnswer:
    """A verdict on the answer to one case of the shop."""
    usual: dict[str, Any] = {
        "event_id": f"e{number}", "run": "live", "call_id": f"call-{number}", "handler": "answer",
        "handler_version": "v", "answer": SAID,
    }  # fmt: skip
    return JudgedAnswer(right=right, **usual | more)


def labels(*answers: JudgedAnswer, days: int = 1) -> PanelLabels:
    """Verdicts of a panel on the days from START on."""
    ranges = ((START, START + timedelta(days=days)),)
    return PanelLabels(answers=answers, panels=("week-48",), ranges=ranges, judged=9, used=4, skipped=0)


def test_a_verdict_is_about_its_own_call() -> None:
    cases = with_verdicts([case(1), case(2), case(3)], labels(judged(1), judged(2, right=False)))
    assert [one.judged for one in cases] == [True, False, None]
    assert [right for _, right in labelled(cases, "panel")] == [True, False]


def test_the_same_answer_to_the_event_in_another_run_has_the_same_verdict() -> None:
    elsewhere = judged(1, call_id="of the other run", run="candidate")
    other = replace(case(1), attempt=replace(case(1).attempt, answer='{"number": "8"}'))
    assert [one.judged for one in with_verdicts([case(1)], labels(elsewhere))] == [True]
    assert [one.judged for one in with_verdicts([other], labels(elsewhere))] == [None]


def test_an_answer_of_another_version_of_the_worker_has_no_verdict() -> None:
    changed = replace(case(1), handler_version="v2", attempt=replace(case(1).attempt, call_id="new"))
    assert [one.judged for one in with_verdicts([changed], labels(judged(1)))] == [None]


def test_of_a_task_only_its_first_case_in_the_panels_range_counts() -> None:
    task = Task(text="again and again")
    before, first, later = (replace(case(number), task=task, whole=task) for number in (-1, 2, 3))
    found = with_verdicts([before, first, later], labels(judged(2), judged(3)))
    assert [one.judged for one in found] == [None, True, None]
    assert [one.judged for one in with_verdicts([before, first, later], labels(judged(3)))] == [None, None, None]


def test_a_refusal_has_no_verdict() -> None:
    refused = replace(case(1), attempt=replace(case(1).attempt, answer=None, status="refused"))
    assert [one.judged for one in with_verdicts([refused], labels(judged(1)))] == [None]
