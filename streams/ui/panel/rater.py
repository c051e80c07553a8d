"""The routes of a rater: the link, the page with the open case, the case's image, and what the forms say."""

from __future__ import annotations

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from streams.adapters.blobs import BlobStore
from streams.core.errors import ServiceError, UnreadableError
from streams.core.messages import PanelCase
from streams.panels.content import CaseContent
from streams.ui.forms import Form
from streams.ui.panel.fields import read_verdicts
from streams.ui.panel.judging import PanelSession, Said
from streams.ui.panel.notices import NoticeKind
from streams.ui.panel.pages import (
    SKIP_REASONS,
    CasePage,
    DonePage,
    RaterProgress,
    StartPage,
    UnsavedPage,
    case_page,
    done_page,
    start_page,
    unsaved_page,
)
from streams.ui.panel.sessions import COOKIE, checked_form, html, notice_response, session_of, site_of
from streams.ui.panel.sides import case_fields, field_key, field_values, shown_case, sides_of, stored_verdict
from streams.ui.panel.site import PanelSite, RefusedError

HOME: Final = "/panel"
RENEW_SECONDS: Final = 120
COMMENT_CHARACTERS: Final = 4000
"""The longest comment."""
_IMAGES: Final = (
    (b"\x89PNG\r\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"), (b"RIFF", "image/webp"),
)  # fmt: skip


def rater_routes(blobs: BlobStore) -> list[Route]:
    """Return the routes; `blobs` holds the images of events."""

    async def image(request: Request) -> Response:
        return await _image(request, blobs)

    return [
        Route("/l/{token}", follow_link),
        Route(HOME, home),
        Route(HOME, act, methods=["POST"]),
        Route(f"{HOME}/image/{{case_id}}", image),
    ]


async def follow_link(request: Request) -> Response:
    """Keep a link's token in a cookie, and go on to an address without it.

    The page goes on by itself instead of by a redirect: after a redirect from another site's link, browsers would not
    send the cookie, because it is SameSite=Strict.
    """
    token, site = request.path_params["token"], site_of(request)
    session = site.session(token)
    if isinstance(session, str):
        return notice_response(session)
    response = HTMLResponse(
        '<!doctype html><html lang="en"><title>Panel</title><p><a href="/panel">Continue</a></p></html>',
        headers={"Refresh": f"0; url={HOME}", "Referrer-Policy": "no-referrer"},
    )
    secure = site.settings.ui_url.startswith("https://")
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", path=HOME, secure=secure)
    return response


async def home(request: Request) -> Response:
    """Show what the rater's state is: a case, the introduction, or the reason why there is no case."""
    session, site = session_of(request), site_of(request)
    if isinstance(session, str):
        return notice_response(session)
    if session.person.role == "adjudicator":
        return RedirectResponse(f"{HOME}/disagreements", 303)
    panel, now = session.assigner.panel, site.settings.now()
    if panel.state == "paused":
        return notice_response("paused")
    opened = session.assigner.open_case(session.judge, now)
    content = site.contents.get(opened.case_id) if opened is not None else None
    if site.is_over(session.assigner):
        text = "The panel is closed." if panel.state == "closed" else "The question of this panel is decided."
        return _done(site, session, text)
    if opened is not None and content is not None:
        return html(case_page(case_view(site, session, opened, content)))
    if session.assigner.next_case(session.judge, now, site.contents.readable) is not None:
        return _start(site, session)
    if session.assigner.waits_for_others(session.judge, site.contents.unreadable):
        return notice_response("nothing now")
    return _done(site, session, "Nothing is left for you to judge.")


async def act(request: Request) -> Response:
    """Do what a form says, then show the rater's page again."""
    session, site = session_of(request), site_of(request)
    if isinstance(session, str):
        return notice_response(session)
    form = await checked_form(request, session)
    if form is None or session.person.role != "rater":
        return notice_response("bad form")
    try:
        return await _act(site, session, form)
    except RefusedError as error:
        return notice_response(error.kind)
    except ServiceError:
        if form.get("do") in ("judge", "skip"):
            return html(unsaved_page(UnsavedPage(action=HOME, fields=tuple(form.items()))), 503)
        return notice_response("unavailable")


