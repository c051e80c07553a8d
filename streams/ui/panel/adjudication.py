"""The disagreements of a panel's raters, and the adjudicator's routes to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from streams.core.errors import ServiceError
from streams.core.messages import Judgement, PanelCase
from streams.panels.assignment import required
from streams.panels.board import Ratings, VerdictKey
from streams.panels.content import CaseContent
from streams.ui.forms import Form
from streams.ui.panel.fields import read_verdicts
from streams.ui.panel.judging import PanelSession, Said
from streams.ui.panel.pages import (
    AdjudicationPage,
    DisagreementRow,
    DisagreementsPage,
    DisputedField,
    UnsavedPage,
    adjudication_page,
    disagreements_page,
    unsaved_page,
)
from streams.ui.panel.rater import COMMENT_CHARACTERS
from streams.ui.panel.readable import excerpt_of
from streams.ui.panel.sessions import checked_form, html, notice_response, session_of, site_of
from streams.ui.panel.sides import (
    case_fields,
    field_key,
    field_value,
    field_values,
    shown_case,
    sides_of,
    stored_verdict,
)
from streams.ui.panel.site import PanelSite

LIST: Final = "/panel/disagreements"
NEXT: Final = "/panel/disagreements/next"
Verdicts = Mapping[VerdictKey, Judgement]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A case that has all its raters, and the questions on which they disagree."""

    case: PanelCase
    disputed: tuple[DisputedField, ...]
    """With the sides as one adjudicator sees them; all questions, without counts, if every rater skipped the case."""
    comments: tuple[str, ...]
    decided: bool
    """True if the adjudicator has decided each of the questions."""


def find_disagreements(session: PanelSession) -> Iterator[Disagreement]:
    """Yield the disagreements among the drawn cases, in the order of the draw.

    While the panel is open, a case is left out until it has all its raters.
    """
    cases = session.assigner.board.cases.values()
    for case in sorted((one for one in cases if one.purpose == "sample"), key=lambda one: one.position):
        if (found := disagreement_of(session, case)) is not None:
            yield found


def disagreement_of(session: PanelSession, case: PanelCase) -> Disagreement | None:
    """Return the disagreement about a drawn case; None if its raters agree, or if it lacks a rater."""
    board, panel = session.assigner.board, session.assigner.panel
    said = board.ratings.get(case.case_id, {}).values()
    least = panel.raters_per_case if panel.state != "closed" else 1
    if len(said) < least or case.purpose != "sample":
        return None
    needed = required(session.assigner.rubric, case)
    rated = [one.verdicts for one in said if not one.skipped and needed <= one.verdicts.keys()]
    skips = sum(one.skipped for one in said)
    disputed = {key for key in needed if len({verdicts[key].verdict for verdicts in rated}) != 1}
    if not disputed or len(rated) + skips < least:
        return None
    decisions = board.decisions.get(case.case_id, Ratings()).verdicts
    return Disagreement(
        case=case,
        disputed=tuple(_disputed_fields(session, case, disputed, rated)),
        comments=tuple(sorted({comment for one in said if (comment := _comment(one))})),
        decided=disputed <= decisions.keys(),
    )


def _disputed_fields(
    session: PanelSession, case: PanelCase, disputed: Set[VerdictKey], rated: Sequence[Verdicts]
) -> Iterator[DisputedField]:
    sides = sides_of(session, case)
    for field in case_fields(session, case):
        if (key := field_key(field, sides)) in disputed:
            counted = Counter(field_value(field, verdicts[key].verdict, sides) for verdicts in rated)
            keys = [choice.key for choice in field.question.choices if choice.key in counted]
            yield DisputedField(field=field, counts=tuple((chosen, counted[chosen]) for chosen in keys))


def _comment(said: Ratings) -> str:
    """Return a rater's comment on a case, or the reason for skipping it."""
    if said.skipped and said.skip is not None:
        return said.skip.comment and f"Skipped: {said.skip.comment}"
    return next((one.comment for one in said.verdicts.values() if one.comment), "")


# ---- Routes ----


def adjudication_routes() -> list[Route]:
    """Return the routes."""
    return [
        Route(LIST, show_list),
        Route(NEXT, show_next),
        Route(LIST + "/{case_id}", show_case),
        Route(LIST + "/{case_id}", decide, methods=["POST"]),
    ]


