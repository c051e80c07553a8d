"""The web application: the routes of the panel's pages and of static files, inside the protection of all pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from streams.adapters.blobs import BlobStore
from streams.ui.adjudication import adjudication_routes
from streams.ui.rater import rater_routes
from streams.ui.security import Protected
from streams.ui.sessions import notice_response
from streams.ui.site import PanelSite


def make_app(site: PanelSite, hosts: Collection[str], more: Sequence[BaseRoute] = ()) -> ASGIApp:
    """Return the application for requests to `hosts`, with further routes of other pages."""

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        await site.start()
        try:
            yield
        finally:
            await site.close()

    static = Mount("/static", RevalidatedFiles(directory=Path(__file__).with_name("static")))
    pages = [*rater_routes(BlobStore(site.settings.blobs)), *adjudication_routes(), *more]
    routes = [*pages, Route("/favicon.ico", _no_icon), static]
    handlers = {404: _not_found, 405: _not_found, 413: _too_large, 500: _broken}
    app = Starlette(routes=routes, lifespan=running, exception_handlers=handlers)
    app.state.site = site
    return Protected(app, hosts)


class RevalidatedFiles(StaticFiles):
    """Files that a browser keeps, and asks about before each use."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


async def _no_icon(_: Request) -> Response:
    return Response(status_code=204)


async def _not_found(_: Request, __: Exception) -> Response:
    return notice_response("not found")


async def _too_large(_: Request, __: Exception) -> Response:
    return notice_response("too large")


async def _broken(_: Request, __: Exception) -> Response:
    return notice_response("unavailable")
