"""The pipeline as a picture, with the events of the range that passed each place."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from streams.core.errors import ConfigError
from streams.pipeline.load import Pipeline
from streams.ui.operator.frame import OperatorSite, operator_route, render, render_part, scope_of, scoped, site_of
from streams.ui.operator.live import LiveFragment
from streams.ui.operator.picture import LETTERS, Place, picture_of
from streams.ui.operator.picture_svg import Href, after_words, narrow, wide
from streams.ui.operator.place_counts import PlaceCounts
from streams.ui.operator.scope import Scope

SEARCHES = {"outcome": "state", "listener": "handler", "worker": "handler", "reasoner": "handler"}
"""The field of the search that finds the events of a place."""


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [operator_route("/pipeline", show)]


def fragments(site: OperatorSite) -> Sequence[LiveFragment]:
    """Return the live parts."""
    return (LiveFragment("pipeline", 5.0, scoped(site, pipeline_part)),)


async def show(request: Request) -> Response:
    """Show the page."""
    site, scope = site_of(request), await scope_of(request)
    part, loaded = await pipeline_part(site, scope), _loaded(site)
    return render(request, "pipeline.html", f"Pipeline {loaded.name}", part=part, pipeline=loaded)


async def pipeline_part(site: OperatorSite, scope: Scope) -> Markup:
    """Render the picture and the same as a list."""
    counts = PlaceCounts.of((await site.reads.named("places", scope)).records())
    letters = (await site.reads.named("dead_letters", scope)).records()
    columns = picture_of(_loaded(site), counts, sum(row["messages"] for row in letters))
    href = href_in(scope)
    titles = {place.key: f"{place.tier} {place.title}" for column in columns for place in column.places}
    return render_part(
        "pipeline_part.html",
        scope=scope,
        wide=wide(columns, href),
        narrow=narrow(columns, href),
        columns=columns,
        after=lambda place: after_words(place, titles),
        href=href,
    )


def href_in(scope: Scope) -> Href:
    """Return a function from a place to the address of the search for its events, empty for an intent."""

    def href(place: Place) -> str:
        if place.key == LETTERS:
            return scope.link("/dead-letters")
        field = SEARCHES.get(place.tier)
        return scope.link("/search", **{field: place.title}) if field else ""

    return href


def _loaded(site: OperatorSite) -> Pipeline:
    if site.pipeline is None:
        raise ConfigError("no pipeline file is loaded.", "Start the pages with --pipeline FILE.", "pipeline")
    return site.pipeline
