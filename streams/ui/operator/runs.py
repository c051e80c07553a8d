"""The runs of the audit, and two of them side by side on the same events."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from streams.audit.query import Audit
from streams.core.time_range import EARLIEST
from streams.ui.operator.event import event_link
from streams.ui.operator.frame import OperatorSite, operator_route, render, site_of
from streams.ui.operator.scope import in_utc

COMPARED: Final = (1_000, 10_000)
"""The numbers of events, the newest ones, that the page compares."""
MOST_FLIPS: Final = 100
"""The changed events that a comparison shows, the most important ones."""
PAGE: Final = 20
WAIT_SECONDS: Final = 0.4
"""Seconds that a page waits for a comparison, before it says that it runs."""
KEPT_SECONDS: Final = 120.0
AGAIN: Final = {"Refresh": "2"}
_NEWEST: Final = """
SELECT min(event_time)
FROM (SELECT event_time FROM outcomes_rows WHERE run = {run:String} ORDER BY event_time DESC LIMIT {count:UInt32})
"""


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [operator_route("/runs", show), operator_route("/runs/{a}/{b:path}", show_pair)]


async def show(request: Request) -> Response:
    """List the runs, and offer to compare two."""
    site = site_of(request)
    rows = (await site.reads.named("runs")).records()
    return render(request, "runs.html", "Runs", rows=[row | {"pair": _pair(row)} for row in rows])


async def show_pair(request: Request) -> Response:
    """Compare two runs; until the comparison is done, a page that loads itself again takes its place."""
    site, a, b = site_of(request), request.path_params["a"], request.path_params["b"]
    asked, title = request.query_params, f"{a} and {b}"
    count, page = _choice(asked, "events", COMPARED), _choice(asked, "page", range(1, MOST_FLIPS // PAGE + 1))
    reading = site.reads.audit(
        ("compare", a, b, count), lambda audit: _compared(audit, site, a, b, count), KEPT_SECONDS
    )
    try:
        values = await asyncio.wait_for(reading, WAIT_SECONDS)  # the read itself goes on
    except TimeoutError:
        response = render(request, "run_pair_wait.html", title, a=a, b=b, count=count)
        response.headers.update(AGAIN)
        return response
    flips, first = values["flips"], (page - 1) * PAGE
    return render(
        request, "run_pair.html", title, count=count, counts=COMPARED, command=shlex.join(["escalon", "compare", a, b]),
        event_link=event_link, page=page, pages=-(-len(flips) // PAGE), first=first, shown=flips[first : first + PAGE],
        **values,
    )  # fmt: skip


def _compared(audit: Audit, site: OperatorSite, a: str, b: str, count: int) -> dict[str, Any]:
    """Compare the newest events of two runs. Raises ConfigError if there is nothing to compare."""
    from streams.evaluation.compare.audit_reader import Runs  # here: SciPy takes a second
    from streams.evaluation.compare.compare import compare
    from streams.evaluation.compare.rules import compare_settings
    from streams.evaluation.compare.view import view

    settings = compare_settings(site.pipeline, examples=MOST_FLIPS)
    runs = Runs(a=a, b=b, base=site.settings.run, since=_since(audit, b, count))
    return view(compare(audit, runs, settings))


def _since(audit: Audit, run: str, count: int) -> datetime:
    """Return the time of the oldest of a run's newest events."""
    oldest: datetime = audit.query(_NEWEST, {"run": run, "count": count}).rows[0][0]
    return max(EARLIEST, in_utc(oldest))


def _choice(asked: Mapping[str, str], name: str, choices: Sequence[int]) -> int:
    """Return the number that an address chooses, by default the first."""
    return next((one for one in choices if str(one) == asked.get(name)), choices[0])


def _pair(row: Mapping[str, Any]) -> str:
    """Return the address that compares a replay with the run it replays; empty for live traffic."""
    return f"/runs/{quote(row['base'], safe='')}/{quote(row['run'], safe='')}" if row["base"] else ""
