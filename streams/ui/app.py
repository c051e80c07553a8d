"""The web application: the routes of all pages and of static files, inside the protection of all pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from streams.adapters.blobs import BlobStore
from streams.core.errors import NotReadyError
from streams.ui.deployment import StartingDeployment
from streams.ui.operator.frame import OperatorNotice, OperatorSite, operator_notice
from streams.ui.operator.pages import operator_routes
from streams.ui.panel.adjudication import adjudication_routes
from streams.ui.panel.rater import rater_routes
from streams.ui.panel.sessions import notice_response
from streams.ui.panel.site import PanelSite
from streams.ui.security import Protected


def make_app(
    hosts: Collection[str],
    panel: PanelSite | None = None,
    operator: OperatorSite | None = None,
    deployment: StartingDeployment | None = None,
) -> ASGIApp:
    """Return the application for requests to `hosts`: the pages of a panel's raters, and those of the operator.

    The panel of a deployment that starts is not available until its servers are.
    """

    @asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        opening = asyncio.create_task(_open_panel(app, panel, deployment))
        if deployment is None:
            await opening
        try:
            yield
        finally:
            opening.cancel()
            if app.state.site is not None:
                await app.state.site.close()
            if operator is not None:
                operator.close()

    settings = panel.settings if panel is not None else deployment.settings if deployment is not None else None
    routes: list[BaseRoute] = [
        Route("/favicon.ico", _no_icon),
        Mount("/static", RevalidatedFiles(directory=Path(__file__).with_name("static"))),
    ]
    if settings is not None:
        routes += [*rater_routes(BlobStore(settings.blobs)), *adjudication_routes()]
    if operator is not None:
        routes += operator_routes()
    missing, broken = _notice("not found"), _notice("unavailable")
    handlers = {404: missing, 405: missing, 413: _notice("too large"), 500: broken, NotReadyError: broken}
    app = Starlette(routes=routes, lifespan=running, exception_handlers=handlers)
    app.state.site, app.state.operator = panel, operator
    return Protected(app, hosts)


async def _open_panel(app: Starlette, panel: PanelSite | None, deployment: StartingDeployment | None) -> None:
    site = panel if deployment is None else await deployment.connect()
    if site is not None:
        await site.start()
    app.state.site = site


class RevalidatedFiles(StaticFiles):
    """Files that a browser keeps, and asks about before each use."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


async def _no_icon(_: Request) -> Response:
    return Response(status_code=204)


def _notice(kind: OperatorNotice) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, _: Exception) -> Response:
        return operator_notice(request, kind) or notice_response(kind)

    return answer
