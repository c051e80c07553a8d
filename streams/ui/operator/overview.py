"""The overview: the flow of events through the tiers, and the figures that a visitor looks for first."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from streams.ui.operator.frame import OperatorSite, operator_route, render, render_part, scope_of, scoped, site_of
from streams.ui.operator.live import LiveFragment
from streams.ui.operator.scope import Scope


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [operator_route("/", show)]


def fragments(site: OperatorSite) -> Sequence[LiveFragment]:
    """Return the live parts."""
    return (LiveFragment("overview", 2.0, scoped(site, overview_part)),)


async def show(request: Request) -> Response:
    """Show the page."""
    scope = await scope_of(request)
    return render(request, "overview.html", "Overview", part=await overview_part(site_of(request), scope))


async def overview_part(site: OperatorSite, scope: Scope) -> Markup:
    """Render what renews itself."""
    latency = await site.reads.named("latency", scope)
    return render_part("overview_part.html", scope=scope, rows=latency.records())
