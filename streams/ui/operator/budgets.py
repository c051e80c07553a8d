"""Today's spending against the budgets: on the overview as a warning, on the page on money in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from markupsafe import Markup

from streams.audit.budget_use import BudgetUse, budget_uses, warning
from streams.core.budget import next_day
from streams.core.messages import Tier
from streams.pipeline.spec import BudgetSpec
from streams.ui import svg
from streams.ui.operator.frame import OperatorSite, render_part
from streams.ui.operator.lag import lag_by_process
from streams.ui.operator.scope import LIVE, Scope
from streams.ui.operator.wording import percent, usd

_MOODS: Final = {"over": "problem", "will be over": "warning", "nearly used": "warning", "within": "good"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetsToday:
    """The use of each budget on this day (UTC), and what was spent in all."""

    day: Scope
    uses: Sequence[BudgetUse]
    spent_usd: Decimal | None
    """None if nothing with a known cost was called."""
    warnings: Sequence[tuple[str, str]]
    """The mood and the sentence of each budget that is over, or will or may be."""
    postponed: int | None
    """The tasks that wait, about, for the next day's budget; None if Kafka does not answer."""

    @property
    def shares(self) -> str:
        """The share of each budget that is spent, in words."""
        return ", ".join(f"{percent(use.share)} of the {use.tier}s' budget" for use in self.uses)


def budgets_of(site: OperatorSite, run: str) -> Mapping[Tier, BudgetSpec]:
    """Return the budgets that hold for a run: only live traffic has any."""
    return site.pipeline.spec.budgets if site.pipeline and run == LIVE else {}


async def read_budgets(site: OperatorSite, run: str) -> BudgetsToday:
    """Read today's spending of a run."""
    now = site.now()
    day = Scope(run=run, since=next_day(now) - timedelta(days=1), until=next_day(now))
    spending = (await site.reads.named("handler_spending", day)).records()
    limits = {str(tier): (one.usd_per_day, one.at_limit) for tier, one in budgets_of(site, run).items()}
    uses = budget_uses(limits, spending, now)
    lag = await lag_by_process(site)
    known = [row["usd"] for row in spending if row["usd"] is not None]
    return BudgetsToday(
        day=day,
        uses=uses,
        spent_usd=sum(known, Decimal(0)) if known else None,
        warnings=[(_MOODS[use.state], words) for use in uses if (words := warning(use))],
        postponed=None if lag is None else lag["resume"],
    )


async def budgets_part(site: OperatorSite, scope: Scope) -> Markup:
    """Render today's spending against the budgets."""
    budgets = await read_budgets(site, scope.run)
    bars = [(use, _MOODS[use.state], budget_bar(use)) for use in budgets.uses]
    return render_part("money_budgets.html", budgets=budgets, bars=bars, pipeline=site.pipeline is not None)


def budget_bar(use: BudgetUse) -> Markup:
    """Draw what was spent, the forecast behind it in a lighter colour, and the limit as a line."""
    forecast = use.spent_usd if use.forecast_usd is None else use.forecast_usd
    most = float(max(use.limit_usd, use.spent_usd, forecast)) * 1.04
    scale = svg.PlotScale(0.0, most, 0.0, svg.WIDTH)
    kind = "bad" if use.state == "over" else use.tier
    label = f"{use.tier}s: {usd(use.spent_usd)} of {usd(use.limit_usd)} spent, forecast {usd(use.forecast_usd)}"
    return svg.picture(
        label,
        [
            svg.tag("rect", x=0, y=8, width=svg.WIDTH, height=18, rx=3, class_="track"),
            svg.tag("rect", x=0, y=8, width=scale(float(forecast)), height=18, rx=3, class_=f"area {kind}"),
            svg.tag("rect", x=0, y=8, width=scale(float(use.spent_usd)), height=18, rx=3, class_=f"mark {kind}"),
            svg.tag("path", d=f"M{max(2.0, scale(float(use.limit_usd)))} 0V34", class_="limit"),
        ],
        height=34,
        preserveAspectRatio=svg.STRETCHED,
    )
