"""One range of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from streams.adapters.kafka_record import deadline_after, kafka_time
from streams.cli.times import parse_time
from streams.core.time_range import EARLIEST, LATEST, clamped

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("time", "end"),
    [
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), EARLIEST),
        (datetime(1960, 1, 1, tzinfo=UTC), EARLIEST),
        (NOW, NOW),
        (datetime(2150, 1, 1, tzinfo=UTC), LATEST),
        (datetime(9999, 12, 31, 23, 59, tzinfo=timezone(-timedelta(hours=12))), LATEST),
    ],
)
def test_a_time_is_brought_into_the_range(time: datetime, end: datetime) -> None:
    assert clamped(time) == end
    assert parse_time(time.isoformat(), lambda: NOW) == end


def test_a_moment_is_within_the_range_however_long_ago_it_is_said_to_be() -> None:
    assert (
        parse_time("60000d", lambda: NOW)
        == parse_time("99999999999d", lambda: NOW)
        == parse_time(None, lambda: NOW)
        == EARLIEST
    )


@pytest.mark.parametrize("milliseconds", [None, -1, 0, -(2**63), 2**63 - 1, 4_291_747_200_000])
def test_a_record_and_its_deadline_are_within_the_range(milliseconds: int | None) -> None:
    at = kafka_time(milliseconds)
    assert EARLIEST <= at < LATEST
    assert at <= deadline_after(at, 86_400 * 365) <= LATEST
