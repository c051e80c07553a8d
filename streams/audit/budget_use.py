"""The use of each tier's budget today: spent, its share, and a forecast to midnight (UTC)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from streams.core.budget import AtLimit, next_day
from streams.core.dollars import dollars

BudgetState = Literal["over", "will be over", "within"]
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
        return "will be over" if expected >= self.limit_usd else "within"


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


def sentences(uses: Sequence[BudgetUse]) -> Iterator[str]:
    """Say which budgets are over or will be; one sentence if none is."""
    states = {use.state for use in uses}
    for use in uses:
        if use.state == "over":
            most = f" Most of it went to {use.handlers[0][0]} ({dollars(use.handlers[0][1])})." if use.handlers else ""
            yield (
                f"The {use.tier}s are over their budget: {dollars(use.spent_usd)} of {dollars(use.limit_usd)} is spent."
                f"{most} {_FATE[use.tier, use.at_limit]}"
            )
        elif use.state == "will be over":
            yield (
                f"The {use.tier}s will be over their budget before midnight UTC: at today's rate they spend "
                f"{dollars(use.forecast_usd)} of {dollars(use.limit_usd)}."
            )
    if uses and states == {"within"}:
        yield "Every tier is within its budget, and at today's rate it stays so until midnight UTC."


_FATE: Mapping[tuple[str, AtLimit], str] = {
    ("listener", "defer"): "They are not asked any more today and find nothing.",
    ("worker", "defer"): "Further tasks wait until midnight UTC.",
    ("worker", "fail"): "Further tasks fail until midnight UTC.",
    ("reasoner", "defer"): "Further tasks wait until midnight UTC.",
    ("reasoner", "accept"): "Until midnight UTC the workers' answers are accepted instead.",
    ("reasoner", "fail"): "Further tasks fail until midnight UTC.",
}
