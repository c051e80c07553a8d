"""A day's budget, divided among partitions so that no central counter is needed.

Every partition owns an equal share of its tier's budget and counts the spending on its messages. The process that owns
the partition owns its count, so no two workers ever spend one share. A call's cost is known only after it, so each call
in flight may exceed the share. The drawback: a partition may run out while another has budget left.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Literal

AtLimit = Literal["defer", "accept", "fail"]
"""The fate of a task without budget: it waits for the next day, the worker's answer is accepted, or it fails."""
_SMALLEST = Decimal("1e-12")
_DIGITS = 60


def share(usd_per_day: Decimal, partitions: int) -> Decimal:
    """Return a partition's share of a day's budget, rounded down to 1e-12 dollars."""
    with localcontext(prec=_DIGITS, rounding=ROUND_DOWN):  # the division must not round up either
        return (usd_per_day / partitions).quantize(_SMALLEST)


def day_of(now: datetime) -> str:
    """Return the UTC day of a call, such as 2026-11-01."""
    return now.astimezone(UTC).date().isoformat()


def next_day(now: datetime) -> datetime:
    """Return the start of the next day in UTC."""
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
