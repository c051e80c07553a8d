"""The calls that a day's money buys."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.calling.request import CallOutcome, OutOfBudget
from tests.harness.confidence import PRICE, with_money
from tests.harness.stages import (
    Clock,
    FakeAnswers,
    FakeBackend,
    Office,
    backend,
    model_error,
    office,
    request,
    said,
    settle_down,
    until_asked,
    with_records,
)

MIDNIGHT = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


async def test_no_call_starts_once_the_money_is_spent(here: Office) -> None:
    with_money(here, Decimal(0))
    one = backend(here)
    assert await here.call(one, request(one)) == OutOfBudget(())
    assert (one.asked, here.answers.kept, here.services.in_flight) == ([], {}, {})


async def test_every_call_is_counted_at_its_cost(here: Office) -> None:
    budget, one = with_money(here, Decimal(1)), backend(here)
    for number in range(3):
        await here.call(one, request(one, f"e{number}", f"text {number}"))
    assert dict(budget.spent) == {"2026-11-01": 3 * PRICE}


async def test_the_last_call_may_take_the_share_past_its_limit_and_none_comes_after(here: Office) -> None:
    with_money(here, PRICE * Decimal("1.5"))
    one = backend(here, cache="off")
    done = [await here.call(one, request(one, f"e{number}")) for number in range(4)]
    assert [isinstance(each, OutOfBudget) for each in done] == [False, False, True, True]


async def test_the_next_day_there_is_money_again(here: Office) -> None:
    with_money(here, PRICE)
    one = backend(here, cache="off")
    await here.call(one, request(one))
    here.clock.at = MIDNIGHT - timedelta(microseconds=1)
    assert isinstance(await here.call(one, request(one)), OutOfBudget)
    here.clock.at = MIDNIGHT
    assert isinstance(await here.call(one, request(one)), CallOutcome)


async def test_a_call_is_counted_on_the_day_it_began(here: Office) -> None:
    budget, one = with_money(here, PRICE), backend(here)
    here.clock.at = MIDNIGHT - timedelta(seconds=1)
    one.gate = asyncio.Event()
    asking = asyncio.create_task(here.call(one, request(one)))
    await until_asked(one, 1)
    here.clock.passes(60)
    one.gate.set()
    await asking
    assert {day: usd for day, usd in budget.spent.items() if usd} == {"2026-11-01": PRICE}


@pytest.mark.parametrize("policy", ["shared", "own"])
async def test_what_is_stored_is_served_without_money(here: Office, policy: str) -> None:
    one = backend(here, cache=policy)
    first = await here.call(one, request(one))
    budget = with_money(here, Decimal(0))
    assert await here.call(one, request(one)) == first
    other = await here.call(one, request(one, "e2"))
    assert isinstance(other, CallOutcome) == (policy == "shared")
    assert (len(one.asked), sum(budget.spent.values())) == (1, 0)


async def test_what_costs_nothing_by_its_nature_is_never_refused_and_never_counted(here: Office) -> None:
    budget, one = with_money(here, Decimal(0)), backend(here)
    one.free, one.priced_as = True, None
    assert isinstance(await here.call(one, request(one)), CallOutcome)
    assert dict(budget.spent) == {}


async def test_an_error_that_is_not_billed_is_not_counted(here: Office) -> None:
    budget = with_money(here, Decimal(1))
    await here.ask(backend(here, [model_error(retryable=False)]))
    assert sum(budget.spent.values()) == 0


async def test_a_call_of_unknown_cost_counts_at_the_most_it_can_have_cost(here: Office) -> None:
    budget, one = with_money(here, Decimal(1)), backend(here, model_error("timeout", retryable=False))
    await here.call(one, request(one))
    tokens = 1_000 + 16 * (len("hello") + 1) + len(json.dumps(schema_of(one)))
    dollars = Decimal(tokens + 5 * one.handler.prompts.max_tokens).scaleb(-6)  # at 1 and 5 dollars a million
    assert sum(budget.spent.values()) == dollars


def schema_of(one: FakeBackend) -> Any:
    assert one.handler.prompting is not None
    return one.handler.prompting.contract.wire_schema


async def test_no_retry_is_made_without_money_and_the_tries_made_are_recorded(here: Office) -> None:
    budget, one = (
        with_money(here, PRICE),
        backend(here, [model_error("server_error"), model_error(), said()], retries=5),
    )
    slept = here.clock.sleep

    async def sleep(seconds: float) -> None:
        await slept(seconds)
        if len(here.clock.slept) == 2:
            budget.spend(PRICE, here.clock.now())  # a neighbour's call

    here.services = dataclasses.replace(here.services, sleep=sleep)
    done = await here.call(one, request(one))
    assert isinstance(done, OutOfBudget)
    assert [(call.attempt, call.decision, call.error_type) for call in done.calls] == [
        (1, "retried", "server_error"),
        (2, "retried", "overloaded"),
    ]
    assert (len(one.asked), here.answers.kept, here.services.in_flight) == (2, {}, {})


async def test_identical_tasks_that_waited_for_one_out_of_money_are_out_of_it_too(here: Office) -> None:
    with_money(here, PRICE)
    one = backend(here, [model_error(), said()])
    one.gate = asyncio.Event()
    asking = [asyncio.create_task(here.call(one, request(one, f"e{n}"))) for n in range(4)]
    await until_asked(one, 1)
    await settle_down()
    with_nothing_left = here.services.budget
    assert with_nothing_left is not None
    with_nothing_left.spend(PRICE, here.clock.now())
    one.gate.set()
    done = await asyncio.gather(*asking)
    assert all(isinstance(each, OutOfBudget) for each in done)
    assert (len(one.asked), here.services.in_flight) == (1, {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    st.integers(0, 8),
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 600)), max_size=25),
)
async def test_no_day_costs_more_than_its_limit_and_the_call_that_reached_it(
    here: Office, calls_a_day: int, deliveries: Sequence[tuple[str, int]]
) -> None:
    """Deliveries are (text, minutes that pass before)."""
    clock = Clock()
    fresh = dataclasses.replace(here, clock=clock, answers=FakeAnswers())
    office_of_today = with_records(fresh, now=clock.now, timer=clock.timer)
    limit = calls_a_day * PRICE - PRICE / 3
    budget, one = with_money(office_of_today, limit), backend(here, cache_ttl=1.0)
    for number, (text, minutes) in enumerate(deliveries):
        clock.passes(minutes * 60)
        await office_of_today.call(one, request(one, f"e{number}", text))
    assert all(usd <= max(limit, Decimal(0)) + PRICE for usd in budget.spent.values())
    assert sum(budget.spent.values()) == len(one.asked) * PRICE
