"""The options of a case on the sides of a person's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from streams.core.messages import PanelCase
from streams.panels.board import VerdictKey
from streams.panels.content import CaseContent
from streams.ui.panel.fields import FormField, Side, form_fields
from streams.ui.panel.judging import PanelSession, left_option
from streams.ui.panel.pages import ShownAnswer, ShownCase


def sides_of(session: PanelSession, case: PanelCase) -> Mapping[Side, str]:
    """Return the option on each side, as this person sees the case."""
    left, options = left_option(session, case), [answer.option for answer in case.answers]
    return dict(zip(get_args(Side), sorted(options, key=lambda option: option != left), strict=False))


def case_fields(session: PanelSession, case: PanelCase) -> Sequence[FormField]:
    """Return the fields of a case's form."""
    return form_fields(session.assigner.rubric.questions, list(sides_of(session, case)))


def shown_case(session: PanelSession, case: PanelCase, content: CaseContent) -> ShownCase:
    """Return a case's content with its answers on their sides."""
    answers = (ShownAnswer(side=side, text=content.answers[option]) for side, option in sides_of(session, case).items())
    image = f"/panel/image/{case.case_id}" if content.image else ""
    return ShownCase(text=content.text, data=content.data or None, image=image, answers=tuple(answers))


def field_key(one: FormField, sides: Mapping[Side, str]) -> VerdictKey:
    """Return the question and the option that a field is about."""
    return one.question.name, sides[one.side] if one.side is not None else ""


def stored_verdict(one: FormField, chosen: str, sides: Mapping[Side, str]) -> str:
    """Return the verdict to store: of a comparison, the option in place of its side."""
    by_side: Mapping[str, str] = {str(side): option for side, option in sides.items()}
    return by_side.get(chosen, chosen) if one.side is None else chosen


def field_value(one: FormField, verdict: str, sides: Mapping[Side, str]) -> str:
    """Return a stored verdict as the value of a form's field."""
    by_option: Mapping[str, str] = {option: side for side, option in sides.items()}
    return by_option.get(verdict, verdict) if one.side is None else verdict


def field_values(session: PanelSession, case: PanelCase, stored: Mapping[VerdictKey, str]) -> dict[str, str]:
    """Return stored verdicts as the values of a form's fields, by the fields' names."""
    sides = sides_of(session, case)
    keys = {one: field_key(one, sides) for one in case_fields(session, case)}
    return {one.name: field_value(one, stored[key], sides) for one, key in keys.items() if key in stored}
