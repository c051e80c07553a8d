"""A model's reply as judgements on a panel's case."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streams.core.messages import Attempt, Judgement, PanelCase
from streams.panels.judge.handler import REASON, SIDES, asked
from streams.panels.rubric import Question, Rubric

SWAPPED = " (sides swapped)"
"""Ends the judge's name on judgements of a pair that it was shown the other way round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """A case as a model is shown it: by this judge's name, its answers in this order."""

    case: PanelCase
    judge: str
    order: tuple[str, ...]

    @property
    def pair(self) -> bool:
        """True if two answers are compared."""
        return len(self.order) > 1


def showings(case: PanelCase, judge: str, *, both_orders: bool) -> list[Showing]:
    """Return the ways to show a case: with the panel's left answer first and, if asked for, swapped as well."""
    options = [one.option for one in case.answers]
    order = tuple(sorted(options, key=lambda option: option != case.left))
    shown = [Showing(case=case, judge=judge, order=order)]
    if both_orders and len(order) > 1:
        shown.append(Showing(case=case, judge=judge + SWAPPED, order=order[::-1]))
    return shown


def judgements_of(showing: Showing, rubric: Rubric, attempt: Attempt, at: datetime) -> list[Judgement]:
    """Return what the model said of each question; one skip where it refused or its reply is not valid.

    An attempt that failed gives nothing: the case can be shown again.
    """
    if attempt.status == "failed":
        return []
    if attempt.status != "answered" or attempt.answer is None:
        why = attempt.refusal_reason or attempt.error or attempt.status
        return [skip(showing, rubric, f"{attempt.status}: {why}", at)]
    said: Mapping[str, Any] = json.loads(attempt.answer)
    found = (_of_question(showing, rubric, one, said, at) for one in asked(rubric, pair=showing.pair))
    return [judgement for some in found for judgement in some]


def skip(showing: Showing, rubric: Rubric, why: str, at: datetime) -> Judgement:
    """Return the judgement that a case has no verdict of the model."""
    return _judgement(showing, rubric, at, kind="skip", comment=why)


def _of_question(
    showing: Showing, rubric: Rubric, question: Question, said: Mapping[str, Any], at: datetime
) -> Iterator[Judgement]:
    verdict, comment = said[question.name], str(said[REASON])
    sides = dict(zip(SIDES, showing.order, strict=False))
    if question.type == "pick":
        chosen = sides.get(verdict, verdict)
        yield _judgement(showing, rubric, at, question=question.name, verdict=chosen, comment=comment)
        return
    calls = {one.option: one.call_id for one in showing.case.answers}
    for side, option in sides.items():
        own = verdict[side] if showing.pair else verdict
        about = {"option": option, "call_id": calls[option]}
        yield _judgement(showing, rubric, at, question=question.name, verdict=own, comment=comment, **about)


def _judgement(showing: Showing, rubric: Rubric, at: datetime, **said: Any) -> Judgement:
    case = showing.case
    usual: dict[str, Any] = {"call_id": "", "question": "", "verdict": ""}
    return Judgement(
        event_id=case.event_id,
        run=case.run,
        judge=showing.judge,
        judged_at=at,
        panel=case.panel,
        case_id=case.case_id,
        rubric=rubric.id,
        judge_kind="model",
        left=showing.order[0] if showing.pair else "",
        **usual | said,
    )
