"""The frame of the operator's pages: what they share, how one is rendered, and the guard and errors of its route."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Final, Literal

from jinja2 import Environment
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from streams.app.log_redaction import Hider, environment_hider
from streams.app.settings import Settings
from streams.core.errors import ConfigError, EscalonError, MissingError, ServiceError
from streams.core.harmless import harmless
from streams.pipeline.load import Pipeline
from streams.ui.links import LinkSigner
from streams.ui.operator.guard import refusal_of
from streams.ui.operator.letters import FormResults
from streams.ui.operator.live import LiveFeeds, Render
from streams.ui.operator.reads import AuditReads, figure_link
from streams.ui.operator.scope import HOURS, Scope, read_scope
from streams.ui.operator.wording import FILTERS
from streams.ui.page_templates import page_templates

Handler = Callable[[Request], Awaitable[Response]]
OperatorNotice = Literal["not found", "too large", "unavailable"]
_ERROR_STATUS: Final = ((ServiceError, 503), (MissingError, 404), (EscalonError, 400))
_NOTICES: Final[Mapping[OperatorNotice, tuple[int, str, EscalonError]]] = {
    "not found": (404, "Not found", MissingError("there is no such page.", "Choose one of those above.")),
    "too large": (413, "Too large", ConfigError("this form is too large.", "Send less at a time.")),
    "unavailable": (500, "Broken", EscalonError("this page failed.", "The log of this server says why.")),
}


@dataclass(kw_only=True)
class OperatorSite:
    """The deployment behind the operator's pages, its pipeline if there is one, and the reads of the audit."""

    settings: Settings
    """With the addresses of the servers, once these are known."""
    pipeline: Pipeline | None
    reads: AuditReads
    live: LiveFeeds
    signer: LinkSigner
    navigation: tuple[tuple[str, str], ...] = ()
    """The address and the title of each page."""
    sections: Mapping[str, str] = field(default_factory=dict)
    """The address of the page of the navigation, by the first step of the addresses that belong to it."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a form changes something, so that nothing is done twice."""
    form_results: FormResults = field(default_factory=FormResults)
    steps: Callable[[], Sequence[tuple[str, bool]]] = tuple
    """The needs of a deployment that starts, in words, and whether each is ready; nothing for one that runs already."""

    def now(self) -> datetime:
        """Return the deployment's time."""
        return self.settings.now()

    def close(self) -> None:
        """End the live parts, and close the connections."""
        self.live.close()
        self.reads.close()


def site_of(request: Request) -> OperatorSite:
    """Return the site that the application serves."""
    site: OperatorSite = request.app.state.operator
    return site


async def scope_of(request: Request, hours: float = 1) -> Scope:
    """Return the scope of a request, which `render` shows: by default the last `hours`.

    Raises ConfigError or ServiceError.
    """
    site = site_of(request)
    request.state.scope = scope = await read_scope(request.query_params, site.reads, site.now(), hours)
    return scope


def operator_route(path: str, handler: Handler, methods: Collection[str] = ("GET",)) -> Route:
    """Return a route that only the operator's session opens, and that shows errors as pages."""

    async def guarded(request: Request) -> Response:
        if (refusal := refusal_of(request, site_of(request).signer)) is not None:
            return HTMLResponse(_rendered("closed.html", words=refusal), 403)
        try:
            return await handler(request)
        except EscalonError as error:
            status = next(status for kind, status in _ERROR_STATUS if isinstance(error, kind))
            return render(request, "error.html", "This cannot be shown", status=status, error=error)

    return Route(path, guarded, methods=list(methods))


def operator_notice(request: Request, kind: OperatorNotice) -> Response | None:
    """Return a message to the operator as a page with its status code; None for others, who get the panel's."""
    site: OperatorSite | None = request.app.state.operator
    if site is None or refusal_of(request, site.signer) is not None:
        return None
    status, title, error = _NOTICES[kind]
    return render(request, "error.html", title, status=status, error=error)


def render(request: Request, template: str, title: str, *, status: int = 200, **values: object) -> Response:
    """Return a page: `operator/TEMPLATE`, which extends `operator/base.html`."""
    site = site_of(request)
    scope: Scope | None = getattr(request.state, "scope", None)
    path = request.url.path
    section = site.sections.get("/" + path.split("/")[1], "")
    frame = {"title": title, "path": path, "section": section, "navigation": site.navigation, "scope": scope}
    return HTMLResponse(_rendered(template, **frame, **values), status)


def scoped(site: OperatorSite, part: Callable[[OperatorSite, Scope], Awaitable[Markup]]) -> Render:
    """Return a live fragment's renderer from a function of a scope."""

    async def rendered(asked: Mapping[str, str]) -> str:
        return await part(site, await read_scope(asked, site.reads, site.now()))

    return rendered


def render_part(template: str, **values: object) -> Markup:
    """Return a part of a page, as live fragments are."""
    return Markup(_rendered(template, **values))  # noqa: S704 - the template escapes its values


def _rendered(template: str, **values: object) -> str:
    """Render a template, with control characters escaped and the environment's secrets hidden, as a last defence."""
    return secrets_hider()(harmless(_environment().get_template(template).render(**values)))


@cache
def secrets_hider() -> Hider:
    """Return what hides the secrets of the process's environment."""
    return environment_hider()


@cache
def _environment() -> Environment:
    environment = page_templates("operator")
    environment.globals.update(figure_link=figure_link, range_choices=HOURS)
    environment.filters.update(FILTERS)
    return environment
