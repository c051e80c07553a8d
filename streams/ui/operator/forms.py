"""The forms of the operator's pages, each with a token of the session against request forgery."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from starlette.requests import Request

from streams.core.errors import ConfigError
from streams.ui.forms import read_form
from streams.ui.operator.frame import site_of
from streams.ui.operator.guard import OPERATOR_COOKIE


def form_token(request: Request) -> str:
    """Return the value that a form must send back in the session of a request."""
    return site_of(request).signer.form_token(request.cookies.get(OPERATOR_COOKIE, ""))


async def operator_form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form of this session.

    Raises ConfigError if it is unreadable or was made for another session, HTTPException if the body is too large.
    """
    form = await read_form(request)
    if form is None or not hmac.compare_digest(form.get("csrf", "").encode(), form_token(request).encode()):
        raise ConfigError("this form is incomplete or out of date.", "Load the page again, and send it once more.")
    return form
