"""A request's session and form, and the responses that all routes of the pages share."""

from __future__ import annotations

import hmac
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from streams.core.errors import NotReadyError
from streams.ui.forms import Form, read_form
from streams.ui.links import LinkFault
from streams.ui.panel.judging import PanelSession
from streams.ui.panel.notices import NoticeKind, notice
from streams.ui.panel.pages import notice_page
from streams.ui.panel.site import PanelSite

COOKIE: Final = "escalon_panel"


def site_of(request: Request) -> PanelSite:
    """Return the site that the application serves. Raises NotReadyError while its servers start."""
    site: PanelSite | None = request.app.state.site
    if site is None:
        raise NotReadyError("The panel is not loaded yet.", "Try again in a few seconds.")
    return site


def session_of(request: Request) -> PanelSession | LinkFault:
    """Return the person of a request's cookie, or the reason why its link does not work."""
    return site_of(request).session(request.cookies.get(COOKIE, ""))


async def checked_form(request: Request, session: PanelSession) -> Form | None:
    """Return the fields of a form of this session; None if it is unreadable or was made for another session.

    Raises HTTPException if the body is too large.
    """
    form = await read_form(request)
    expected = site_of(request).signer.form_token(session.token)
    return form if form is not None and hmac.compare_digest(form.get("csrf", "").encode(), expected.encode()) else None


def html(text: str, status: int = 200) -> Response:
    """Return a page."""
    return HTMLResponse(text, status)


def notice_response(kind: NoticeKind) -> Response:
    """Return a message as a page with its status code."""
    found = notice(kind)
    return html(notice_page(found.page), found.status)
