"""The table of the operator's pages, which makes the navigation, the routes and the live parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from streams.app.settings import Settings
from streams.pipeline.load import Pipeline
from streams.ui.links import LinkSigner
from streams.ui.operator import dead_letters, event, money, overview, quality, queries, runs, search, what_if
from streams.ui.operator import pipeline as picture
from streams.ui.operator.frame import OperatorSite, operator_route, site_of
from streams.ui.operator.guard import follow_operator_link
from streams.ui.operator.live import LiveFeeds, LiveFragment
from streams.ui.operator.reads import AuditReads


class OperatorPage(NamedTuple):
    """A page with those below it: its routes, and the parts of it that renew themselves."""

    path: str
    title: str
    routes: Callable[[], Sequence[BaseRoute]]
    fragments: Callable[[OperatorSite], Sequence[LiveFragment]] = lambda _: ()
    section: str = ""
    """The page of the navigation to which it belongs; empty for a page that it lists."""


UNBUFFERED: Final = {"X-Accel-Buffering": "no"}
"""Asks proxies to pass each event on at once."""
PAGES: Final = (
    OperatorPage("/", "Overview", overview.routes, overview.fragments),
    OperatorPage("/money", "Money", money.routes, money.fragments),
    OperatorPage("/quality", "Quality", quality.routes, quality.fragments),
    OperatorPage("/what-if", "What if", what_if.routes, what_if.fragments),
    OperatorPage("/search", "Search", search.routes),
    OperatorPage("/events", "One event", event.routes, section="/search"),
    OperatorPage("/dead-letters", "Dead letters", dead_letters.routes),
    OperatorPage("/pipeline", "Pipeline", picture.routes, picture.fragments),
    OperatorPage("/runs", "Runs", runs.routes),
    OperatorPage("/query", "Queries", queries.routes),
)


def make_operator_site(
    settings: Settings, pipeline: Pipeline | None, reads: AuditReads, signer: LinkSigner
) -> OperatorSite:
    """Return the site of all pages."""
    navigation = tuple((page.path, page.title) for page in PAGES if not page.section)
    sections = {page.path: page.section or page.path for page in PAGES}
    live = LiveFeeds()
    site = OperatorSite(
        settings=settings, pipeline=pipeline, reads=reads, live=live, signer=signer, navigation=navigation,
        sections=sections,
    )  # fmt: skip
    for page in PAGES:
        live.add(page.fragments(site))
    return site


def operator_routes() -> list[BaseRoute]:
    """Return the routes of all pages, of the operator's link and of live parts."""
    own: list[BaseRoute] = [Route("/o/{token}", follow_operator_link), operator_route("/live", listen)]
    return own + [route for page in PAGES for route in page.routes()]


async def listen(request: Request) -> Response:
    """Stream the new renderings of `fragments` for the scope of an address."""
    asked = dict(request.query_params)
    names = [name for name in asked.pop("fragments", "").split(",") if name]
    live = site_of(request).live
    live.check(names)
    return StreamingResponse(live.listen(names, asked), media_type="text/event-stream", headers=UNBUFFERED)
