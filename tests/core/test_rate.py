"""The rate limit: no more than so much a minute, and nothing that could go is held up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.rate import BURST_SECONDS, Bucket, RateLimit

times = st.lists(st.floats(0, 30), min_size=1, max_size=60)


def taken(bucket: Bucket, gaps: list[float], amounts: list[float]) -> list[tuple[float, float]]:
    """Return the time at which each amount was taken, by a caller that arrives after each gap and waits as required."""
    now, found = 0.0, []
    for gap, amount in zip(gaps, amounts, strict=False):
        now += gap
        wait = bucket.wait(now, amount)
        now += wait
        assert bucket.wait(now, amount) < 1e-6
        bucket.take(now, amount)
        found.append((now, amount))
    return found


@given(st.integers(1, 600), times, st.data())
def test_in_any_minute_no_more_is_taken_than_flows_in_and_a_full_bucket(
    rate: int, gaps: list[float], data: st.DataObject
) -> None:
    bucket = Bucket(rate)
    amounts = data.draw(st.lists(st.floats(0.1, bucket.capacity), min_size=len(gaps), max_size=len(gaps)))
    found = taken(bucket, gaps, amounts)
    for start, _ in found:
        within = sum(amount for at, amount in found if start <= at < start + 60)
        assert within <= rate + bucket.capacity + 1e-6


def test_a_bucket_begins_full_and_then_lets_through_what_flows_in() -> None:
    bucket = Bucket(60)
    assert bucket.capacity == 60 * BURST_SECONDS / 60
    assert [at for at, _ in taken(bucket, [0.0] * 13, [1.0] * 13)] == pytest.approx([0.0] * 10 + [1.0, 2.0, 3.0])


def test_a_pause_saves_up_no_more_than_it_holds() -> None:
    bucket = Bucket(60)
    taken(bucket, [0.0] * 10, [1.0] * 10)
    found = taken(bucket, [3600.0] + [0.0] * 10, [1.0] * 11)
    assert [at for at, _ in found] == pytest.approx([3600.0] * 10 + [3601.0])


def test_even_one_a_minute_lets_one_through() -> None:
    assert [at for at, _ in taken(Bucket(1), [0.0] * 3, [1.0] * 3)] == pytest.approx([0.0, 60.0, 120.0])


def test_more_than_a_bucket_holds_waits_until_it_is_full_and_is_owed_after() -> None:
    bucket = Bucket(60)
    assert bucket.wait(0, 30) == 0
    bucket.take(0, 30)
    assert bucket.wait(0, 1) == pytest.approx(21)


def test_what_is_given_back_is_there_at_once_but_never_over_the_brim() -> None:
    bucket = Bucket(60)
    bucket.take(0, 10)
    assert bucket.wait(0, 1) > 0
    bucket.take(0, -5)
    assert bucket.wait(0, 5) == 0
    bucket.take(0, -100)
    assert bucket.level == bucket.capacity


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = Bucket(60)
    bucket.take(100, 10)
    assert bucket.wait(50, 1) == pytest.approx(1)


# ---- The limits of a model together ----


def test_without_limits_nothing_waits() -> None:
    limit = RateLimit.of(None, None, None)
    for _ in range(1000):
        assert limit.wait(0, 10**9) == 0
        limit.take(0, 10**9)
        limit.settle(0, 10**9, 10**9, 10**9)


def test_the_tightest_limit_decides() -> None:
    limit = RateLimit.of(6000, 600, None)
    assert limit.wait(0, 100) == 0
    limit.take(0, 100)
    assert limit.wait(0, 50) == pytest.approx(5)
    assert limit.wait(0, 0) == 0


def test_input_is_counted_before_and_set_right_after() -> None:
    more, less, unknown = (RateLimit.of(None, 600, None) for _ in range(3))
    for limit, count in ((more, 110), (less, 20), (unknown, None)):
        limit.take(0, 100)
        limit.settle(0, 100, count, None)
    assert more.wait(0, 10) == pytest.approx(2)
    assert less.wait(0, 80) == 0
    assert unknown.wait(0, 10) == pytest.approx(1)


def test_output_is_counted_after_and_holds_up_the_next_call() -> None:
    limit = RateLimit.of(None, None, 600)
    limit.take(0, 0)
    assert limit.wait(0, 0) == 0
    limit.settle(0, 0, 5, 130)
    assert limit.wait(0, 0) == pytest.approx(3)


def test_a_hold_delays_all_and_a_shorter_one_does_not_end_it() -> None:
    limit = RateLimit.of(None, None, None)
    limit.hold(10, 20)
    limit.hold(11, 1)
    assert (limit.wait(12, 0), limit.wait(30, 0)) == (18, 0)


def test_after_a_hold_as_long_a_time_is_free_of_holds() -> None:
    limit = RateLimit.of(None, None, None)
    limit.hold(10, 5)
    limit.hold(15, 5)
    assert limit.wait(15, 0) == 0
    limit.hold(19.9, 60)
    assert limit.wait(19.9, 0) == 0
    limit.hold(20, 5)
    assert limit.wait(20, 0) == 5
