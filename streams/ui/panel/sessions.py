"""A request's session and form, and the responses that all routes of the pages share."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from streams.ui.links import LinkFault
from streams.ui.panel.judging import PanelSession
from streams.ui.panel.notices import NoticeKind, notice
from streams.ui.panel.pages import notice_page
from streams.ui.panel.site import PanelSite

COOKIE: Final = "escalon_panel"
FIELDS: Final = 100
"""The most fields of a form."""
Form = Mapping[str, str]


def site_of(request: Request) -> PanelSite:
    """Return the site that the application serves."""
    site: PanelSite = request.app.state.site
    return site


def session_of(request: Request) -> PanelSession | LinkFault:
    """Return the person of a request's cookie, or the reason why its link does not work."""
    return site_of(request).session(request.cookies.get(COOKIE, ""))


async def checked_form(request: Request, session: PanelSession) -> Form | None:
    """Return the fields of a form of this session; None if it is unreadable or was made for another session.

    Raises HTTPException if the body is too large.
    """
    try:
        found = await request.form(max_files=0, max_fields=FIELDS)
    except HTTPException as error:
        if error.status_code == 413:
            raise
        return None
    form = {name: value for name, value in found.items() if isinstance(value, str)}
    expected = site_of(request).signer.form_token(session.token)
    return form if hmac.compare_digest(form.get("csrf", "").encode(), expected.encode()) else None


def html(text: str, status: int = 200) -> Response:
    """Return a page."""
    return HTMLResponse(text, status)


def notice_response(kind: NoticeKind) -> Response:
    """Return a message as a page with its status code."""
    found = notice(kind)
    return html(notice_page(found.page), found.status)
