"""The page of one event: its story, its calls over time, every prompt and answer, and what labels say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from streams.audit.named_queries import DEFAULTS
from streams.audit.trace import read_trace
from streams.ui.operator.event_bars import bar_rows, span_of
from streams.ui.operator.event_view import call_views, event_texts, redaction_remark, shown_text
from streams.ui.operator.event_words import story_of
from streams.ui.operator.frame import operator_route, render, site_of
from streams.ui.operator.wording import excerpt

MARKS: Final[Mapping[bool | None, tuple[str, str]]] = {
    True: ("Right.", "good"),
    False: ("Wrong.", "problem"),
    None: ("Not compared.", "warning"),
}
"""A label's agreement with an answer, in words, and the class of its colour."""


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [operator_route("/events/{event_id:path}", show)]


def event_link(event_id: str, run: str) -> str:
    """Return the address of an event's page."""
    more = "" if run == DEFAULTS["run"] else f"?{urlencode({'run': run})}"
    return f"/events/{quote(event_id, safe='')}{more}"


async def show(request: Request) -> Response:
    """Show the event of an address, of the run `run`."""
    site, event_id = site_of(request), request.path_params["event_id"]
    run = request.query_params.get("run") or DEFAULTS["run"]
    trace = await site.reads.audit(
        ("trace", run, event_id), lambda audit: read_trace(audit, event_id, run, site.pipeline)
    )
    start, end = span_of(trace) if trace.calls else (None, None)
    others = [one for one in trace.runs if one != run]
    return render(
        request,
        "event.html",
        excerpt(event_id),
        trace=trace,
        story=story_of(trace),
        texts=event_texts(trace),
        remark=redaction_remark(trace.verdict),
        answer=shown_text("The answer", trace.outcome["answer"], as_json=True) if trace.outcome else None,
        bars=bar_rows(trace),
        length=(end - start).total_seconds() if start is not None and end is not None else None,
        calls=call_views(trace.calls, trace.findings, (trace.verdict or {}).get("text") or ""),
        judges=call_views(trace.judge_calls, {}),
        others=others,
        links={one: event_link(event_id, one) for one in others},
        marks=MARKS,
    )
