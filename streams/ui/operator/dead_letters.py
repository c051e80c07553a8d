"""The pages of dead letters: the list with its filters, one letter with its original bytes, retry and drop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from streams.audit.dead_letters.handling import checked_reason, split_open, split_retryable
from streams.audit.dead_letters.republish import EVENTS
from streams.audit.dead_letters.table import STATES, LetterFilter, LetterStatus
from streams.core.errors import ConfigError
from streams.ui.operator.event import event_link
from streams.ui.operator.forms import form_token, operator_form
from streams.ui.operator.frame import OperatorSite, operator_route, render, scope_of, site_of
from streams.ui.operator.letters import RETRYABLE, by_reason, drop, read_letters, read_page, read_selected, retry
from streams.ui.operator.scope import ALL_HOURS, Scope, in_utc

LIST: Final = "/dead-letters"
SHOWN: Final = 20
"""The dead letters of a page."""
AT_ONCE: Final = 500
"""The most dead letters that one form handles."""
FILTERS: Final = ("topic", "reason", "state")
READERS: Final = (
    ("events", "listeners"), ("images", "image comparison"), ("verdicts", "workers"), ("escalations", "reasoners"),
    ("deferred-budget", "scheduler"), ("deferred-provider", "scheduler"), ("deferred-batch", "batches"),
    ("results", "settling"), ("calls", "audit"),
    ("outcomes", "audit"), ("labels", "audit"), ("judgements", "audit"), ("panels", "audit"), ("panel-cases", "audit"),
)  # fmt: skip
"""The topics whose messages become dead letters, each with its reader."""


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [
        operator_route(LIST, show_list),
        operator_route(LIST, act, methods=["POST"]),
        operator_route(f"{LIST}/confirm", confirm),
        operator_route(LIST + "/done/{number:int}", show_result),
        operator_route(LIST + "/{letter}", show_one),
        operator_route(LIST + "/{letter}/original", download),
    ]


async def show_list(request: Request) -> Response:
    """List dead letters, the newest first, with their counts by topic and reason."""
    site, scope, asked = site_of(request), await scope_of(request, ALL_HOURS), request.query_params
    chosen = _chosen(asked)
    counts = (await site.reads.named("dead_letters", scope)).records()
    wanted = replace(_filter(site, scope, chosen), after=_after(asked.get("after", "")), limit=SHOWN + 1)
    found = await site.reads.call(("letters", wanted), lambda: read_letters(site.settings, wanted))
    shown = found[:SHOWN]
    here = {"after": asked["after"]} if wanted.after else {}
    return render(
        request,
        "dead_letters.html",
        "Dead letters",
        counts=[row | {"link": _link(scope, topic=_short(site, row["topic"]), reason=row["reason"])} for row in counts],
        letters=[(one, event_link(one.event_id, scope.run)) for one in shown],
        selectable=sum(one.state in RETRYABLE for one in shown),
        ticked=asked.get("tick") == "all",
        tick_link=_link(scope, **chosen, **here, tick="all"),
        newest=_link(scope, **chosen) if here else "",
        older=_link(scope, **chosen, after=_place(shown[-1])) if len(found) > SHOWN else "",
        chosen=chosen,
        topics=READERS,
        reasons=sorted({str(row["reason"]) for row in counts}),
        states=STATES,
        all_links={verb: _link(scope, f"{LIST}/confirm", do=verb, of="all", **chosen) for verb in ("retry", "drop")},
    )


async def show_one(request: Request) -> Response:
    """Show one dead letter with its original bytes."""
    site = site_of(request)
    page = await asyncio.to_thread(read_page, site.settings, request.path_params["letter"])
    link = event_link(page.status.event_id, site.settings.run)
    return render(request, "dead_letter.html", "Dead letter", page=page, csrf=form_token(request), event_link=link)


async def download(request: Request) -> Response:
    """Return the original bytes as a file that no browser opens."""
    site, letter = site_of(request), request.path_params["letter"]
    value = (await asyncio.to_thread(read_page, site.settings, letter)).value
    if value is None:
        what = "the original bytes are gone: redacted, erased, or past their retention."
        raise ConfigError(what, "Publish the event again from its source.")
    headers = {"Content-Disposition": f'attachment; filename="dead-letter-{letter}.bin"'}
    return Response(value, media_type="application/octet-stream", headers=headers)


async def confirm(request: Request) -> Response:
    """Say what a retry or a drop of the ticked dead letters, or of all of a filter, will do, and ask for it."""
    site, scope, asked = site_of(request), await scope_of(request, ALL_HOURS), request.query_params
    chosen, verb, ids = _chosen(asked), _verb(asked), asked.getlist("id")[:AT_ONCE]
    if asked.get("of") == "all":
        wanted = replace(_filter(site, scope, chosen), states=RETRYABLE, limit=AT_ONCE)
        found = await asyncio.to_thread(read_letters, site.settings, wanted)
    elif ids:
        found = await asyncio.to_thread(read_selected, site.settings, ids)
    else:
        raise ConfigError("no dead letter is selected.", "Go back, and tick those that you mean.")
    prefix = site.settings.topic_prefix
    left, meant = split_retryable(found, prefix, RETRYABLE, None) if verb == "retry" else split_open(found)
    return render(
        request,
        "dead_letters_confirm.html",
        f"{verb.capitalize()} dead letters",
        verb=verb,
        meant=meant,
        reasons=by_reason(left),
        counts=Counter((one.topic, one.reason) for one in meant).most_common(),
        # By id, so that letters that arrive after this page was shown are not meant.
        ids=" ".join(one.dead_letter_id for one in meant),
        limit=AT_ONCE if len(found) == AT_ONCE else None,
        back=_link(scope, **chosen),
        csrf=form_token(request),
    )


async def act(request: Request) -> Response:
    """Retry or drop the dead letters of a form, one or many, and go on to the result."""
    form, site = await operator_form(request), site_of(request)
    ids = form.get("ids", "").split()[:AT_ONCE]
    if _verb(form) == "drop":
        work = partial(drop, site.settings, ids, checked_reason(form.get("why", "")))
    else:
        work = partial(retry, site.settings, ids, EVENTS if form.get("from") == EVENTS else None)
    async with site.changing:
        number = site.form_results.add(await asyncio.to_thread(work))
    return RedirectResponse(f"{LIST}/done/{number}", 303)


async def show_result(request: Request) -> Response:
    """Show what a form did."""
    handled = site_of(request).form_results.get(request.path_params["number"])
    return render(request, "dead_letters_done.html", "Dead letters", handled=handled)


def _filter(site: OperatorSite, scope: Scope, chosen: Mapping[str, str]) -> LetterFilter:
    state = chosen.get("state")
    return LetterFilter(
        run=scope.run,
        reason=chosen.get("reason"),
        topic=site.settings.topic_prefix + chosen["topic"] if chosen.get("topic") else None,
        since=scope.since,
        until=scope.until,
        states=(state,) if state else STATES,
    )


def _place(one: LetterStatus) -> str:
    return f"{one.event_time.isoformat()} {one.dead_letter_id}"


def _after(text: str) -> tuple[datetime, str] | None:
    """Return the place in the list after which a page begins. Raises ConfigError if it cannot be read."""
    time, _, letter = text.partition(" ")
    try:
        return (in_utc(datetime.fromisoformat(time)), letter) if text else None
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a place in the list.", "Begin with the newest page.", "after") from error


def _chosen(asked: Mapping[str, str]) -> dict[str, str]:
    """Return the filters of an address or a form. Raises ConfigError for a state that does not exist."""
    chosen = {name: value for name in FILTERS if (value := asked.get(name))}
    if chosen.get("state", "open") not in STATES:
        raise ConfigError(f"{chosen['state']!r} is not a state.", f"Use one of {', '.join(STATES)}.", "state")
    return chosen


def _verb(asked: Mapping[str, str]) -> str:
    verb = asked.get("do", "")
    if verb not in ("retry", "drop"):
        raise ConfigError("the form does not say what to do.", "Load the page again.")
    return verb


def _short(site: OperatorSite, topic: str) -> str:
    return topic.removeprefix(site.settings.topic_prefix)


def _link(scope: Scope, path: str = LIST, **more: str) -> str:
    return scope.link(path, **more) if more else f"{path}?{urlencode(scope.query)}"
