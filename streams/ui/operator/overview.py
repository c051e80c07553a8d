"""The overview: the flow of events through the tiers, and the figures that a visitor looks for first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from streams.core.messages import Tier
from streams.ui.operator.budgets import read_budgets
from streams.ui.operator.flow import FlowCounts, flow_counts, flow_diagrams, flow_sentence
from streams.ui.operator.frame import OperatorSite, operator_route, render, render_part, scope_of, site_of
from streams.ui.operator.lag import lag_by_process
from streams.ui.operator.live import LiveFragment
from streams.ui.operator.scope import Scope, read_scope
from streams.ui.svg import sparkline

SECONDS: Final = 2.0
"""The least time between two renderings of the live part."""
SLICES: Final = 60
"""Slices of the query `pace`."""
TIERS: Final[tuple[tuple[Tier, str, str, str], ...]] = (
    ("listener", "Listeners", "look at every event and cost almost nothing", "listen"),
    ("worker", "Workers", "answer the routine, and refuse the rest", "work"),
    ("reasoner", "Reasoners", "answer what workers refused, or were not sure of", "reason"),
)
"""The tiers: name, heading, what they do, and the tier's process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierFigures:
    """The work of a tier in the scope. Seconds and lag are None where they are unknown."""

    tier: Tier
    heading: str
    duty: str
    calls: int
    calls_per_minute: float
    p50: float | None
    p99: float | None
    lag: int | None
    pace: Markup


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [operator_route("/", show)]


def fragments(site: OperatorSite) -> Sequence[LiveFragment]:
    """Return the live parts."""

    async def part(asked: Mapping[str, str]) -> str:
        if site.settings.clickhouse is None:
            return starting_part(site)
        return await overview_part(site, await read_scope(asked, site.reads, site.now()))

    return (LiveFragment("overview", SECONDS, part),)


async def show(request: Request) -> Response:
    """Show the page; while the servers start, what is ready."""
    site = site_of(request)
    if site.settings.clickhouse is None:
        return render(request, "overview.html", "Overview", part=starting_part(site))
    scope = await scope_of(request)
    return render(request, "overview.html", "Overview", part=await overview_part(site, scope))


def starting_part(site: OperatorSite) -> Markup:
    """Render what is ready, and what is not."""
    return render_part("starting_part.html", steps=site.steps())


async def overview_part(site: OperatorSite, scope: Scope) -> Markup:
    """Render what renews itself."""
    names = ("flow", "latency", "pace", "cache", "refusals", "money")
    reads = asyncio.gather(*(site.reads.named(name, scope) for name in names))
    budgets, lag, found = await asyncio.gather(read_budgets(site, scope.run), lag_by_process(site), reads)
    flow, latency, pace, cache, refusals, money = found
    rows = flow.records()
    counts = flow_counts(rows)
    summary = flow_sentence(counts)
    return render_part(
        "overview_part.html",
        scope=scope,
        budgets=budgets,
        steps=[step for step in site.steps() if not step[1]],
        summary=summary,
        counts=counts,
        table=[tuple(row.values()) for row in rows],
        diagrams=flow_diagrams(rows, summary),
        tiers=tier_figures(scope, latency.records(), pace.records(), lag),
        lag=lag,
        hits=sum(int(row["hits"]) for row in cache.records()),
        refused=sum(int(row["refused"]) for row in refusals.records() if row["tier"] == "worker"),
        money=next(iter(money.records()), None),
        saved_share=saved_share(counts),
    )


def tier_figures(
    scope: Scope, latency: Sequence[Mapping[str, Any]], pace: Sequence[Mapping[str, Any]], lag: Mapping[str, int] | None
) -> list[TierFigures]:
    """Return the figures of each tier."""
    seconds = {row["tier"]: row for row in latency}
    minutes = scope.hours * 60
    found = []
    for tier, heading, duty, process in TIERS:
        slices = {int(row["slice"]): int(row["calls"]) for row in pace if row["tier"] == tier}
        calls = sum(slices.values())
        own = seconds.get(tier, {})
        line = sparkline(f"{heading}: calls over time", [slices.get(place, 0) for place in range(SLICES)], tier)
        found.append(
            TierFigures(
                tier=tier,
                heading=heading,
                duty=duty,
                calls=calls,
                calls_per_minute=calls / minutes,
                p50=own.get("call_p50"),
                p99=own.get("call_p99"),
                lag=None if lag is None else lag[process],
                pace=line,
            )
        )
    return found


def saved_share(counts: FlowCounts) -> float | None:
    """Return the share of the events that were not passed on to a reasoner; None without events."""
    return 1 - counts.escalated / counts.events if counts.events else None
