"""The use of each tier's budget today: spent, its share, and a forecast to midnight (UTC)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from streams.core.budget import AtLimit, next_day
from streams.core.dollars import dollars

BudgetState = Literal["over", "will be over", "nearly used", "within"]
NEARLY = 0.9
"""A budget is nearly used from this share on, although the forecast stays below it."""
SHORTEST = timedelta(minutes=10)
"""A rate of spending is not taken from a shorter time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """The spending of one tier on one day against its limit, in US dollars."""

    tier: str
    limit_usd: Decimal
    at_limit: AtLimit
    spent_usd: Decimal
    forecast_usd: Decimal | None
    """At midnight, at the rate since the day's first call; None if that was less than SHORTEST ago, or never."""
    handlers: tuple[tuple[str, Decimal], ...]
    """The spending of each handler, the largest first."""
    unpriced: int
    """Calls of unknown cost; the budget itself counts them at the most they can have cost."""

    @property
    def share(self) -> float:
        """Spent as a share of the limit; above 1 if it is exceeded."""
        return float(self.spent_usd / self.limit_usd)

    @property
    def state(self) -> BudgetState:
        if self.spent_usd >= self.limit_usd:
            return "over"
        expected = self.spent_usd if self.forecast_usd is None else self.forecast_usd
        if expected >= self.limit_usd:
            return "will be over"
        return "nearly used" if self.share >= NEARLY else "within"

    @property
    def at_limit_words(self) -> str:
        """The fate of further tasks, once the budget is used."""
        return _FATE[self.tier, self.at_limit]


def budget_uses(
    limits: Mapping[str, tuple[Decimal, AtLimit]], spending: Sequence[Mapping[str, Any]], now: datetime
) -> list[BudgetUse]:
    """Return the use of each budget, from the day's rows of the query `handler_spending`."""
    return [_use(tier, *limit, [row for row in spending if row["tier"] == tier], now) for tier, limit in limits.items()]


def _use(
    tier: str, limit_usd: Decimal, at_limit: AtLimit, rows: Sequence[Mapping[str, Any]], now: datetime
) -> BudgetUse:
    by_handler: dict[str, Decimal] = {}
    for row in rows:
        by_handler[row["handler"]] = by_handler.get(row["handler"], Decimal(0)) + (row["usd"] or Decimal(0))
    spent = sum(by_handler.values(), Decimal(0))
    first = min((row["first"].replace(tzinfo=UTC) for row in rows), default=None)
    return BudgetUse(
        tier=tier,
        limit_usd=limit_usd,
        at_limit=at_limit,
        spent_usd=spent,
        forecast_usd=None if first is None else _forecast(spent, first, now),
        handlers=tuple(sorted(by_handler.items(), key=lambda pair: -pair[1])),
        unpriced=sum(row["unpriced"] for row in rows),
    )


def _forecast(spent: Decimal, first: datetime, now: datetime) -> Decimal | None:
    passed = now - first
    if passed < SHORTEST:
        return None
    left = (next_day(now) - now) / passed
    return spent + spent * Decimal(left)


def warning(use: BudgetUse) -> str:
    """Say that a budget is over, or will or may be, and what happens then; empty for one that is within."""
    spent = f"{dollars(use.spent_usd)} of {dollars(use.limit_usd)}"
    match use.state:
        case "over":
            most = f" Most of it went to {use.handlers[0][0]} ({dollars(use.handlers[0][1])})." if use.handlers else ""
            return f"The {use.tier}s are over today's budget: {spent} is spent.{most} Now {use.at_limit_words}."
        case "will be over":
            return (
                f"The {use.tier}s will be over today's budget: {spent} is spent, and at today's rate it is "
                f"{dollars(use.forecast_usd)} by midnight UTC. From the limit on {use.at_limit_words}."
            )
        case "nearly used":
            return f"The {use.tier}s have nearly used today's budget: {spent}. From the limit on {use.at_limit_words}."
    return ""


_FATE: Mapping[tuple[str, AtLimit], str] = {
    ("listener", "defer"): "their models are not asked until midnight UTC, and they find nothing",
    ("worker", "defer"): "further tasks wait until midnight UTC",
    ("worker", "fail"): "further tasks fail until midnight UTC",
    ("reasoner", "defer"): "further tasks wait until midnight UTC",
    ("reasoner", "accept"): "the workers' answers are accepted instead until midnight UTC",
    ("reasoner", "fail"): "further tasks fail until midnight UTC",
}
