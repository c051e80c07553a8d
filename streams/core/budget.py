"""A day's money, shared out among partitions so that nobody need count for all.

Every partition owns an equal share of its tier's budget and counts what is spent on the messages it brings. Whoever
holds the partition holds its count, so no two workers ever spend one share, and no central counter is asked. A
call's cost is known only after it, so each call in flight may take a share past its limit. The price of it all: a
partition may run out while another has money left.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Literal

AtLimit = Literal["defer", "accept", "fail"]
"""What becomes of a task without money: it waits for the next day, the worker's answer is accepted, it fails."""
_SMALLEST = Decimal("1e-12")
_DIGITS = 60


def share(usd_per_day: Decimal, partitions: int) -> Decimal:
    """A partition's part of a day's budget, rounded down to a millionth of a millionth of a dollar."""
    with localcontext(prec=_DIGITS, rounding=ROUND_DOWN):  # the division too must never round up
        return (usd_per_day / partitions).quantize(_SMALLEST)


def day_of(now: datetime) -> str:
    """The day a call is counted on, in UTC, as in 2026-11-01."""
    return now.astimezone(UTC).date().isoformat()


def next_day(now: datetime) -> datetime:
    """When the next day begins, in UTC."""
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