async def show_list(request: Request) -> Response:
    """Show all disagreements."""
    session, site = session_of(request), site_of(request)
    if isinstance(session, str):
        return notice_response(session)
    if session.person.role != "adjudicator":
        return notice_response("not found")
    rows = tuple(_row(found, content) for found, content in _readable(site, session))
    return html(disagreements_page(DisagreementsPage(title=session.assigner.rubric.title, rows=rows)))


async def show_next(request: Request) -> Response:
    """Go on to the first disagreement without a decision, or to the list."""
    session, site = session_of(request), site_of(request)
    if isinstance(session, str):
        return notice_response(session)
    if session.person.role != "adjudicator":
        return notice_response("not found")
    undecided = (found.case.case_id for found, _ in _readable(site, session) if not found.decided)
    case_id = next(undecided, None)
    return RedirectResponse(f"{LIST}/{case_id}" if case_id is not None else LIST, 303)


async def show_case(request: Request) -> Response:
    """Show a case with the verdicts that disagree."""
    session, site = session_of(request), site_of(request)
    if isinstance(session, str):
        return notice_response(session)
    everything = list(_readable(site, session)) if session.person.role == "adjudicator" else []
    chosen = next((one for one in everything if one[0].case.case_id == request.path_params["case_id"]), None)
    if chosen is None:
        return notice_response("not found")
    decided = sum(found.decided for found, _ in everything)
    return html(adjudication_page(_view(site, session, *chosen, decided, len(everything) - decided)))


async def decide(request: Request) -> Response:
    """Save the adjudicator's decision."""
    session, site = session_of(request), site_of(request)
    if isinstance(session, str):
        return notice_response(session)
    case = session.assigner.board.cases.get(request.path_params["case_id"])
    allowed = case is not None and session.person.role == "adjudicator" and case.case_id in site.contents.readable
    chosen = disagreement_of(session, case) if case is not None and allowed else None
    if chosen is None:
        return notice_response("not found")
    form = await checked_form(request, session)
    said = _said(session, chosen, form) if form is not None else None
    if form is None or said is None:
        return notice_response("bad form")
    try:
        await site.adjudicate(session, chosen.case, said)
    except ServiceError:
        return html(unsaved_page(UnsavedPage(action=request.url.path, fields=tuple(form.items()))), 503)
    return RedirectResponse(NEXT, 303)


def _readable(site: PanelSite, session: PanelSession) -> Iterator[tuple[Disagreement, CaseContent]]:
    """Yield the disagreements whose cases still have a content."""
    for found in find_disagreements(session):
        if (content := site.contents.get(found.case.case_id)) is not None:
            yield found, content


def _row(found: Disagreement, content: CaseContent) -> DisagreementRow:
    return DisagreementRow(
        link=f"{LIST}/{found.case.case_id}",
        excerpt=excerpt_of(content.text, content.data, has_image=content.image is not None),
        disputed=found.disputed,
        comments=len(found.comments),
        decided=found.decided,
        pair=len(found.case.answers) > 1,
    )


def _view(
    site: PanelSite, session: PanelSession, found: Disagreement, content: CaseContent, decided: int, left: int
) -> AdjudicationPage:
    stored = session.assigner.board.decisions.get(found.case.case_id, Ratings()).verdicts
    return AdjudicationPage(
        title=session.assigner.rubric.title,
        instructions=session.assigner.rubric.instructions,
        case=shown_case(session, found.case, content),
        disputed=found.disputed,
        comments=found.comments,
        decided=decided,
        left=left,
        action=f"{LIST}/{found.case.case_id}",
        csrf=site.signer.form_token(session.token),
        next_url=NEXT,
        list_url=LIST,
        verdicts=field_values(session, found.case, {key: one.verdict for key, one in stored.items()}),
        comment=next((one.comment for one in stored.values()), ""),
    )


def _said(session: PanelSession, found: Disagreement, form: Form) -> Said | None:
    """Return the decision in a form; None if a question has no answer or the comment is too long."""
    fields = [one.field for one in found.disputed]
    verdicts, comment = read_verdicts(form, fields), form.get("comment", "").strip()
    if len(verdicts) < len(fields) or len(comment) > COMMENT_CHARACTERS or form.get("do") != "adjudicate":
        return None
    sides = sides_of(session, found.case)
    decided = {field_key(one, sides): stored_verdict(one, verdicts[one.name], sides) for one in fields}
    return Said(verdicts=decided, comment=comment, kind="adjudication")
