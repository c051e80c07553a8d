"""The overview: the flow of events through the tiers, and the figures that a visitor looks for first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from streams.adapters.group_lag import GroupLags
from streams.core.errors import ServiceError
from streams.core.messages import Tier
from streams.sink.batch import SINK_TABLES, sink_group
from streams.ui.operator.flow import FlowCounts, flow_counts, flow_diagrams, flow_sentence
from streams.ui.operator.frame import OperatorSite, operator_route, render, render_part, scope_of, site_of
from streams.ui.operator.live import LiveFragment
from streams.ui.operator.scope import Scope, read_scope, stamp
from streams.ui.svg import sparkline

SECONDS: Final = 2.0
"""The least time between two renderings of the live part."""
LAG_KEPT_SECONDS: Final = 5.0
SLICES: Final = 60
"""Slices of the query `pace`."""
TIERS: Final[tuple[tuple[Tier, str, str, str], ...]] = (
    ("listener", "Listeners", "look at every event and cost almost nothing", "listen"),
    ("worker", "Workers", "answer the routine, and refuse the rest", "work"),
    ("reasoner", "Reasoners", "answer what workers refused, or were not sure of", "reason"),
)
"""The tiers: name, heading, what they do, and the tier's process."""
READ_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "listen": ("events", "images"), "work": ("verdicts",), "reason": ("escalations",),
}  # fmt: skip
"""The topics that each tier's process reads."""


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


lags_of = lru_cache(maxsize=1)(GroupLags)
"""The lags of a cluster, by one connection."""


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
    midnight = site.now().replace(hour=0, minute=0, second=0, microsecond=0)
    today: dict[str, Any] = {"run": scope.run, "since": stamp(midnight), "until": stamp(midnight + timedelta(days=1))}
    spending, *found = await asyncio.gather(
        site.reads.named("spending", **today),
        *(site.reads.named(name, scope) for name in ("flow", "latency", "pace", "cache", "refusals", "money")),
    )
    flow, latency, pace, cache, refusals, money = found
    lag = await lag_by_tier(site)
    rows = flow.records()
    counts = flow_counts(rows)
    summary = flow_sentence(counts)
    return render_part(
        "overview_part.html",
        scope=scope,
        today=today,
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
        spent_today=_total(row["usd"] for row in spending.records()),
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


async def lag_by_tier(site: OperatorSite) -> dict[str, int] | None:
    """Return the messages that each tier's process has not handled; None if Kafka does not answer."""
    settings = site.settings
    if settings.kafka is None:
        return None
    prefix, kafka = settings.topic_prefix, settings.kafka
    groups = {f"escalon-{prefix}{tier}": [prefix + topic for topic in topics] for tier, topics in READ_BY.items()}
    groups[sink_group(prefix)] = [prefix + topic for topic in SINK_TABLES]

    def read() -> dict[str, int] | None:
        try:
            found = lags_of(kafka).read(groups)
        except ServiceError:
            return None
        return {group.removeprefix(f"escalon-{prefix}"): behind for group, behind in found.items()}

    return await site.reads.call(("lag", kafka.servers, prefix), read, LAG_KEPT_SECONDS)


def saved_share(counts: FlowCounts) -> float | None:
    """Return the share of the events that were not passed on to a reasoner; None without events."""
    return 1 - counts.escalated / counts.events if counts.events else None


def _total(values: Any) -> Any:
    known = [one for one in values if one is not None]
    return sum(known) if known else None
