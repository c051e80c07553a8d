"""The retry budget: a share of the calls, and a small reserve."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.retry_budget import MOST, RESERVE, RetryBudget


@given(st.floats(0, 0.9), st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=300))
def test_retries_never_exceed_the_share_and_the_reserve(share: float, steps: list[tuple[float, bool]]) -> None:
    budget, now, made, retried = RetryBudget(share), 0.0, 0, 0
    for passed, again in steps:
        now += passed
        if again and not budget.withdraw(now):
            continue
        retried += again
        made += 1
        budget.deposit(now)
    assert retried <= share * made + RESERVE * (1 + now / 60) + 1e-6


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_of_calls_that_all_fail_the_share_is_retried_in_the_long_run(share: float) -> None:
    budget, made, retried = RetryBudget(share), 0, 0
    for _ in range(5000):
        budget.deposit(0)
        made += 1
        while budget.withdraw(0):
            budget.deposit(0)
            made, retried = made + 1, retried + 1
    assert retried / made == pytest.approx(share, abs=0.005)


def test_a_rare_call_can_always_be_retried() -> None:
    budget = RetryBudget(0.3)
    for minute in range(100):
        budget.deposit(60.0 * minute)
        assert all(budget.withdraw(60.0 * minute) for _ in range(5))


def test_a_good_hour_saves_up_no_more_than_the_limit() -> None:
    budget = RetryBudget(0.5)
    for _ in range(10_000):
        budget.deposit(0)
    assert sum(budget.withdraw(0) for _ in range(1000)) == MOST


def test_without_a_share_nothing_is_retried() -> None:
    budget = RetryBudget(0)
    for second in range(100):
        budget.deposit(second)
    assert not budget.withdraw(1000)