async def _act(site: PanelSite, session: PanelSession, form: Form) -> Response:
    match form.get("do"):
        case "start":
            await site.reserve(session)
        case "undo":
            await site.undo(session)
        case "pause":
            await site.release(session)
        case "renew":
            await site.renew(session)
            return Response(status_code=204)
        case "judge" | "skip":
            case = site.admitted(session, form.get("case", ""))
            said = _said(session, case, form)
            if isinstance(said, str):
                return notice_response(said)
            await site.judge(session, case, said)
        case _:
            return notice_response("bad form")
    return RedirectResponse(HOME, 303)


def _said(session: PanelSession, case: PanelCase, form: Form) -> Said | NoticeKind:
    """Return what a form says about a case, or the message if it cannot be accepted."""
    comment = form.get("comment", "").strip()
    if len(comment) > COMMENT_CHARACTERS:
        return "too large"
    if form.get("do") == "skip":
        reason = form.get("reason", "")
        words = ": ".join(filter(None, (reason, comment)))
        return Said(kind="skip", comment=words) if reason in SKIP_REASONS else "bad form"
    fields = case_fields(session, case)
    verdicts = read_verdicts(form, fields)
    if len(verdicts) < len(fields):
        return "bad form"
    sides = sides_of(session, case)
    said = {field_key(one, sides): stored_verdict(one, verdicts[one.name], sides) for one in fields}
    return Said(verdicts=said, comment=comment)


# ---- Pages ----


def case_view(site: PanelSite, session: PanelSession, case: PanelCase, content: CaseContent) -> CasePage:
    """Return the page of a rater's open case."""
    assigner, rubric = session.assigner, session.assigner.rubric
    known = assigner.board.of(case.case_id, session.judge)
    stored = {key: one.verdict for key, one in known.verdicts.items()} if known is not None else {}
    comment = next((one.comment for one in known.verdicts.values()), "") if known is not None else ""
    return CasePage(
        title=rubric.title,
        instructions=rubric.instructions,
        case=shown_case(session, case, content),
        questions=rubric.questions,
        progress=progress_of(site, session),
        action=HOME,
        csrf=site.signer.form_token(session.token),
        next_url=HOME,
        verdicts=field_values(session, case, stored),
        comment=comment,
        can_undo=assigner.previous(session.judge, site.settings.now()) is not None,
        renew_seconds=RENEW_SECONDS,
        hidden=(("case", case.case_id),),
    )


def progress_of(site: PanelSite, session: PanelSession) -> RaterProgress:
    """Return a rater's progress."""
    done, left, seconds = session.assigner.counts(session.judge, site.contents.unreadable)
    return RaterProgress(done=done, left=left, seconds=seconds)


def _start(site: PanelSite, session: PanelSession) -> Response:
    rubric, held = session.assigner.rubric, session.assigner.board.latest.get(session.judge)
    notice = ""
    if held is not None and not session.assigner.is_ended(held.case_id, session.judge):
        paused = held.expires_at <= held.reserved_at
        notice = "You have paused." if paused else "Your case was open for too long, and was given back."
    return html(
        start_page(
            StartPage(
                title=rubric.title,
                instructions=rubric.instructions,
                questions=rubric.questions,
                progress=progress_of(site, session),
                action=HOME,
                csrf=site.signer.form_token(session.token),
                notice=notice,
            )
        )
    )


def _done(site: PanelSite, session: PanelSession, text: str) -> Response:
    over = site.is_over(session.assigner)
    undo = not over and session.assigner.previous(session.judge, site.settings.now()) is not None
    return html(
        done_page(
            DonePage(
                title=session.assigner.rubric.title,
                text=text,
                progress=progress_of(site, session),
                action=HOME,
                csrf=site.signer.form_token(session.token),
                can_undo=undo,
            )
        )
    )


async def _image(request: Request, blobs: BlobStore) -> Response:
    """Return the image of a case that this person has been given."""
    session, site, case_id = session_of(request), site_of(request), request.path_params["case_id"]
    if isinstance(session, str):
        return notice_response(session)
    given = site.may_read(session, case_id)
    content = site.contents.get(case_id) if given else None
    if content is None or content.image is None:
        return notice_response("not found")
    try:
        data = await run_in_threadpool(blobs.get, content.image)
    except UnreadableError:
        return notice_response("not found")
    except ServiceError:
        return notice_response("unavailable")
    kind = next((kind for start, kind in _IMAGES if data.startswith(start)), None)
    return Response(data, media_type=kind) if kind is not None else notice_response("not found")
