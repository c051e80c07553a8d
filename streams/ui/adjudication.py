"""The disagreements of a panel's raters, and the adjudicator's routes to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from streams.core.errors import ServiceError
from streams.core.messages import PanelCase
from streams.panels.assignment import required
from streams.panels.board import Ratings
from streams.panels.content import CaseContent
from streams.ui.fields import read_verdicts
from streams.ui.judging import PanelSession, Said
from streams.ui.pages import (
    AdjudicationPage,
    DisagreementRow,
    DisagreementsPage,
    DisputedField,
    UnsavedPage,
    adjudication_page,
    disagreements_page,
    unsaved_page,
)
from streams.ui.rater import COMMENT_CHARACTERS
from streams.ui.readable import excerpt
from streams.ui.sessions import Form, checked_form, html, notice_response, session_of, site_of
from streams.ui.sides import case_fields, field_key, field_value, field_values, shown_case, sides_of, stored_verdict
from streams.ui.site import PanelSite

LIST: Final = "/disagreements"
NEXT: Final = "/disagreements/next"


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
    board, panel = session.assigner.board, session.assigner.panel
    least = panel.raters_per_case if panel.state != "closed" else 1
    for case in sorted(board.cases.values(), key=lambda one: one.position):
        if case.purpose == "sample":
            needed = required(session.assigner.rubric, case)
            said = board.ratings.get(case.case_id, {}).values()
            raters = [one for one in said if one.skipped or needed <= one.verdicts.keys()]
            if len(raters) >= least and (found := _disagreement(session, case, raters)) is not None:
                yield found


def _disagreement(session: PanelSession, case: PanelCase, raters: Sequence[Ratings]) -> Disagreement | None:
    rated = [one for one in raters if not one.skipped]
    sides, decisions = sides_of(session, case), session.assigner.board.decisions.get(case.case_id, Ratings())
    disputed, decided = [], True
    for field in case_fields(session, case):
        key = field_key(field, sides)
        counted = Counter(field_value(field, one.verdicts[key].verdict, sides) for one in rated)
        if len(counted) > 1 or not rated:
            counts = tuple(
                (choice.key, counted[choice.key]) for choice in field.question.choices if counted[choice.key]
            )
            disputed.append(DisputedField(field=field, counts=counts))
            decided = decided and key in decisions.verdicts
    comments = sorted({comment for one in raters if (comment := _comment(one))})
    if not disputed:
        return None
    return Disagreement(case=case, disputed=tuple(disputed), comments=tuple(comments), decided=decided)


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
    everything = _readable(site, session) if session.person.role == "adjudicator" else []
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
    everything = _readable(site, session) if session.person.role == "adjudicator" else []
    chosen = next((one for one, _ in everything if one.case.case_id == request.path_params["case_id"]), None)
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


def _readable(site: PanelSite, session: PanelSession) -> list[tuple[Disagreement, CaseContent]]:
    """Return the disagreements whose cases still have a content."""
    found = ((one, site.contents.get(one.case.case_id)) for one in find_disagreements(session))
    return [(one, content) for one, content in found if content is not None]


def _row(found: Disagreement, content: CaseContent) -> DisagreementRow:
    return DisagreementRow(
        link=f"{LIST}/{found.case.case_id}",
        excerpt=excerpt(content.text or content.data),
        disputed=found.disputed,
        comments=len(found.comments),
        decided=found.decided,
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
