"""A day's money and its shares."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.budget import day_of, next_day, share

exactly = Context(prec=200)
limits = st.decimals(Decimal("1e-12"), Decimal("1e12"), allow_nan=False, allow_infinity=False)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=zones)


@given(limits, st.integers(1, 10_000))
def test_the_shares_never_add_up_to_more_than_the_limit(limit: Decimal, partitions: int) -> None:
    total = exactly.multiply(share(limit, partitions), partitions)
    assert 0 <= total <= limit
    assert exactly.subtract(limit, total) <= partitions * Decimal("1e-12")


@pytest.mark.parametrize(
    ("limit", "partitions", "each"),
    [
        ("10", 8, "1.25"),
        ("1", 3, "0.333333333333"),
        ("2", 3, "0.666666666666"),
        ("0.000000000001", 2, "0"),
        ("2.99999999999999999999999999999999E-12", 1, "2E-12"),
        ("1E+18", 7, "142857142857142857.142857142857"),
    ],
)
def test_a_share_is_rounded_down(limit: str, partitions: int, each: str) -> None:
    assert share(Decimal(limit), partitions) == Decimal(each)


@pytest.mark.parametrize(
    ("hours", "day"),
    [(0, "2026-11-01"), (14, "2026-11-01"), (-12, "2026-11-01")],
)
def test_the_day_changes_at_midnight_utc_in_any_time_zone(hours: int, day: str) -> None:
    zone = timezone(timedelta(hours=hours))
    last = datetime(2026, 11, 1, 23, 59, 59, 999_999, UTC)
    assert day_of(last.astimezone(zone)) == day
    assert day_of((last + timedelta(microseconds=1)).astimezone(zone)) == "2026-11-02"


@given(moments, zones)
def test_a_moment_belongs_to_one_day_in_every_time_zone(moment: datetime, zone: timezone) -> None:
    assert day_of(moment) == day_of(moment.astimezone(zone)) == moment.astimezone(UTC).strftime("%Y-%m-%d")
    assert next_day(moment) == next_day(moment.astimezone(zone))


@given(moments)
def test_the_next_day_is_the_first_moment_of_another_day(moment: datetime) -> None:
    begins = next_day(moment)
    assert timedelta(0) < begins - moment <= timedelta(days=1)
    assert day_of(begins) > day_of(moment)
    assert day_of(begins - timedelta(microseconds=1)) == day_of(moment)
    assert begins.utcoffset() == timedelta(0)


def test_the_next_day_may_be_in_another_year() -> None:
    assert next_day(datetime(2026, 12, 31, 12, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)
