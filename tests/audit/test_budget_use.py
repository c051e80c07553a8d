"""The use of budgets, from rows of the query `handler_spending`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from streams.audit.budget_use import BudgetUse, budget_uses, warning
from streams.core.budget import AtLimit
from streams.pipeline.spec import AT_LIMIT

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
LIMITS: dict[str, tuple[Decimal, AtLimit]] = {"worker": (Decimal(5), "defer"), "reasoner": (Decimal(20), "accept")}


def row(tier: str, usd: str | None, handler: str = "answer", hour: int = 6, unpriced: int = 0) -> dict[str, Any]:
    """One handler's spending; its first call was at an hour of the day. The driver leaves the zone out."""
    first = datetime(2026, 11, 1, hour)
    known = None if usd is None else Decimal(usd)
    return {"tier": tier, "handler": handler, "usd": known, "unpriced": unpriced, "first": first}


def use(*rows: dict[str, Any], now: datetime = NOON) -> BudgetUse:
    return budget_uses(LIMITS, rows, now)[0]


def test_half_the_day_at_one_rate_doubles_by_midnight_twice_as_far_away() -> None:
    found = use(row("worker", "1.00"), row("worker", "0.50", "name"), row("reasoner", "9"))
    assert (found.spent_usd, found.share, found.forecast_usd) == (Decimal("1.50"), 0.3, Decimal("4.5"))
    assert found.handlers == (("answer", Decimal("1.00")), ("name", Decimal("0.50")))
    assert found.state == "within"


def test_a_forecast_beyond_the_limit_is_a_warning_and_spending_beyond_it_a_fact() -> None:
    assert use(row("worker", "2")).state == "will be over"
    assert use(row("worker", "5")).state == "over"


def test_a_rate_is_not_taken_from_a_few_minutes_or_from_nothing() -> None:
    early = use(row("worker", "0.5", hour=12), now=NOON.replace(minute=9))
    assert (early.forecast_usd, early.state) == (None, "within")
    assert use().forecast_usd is None


def test_calls_of_unknown_cost_are_counted_and_add_nothing() -> None:
    found = use(row("worker", None, unpriced=3), row("worker", "1", "name", unpriced=1))
    assert (found.spent_usd, found.unpriced) == (Decimal(1), 4)


def test_a_budget_that_is_nearly_used_is_no_longer_within_although_the_day_ends_first() -> None:
    found = use(row("worker", "4.6"), now=NOON.replace(hour=23, minute=30))
    assert found.state == "nearly used"
    assert warning(found) == (
        "The workers have nearly used today's budget: $4.60 of $5.00. From the limit on further tasks wait until "
        "midnight UTC."
    )


def test_the_words_name_who_is_over_and_what_happens_then() -> None:
    uses = budget_uses(LIMITS, [row("worker", "6", "name"), row("worker", "1"), row("reasoner", "11")], NOON)
    over, soon = map(warning, uses)
    assert over == (
        "The workers are over today's budget: $7.00 of $5.00 is spent. Most of it went to name ($6.00). "
        "Now further tasks wait until midnight UTC."
    )
    assert soon.startswith("The reasoners will be over today's budget: $11.00 of $20.00 is spent, and at today's rate")
    assert soon.endswith("From the limit on the workers' answers are accepted instead until midnight UTC.")
    assert [warning(one) for one in budget_uses(LIMITS, [], NOON)] == ["", ""]


def test_every_fate_at_a_limit_has_words() -> None:
    for tier, choices in AT_LIMIT.items():
        for at_limit in choices or ("defer",):
            (found,) = budget_uses({tier: (Decimal(1), at_limit)}, [], NOON)
            assert "midnight" in found.at_limit_words
