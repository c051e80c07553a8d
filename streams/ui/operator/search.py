"""The search over events and their calls."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from streams.audit.search import PAGE, EventSearch, FoundEvents, parameters_of_search, search_events
from streams.core.errors import ConfigError
from streams.pipeline.load import Pipeline
from streams.ui.operator.event import event_link
from streams.ui.operator.frame import operator_route, render, scope_of, secrets_hider, site_of
from streams.ui.operator.reads import figure_link
from streams.ui.operator.scope import ALL_HOURS, LIVE, Scope
from streams.ui.operator.snippet import snippet

TIERS: Final = ("listener", "worker", "reasoner")
STATES: Final[Sequence[tuple[str, Sequence[str]]]] = (
    ("Calls", ("answered", "refused", "invalid", "failed", "accepted", "escalated", "explored", "retried", "deferred")),
    ("Routes", ("work", "reason", "ignore", "duplicate")),
    ("Outcomes", ("ignored",)),
)
"""The states that can be looked for. An outcome that is answered, failed or a duplicate is found by the same word."""
TEXTS: Final = ("text", "tier", "handler", "model", "state")
NUMBERS: Final = ("cost_usd", "seconds")
FOLDED: Final = {
    **dict.fromkeys(("tier", "handler", "model", "state", "cost_usd", "seconds"), ""),
    "run": LIVE,
    "hours": str(ALL_HOURS),
}
"""The fields that are folded until one is used, with the values that they have by default."""


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [operator_route("/search", show)]


async def show(request: Request) -> Response:
    """Show the form, and the events that it finds; go on to an event that is asked for by its id."""
    site, asked = site_of(request), request.query_params
    scope = await scope_of(request, ALL_HOURS)
    if event_id := asked.get("event", "").strip():
        return RedirectResponse(event_link(event_id, scope.run), 303)
    wanted = read_search(asked, scope)
    found = await site.reads.audit(wanted, lambda audit: search_events(audit, wanted, time.monotonic))
    return render(
        request,
        "search.html",
        "Search",
        wanted=wanted,
        found=found,
        rows=[_shown(row, wanted) for row in found.rows],
        older=_older(scope, asked, found),
        newest=_newest(asked) if asked.get("until") else "",
        hours=asked.get("hours") or FOLDED["hours"],
        source=figure_link("search", **parameters_of_search(wanted, found.looked_back_to, wanted.until, wanted.before)),
        tiers=TIERS,
        states=STATES,
        handlers=_names(site.pipeline),
        filtered=any(asked.get(name) not in (None, "", usual) for name, usual in FOLDED.items()),
    )


def read_search(asked: Mapping[str, str], scope: Scope) -> EventSearch:
    """Return the search of an address. Raises ConfigError for a number that is none."""
    given = {name: asked.get(name, "").strip() for name in TEXTS}
    cost, seconds = (_number(asked, name) for name in NUMBERS)
    return EventSearch(
        run=scope.run, since=scope.since, until=scope.until, text=given["text"], tier=given["tier"],
        handler=given["handler"], model=given["model"], state=given["state"],
        before=asked.get("before", ""),
        cost_usd=cost, seconds=seconds,
    )  # fmt: skip


def _number(asked: Mapping[str, str], name: str) -> float:
    text = asked.get(name, "").strip()
    try:
        value = float(text or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise ConfigError(f"{text!r} is not a number from 0 on.", "Write it as 0.25, or leave it out.", name)
    return value


def _names(pipeline: Pipeline | None) -> list[str]:
    """Return the handlers of the pipeline, as suggestions; the audit may have others."""
    return sorted({*pipeline.listeners, *pipeline.workers, *pipeline.reasoners}) if pipeline is not None else []


def _shown(row: Mapping[str, Any], wanted: EventSearch) -> Mapping[str, Any]:
    """Return a row with its link, and the part of its text around what was looked for."""
    link, part = event_link(row["event_id"], wanted.run), snippet(row["text"], wanted.text, secrets_hider())
    return {**row, "link": link, "snippet": part}


def _newest(asked: Mapping[str, str]) -> str:
    """Return the address of the first page."""
    return f"/search?{urlencode(_kept(asked))}"


def _kept(asked: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that the pages of a search share."""
    return {name: asked[name] for name in ("run", "hours", *TEXTS, *NUMBERS) if asked.get(name)}


def _older(scope: Scope, asked: Mapping[str, str], found: FoundEvents) -> str:
    """Return the address of the next page; empty if nothing is left."""
    if found.complete:
        return ""
    more = {"since": scope.since.isoformat(), "until": found.looked_back_to.isoformat()}
    if len(found.rows) == PAGE:
        more["before"] = str(found.rows[-1]["event_id"])
    return f"/search?{urlencode(_kept(asked) | more)}"
