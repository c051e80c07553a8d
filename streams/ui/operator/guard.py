"""The operator's session: a link opens it, a cookie keeps it, and every operator page asks for it."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from streams.ui.links import LinkSigner

OPERATOR_COOKIE: Final = "escalon_operator"
CLOSED: Final = "This page needs the operator's link, which escalon prints when it starts the pages."

_WRONG: Final = (
    '<!doctype html><html lang="en"><title>escalon</title><p>This link does not work. Copy the whole link that escalon '
    "printed last; a new key makes older links useless.</p></html>"
)


def refusal_of(request: Request, signer: LinkSigner) -> str | None:
    """Return the reason why a request may not see the operator's pages; None if it may."""
    token = request.cookies.get(OPERATOR_COOKIE, "")
    return None if signer.is_operator(token) else CLOSED


async def follow_operator_link(request: Request) -> Response:
    """Keep the link's token in a cookie, and go on to the overview.

    The page goes on by itself instead of by a redirect, as a rater's link does.
    """
    site, token = request.app.state.operator, request.path_params["token"]
    if not site.signer.is_operator(token):
        return HTMLResponse(_WRONG, 403)
    response = HTMLResponse(
        '<!doctype html><html lang="en"><title>escalon</title><p><a href="/">Continue</a></p></html>',
        headers={"Refresh": "0; url=/", "Referrer-Policy": "no-referrer"},
    )
    secure = site.settings.ui_url.startswith("https://")
    response.set_cookie(OPERATOR_COOKIE, token, httponly=True, samesite="strict", path="/", secure=secure)
    return response
