"""The page on money: today against each budget, tiering against the reasoner alone, cost by handler and by day."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from streams.audit.report import StreamReport
from streams.core.budget import next_day
from streams.core.counted import counted
from streams.core.messages import Tier
from streams.ui import svg
from streams.ui.operator.budgets import budgets_of, budgets_part
from streams.ui.operator.frame import OperatorSite, operator_route, render, scope_of, scoped, site_of
from streams.ui.operator.live import LiveFragment
from streams.ui.operator.scope import Scope
from streams.ui.operator.wording import usd

DAYS: Final = 14
"""Days in the plots."""
TIERS: Final[tuple[Tier, ...]] = ("listener", "worker", "reasoner")
UPKEEP_USD: Final = Decimal(10)
"""US dollars a day that running the tiers is taken to cost, as `escalon report --advice` does."""


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [operator_route("/money", show)]


def fragments(site: OperatorSite) -> Sequence[LiveFragment]:
    """Return the live parts."""
    return (LiveFragment("budgets", 10.0, scoped(site, budgets_part)),)


async def show(request: Request) -> Response:
    """Show the page."""
    scope = await scope_of(request)
    site = site_of(request)
    weeks = _last_days(scope)
    names = ("money", "duplicate_savings", "tiers", "economy")
    reads = (*(site.reads.named(name, scope) for name in names), site.reads.named("costs", weeks))
    (money,), duplicates, handlers, economy, costs = [found.records() for found in await asyncio.gather(*reads)]
    return render(
        request,
        "money.html",
        "Money",
        part=await budgets_part(site, scope),
        money=money,
        baseline=baseline(money),
        duplicates=duplicates[0] if duplicates else None,
        cached=sum(row["cached"] for row in handlers),
        handlers=handler_rows(handlers, economy),
        advice=_advice(scope, money, handlers, economy),
        weeks=weeks,
        days=day_plots(costs, {tier: one.usd_per_day for tier, one in budgets_of(site, scope.run).items()}),
    )


@dataclass(frozen=True, slots=True)
class Baseline:
    """Tiering compared with the reasoner alone, in one or two sentences."""

    words: str
    mood: str = ""


def baseline(money: Mapping[str, Any]) -> Baseline:
    """Compare the cost of tiering with that of the same events at the reasoner, from the row of the query `money`."""
    tiered, alone = money["tiered_usd"], money["all_reasoner_usd"]
    if not money["asking_events"] or tiered is None:
        return Baseline("No event with a known cost asked a model in this time, so there is nothing to compare.")
    if tiered == alone == 0:
        return Baseline("No model with a price was asked in this time, so there is nothing to compare.")
    cost = f"Tiering cost {usd(tiered)} for the {money['asking_events']:,} events that asked a model"
    if alone is None:
        unseen = "none of them reached a reasoner at a known cost, so the cost of all at the reasoner is unknown"
        return Baseline(f"{cost}; {unseen}. With explore = 0.01 on a worker some do.")
    if money["net_saved_low"] is None:
        few = f"too few for an interval: {counted(money['reasoned_events'], 'event')} at the reasoner"
        return Baseline(f"{cost}; all at the reasoner would have cost about {usd(alone)} ({few}).")
    low, high = (float(tiered) + money[f"net_saved_{end}"] for end in ("low", "high"))
    return _with_interval(f"{cost}; all at the reasoner would have cost", float(tiered), max(0.0, low), high)


def _with_interval(words: str, tiered: float, low: float, high: float) -> Baseline:
    said = f"{words} {usd(low)} to {usd(high)}."
    if tiered < low:
        return Baseline(f"{said} Tiering saved {usd(low - tiered)} to {usd(high - tiered)}.", "good")
    if tiered > high:
        return Baseline(f"{said} Tiering does not pay here: it cost {usd(tiered - high)} or more on top.", "problem")
    return Baseline(f"{said} Whether tiering pays is not certain yet.", "warning")


def handler_rows(handlers: Sequence[Mapping[str, Any]], economy: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the query `tiers`, each with the cost of a worker's calls about escalated events."""
    wasted = {row["handler"]: row["wasted_usd"] for row in economy if row["handler"]}
    return [{**row, "wasted_usd": wasted.get(row["handler"]) if row["tier"] == "worker" else None} for row in handlers]


def _advice(
    scope: Scope, money: dict[str, Any], handlers: list[dict[str, Any]], economy: list[dict[str, Any]]
) -> tuple[str, ...] | None:
    """Return advice on tiering; None for a range under a day, whose rate is not a day's."""
    if scope.hours < 24:
        return None
    parts = {"money": [money], "tiers": handlers, "economy": economy}
    return StreamReport(scope.run, parts, {}).advice(UPKEEP_USD).lines


def _last_days(scope: Scope) -> Scope:
    """Return the days until the end of a scope."""
    last = next_day(scope.until - timedelta(microseconds=1))
    return replace(scope, since=last - timedelta(days=DAYS), until=last)


@dataclass(frozen=True, slots=True)
class DayPlots:
    """The cost of each day: a plot for each tier that cost something, with its title, and a table."""

    plots: Sequence[tuple[str, Markup]]
    rows: Sequence[Sequence[str]]


def day_plots(costs: Sequence[Mapping[str, Any]], limits: Mapping[Tier, Decimal]) -> DayPlots | None:
    """Plot the rows of the query `costs`, with the budget of each tier that has one; None without any rows."""
    days: dict[datetime, dict[Tier, Decimal]] = {}
    for row in costs:
        if row["tier"] in TIERS:
            by_tier = days.setdefault(row["day"], dict.fromkeys(TIERS, Decimal(0)))
            by_tier[row["tier"]] += row["usd"] or Decimal(0)
    if not days:
        return None
    plots = [_day_plot(tier, days, limits.get(tier)) for tier in TIERS if any(one[tier] for one in days.values())]
    rows = [(f"{day}", *(usd(one[tier]) for tier in TIERS), usd(sum(one.values()))) for day, one in days.items()]
    return DayPlots(plots, rows)


def _day_plot(tier: Tier, days: Mapping[datetime, Mapping[Tier, Decimal]], limit: Decimal | None) -> tuple[str, Markup]:
    title = f"{tier}s, ".capitalize() + ("no budget" if limit is None else f"budget {usd(limit)} a day")
    bars = [(f"{day:%d %b}", float(by_tier[tier]), tier) for day, by_tier in days.items()]
    return title, svg.bar_plot(f"{title}: cost of each day", bars, usd, None if limit is None else float(limit))
