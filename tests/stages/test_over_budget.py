"""What the money of a day buys, and what becomes of a task when it is spent."""

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

from streams.core.errors import UnreadableError
from streams.core.messages import Deferred, Escalation, Verdict
from streams.stages.consult import consult
from streams.stages.escalate import escalate
from streams.stages.over_budget import accepted, defer, spent, unaffordable
from streams.stages.question import Consultation, OutOfBudget
from streams.stages.work import work
from tests.stages.support import (
    START,
    Clock,
    FakeAnswers,
    FakeAsker,
    Office,
    Turn,
    event,
    model_error,
    office,
    refusal,
    said,
    the,
    verdict,
    with_spec,
)
from tests.stages.test_consult import question, settle_down, until_asked
from tests.stages.trusting import PRICE, with_money

MIDNIGHT = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


def asker(here: Office, *turns: Turn, **policy: Any) -> FakeAsker:
    return FakeAsker(with_spec(here.pipeline.workers["answer"], **policy), turns or [said("yes", 0.9)])


async def escalated(here: Office, turn: Turn) -> Escalation:
    here.askers["extract"].script = [turn]
    return the(Escalation, await work(verdict(event()), START, here.pipeline, here.desk))


# ---- Whether a call is made ----


async def test_no_call_starts_once_the_money_is_spent(here: Office) -> None:
    with_money(here, Decimal(0))
    one = asker(here)
    assert await consult(question(one), here.desk) == OutOfBudget(())
    assert (one.asked, here.answers.kept, here.desk.flights) == ([], {}, {})


async def test_every_call_is_counted_at_its_cost(here: Office) -> None:
    purse, one = with_money(here, Decimal(1)), asker(here)
    for number in range(3):
        await consult(question(one, f"e{number}", f"text {number}"), here.desk)
    assert dict(purse.spent) == {"2026-11-01": 3 * PRICE}


async def test_the_last_call_may_take_the_share_past_its_limit_and_none_comes_after(here: Office) -> None:
    with_money(here, PRICE * Decimal("1.5"))
    one = asker(here, cache="off")
    done = [await consult(question(one, f"e{number}"), here.desk) for number in range(4)]
    assert [isinstance(each, OutOfBudget) for each in done] == [False, False, True, True]


async def test_the_next_day_there_is_money_again(here: Office) -> None:
    with_money(here, PRICE)
    one = asker(here, cache="off")
    await consult(question(one), here.desk)
    here.clock.at = MIDNIGHT - timedelta(microseconds=1)
    assert isinstance(await consult(question(one), here.desk), OutOfBudget)
    here.clock.at = MIDNIGHT
    assert isinstance(await consult(question(one), here.desk), Consultation)


async def test_a_call_is_counted_on_the_day_it_began(here: Office) -> None:
    purse, one = with_money(here, PRICE), asker(here)
    here.clock.at = MIDNIGHT - timedelta(seconds=1)
    one.gate = asyncio.Event()
    asking = asyncio.create_task(consult(question(one), here.desk))
    await until_asked(one, 1)
    here.clock.passes(60)
    one.gate.set()
    await asking
    assert {day: usd for day, usd in purse.spent.items() if usd} == {"2026-11-01": PRICE}


@pytest.mark.parametrize("policy", ["shared", "own"])
async def test_what_is_stored_is_served_without_money(here: Office, policy: str) -> None:
    one = asker(here, cache=policy)
    first = await consult(question(one), here.desk)
    purse = with_money(here, Decimal(0))
    assert await consult(question(one), here.desk) == first
    other = await consult(question(one, "e2"), here.desk)
    assert isinstance(other, Consultation) == (policy == "shared")
    assert (len(one.asked), sum(purse.spent.values())) == (1, 0)


async def test_what_costs_nothing_by_its_nature_is_never_refused_and_never_counted(here: Office) -> None:
    purse, one = with_money(here, Decimal(0)), asker(here)
    one.free, one.priced_as = True, None
    assert isinstance(await consult(question(one), here.desk), Consultation)
    assert dict(purse.spent) == {}


async def test_an_error_that_is_not_billed_is_not_counted(here: Office) -> None:
    purse = with_money(here, Decimal(1))
    await consult(question(asker(here, model_error(retryable=False))), here.desk)
    assert sum(purse.spent.values()) == 0


async def test_a_call_of_unknown_cost_counts_at_the_most_it_can_have_cost(here: Office) -> None:
    purse, one = with_money(here, Decimal(1)), asker(here, model_error("timeout", retryable=False))
    await consult(question(one), here.desk)
    tokens = 1_000 + 16 * (len("hello") + 1) + len(json.dumps(schema_of(one)))
    dollars = Decimal(tokens + 5 * one.handler.spec.max_tokens).scaleb(-6)  # at 1 and 5 dollars a million
    assert sum(purse.spent.values()) == dollars


def schema_of(one: FakeAsker) -> Any:
    assert one.handler.prompting is not None
    return one.handler.prompting.contract.wire_schema


async def test_no_retry_is_made_without_money_and_the_tries_made_are_recorded(here: Office) -> None:
    purse, one = with_money(here, PRICE), asker(here, model_error("server_error"), model_error(), said(), retries=5)
    slept = here.clock.sleep

    async def sleep(seconds: float) -> None:
        await slept(seconds)
        if len(here.clock.slept) == 2:
            purse.spend(PRICE, here.clock.now())  # a neighbour's call

    here.desk = dataclasses.replace(here.desk, sleep=sleep)
    done = await consult(question(one), here.desk)
    assert isinstance(done, OutOfBudget)
    assert [(call.attempt, call.decision, call.error_type) for call in done.calls] == [
        (1, "retried", "server_error"),
        (2, "retried", "overloaded"),
    ]
    assert (len(one.asked), here.answers.kept, here.desk.flights) == (2, {}, {})


async def test_identical_tasks_that_waited_for_one_out_of_money_are_out_of_it_too(here: Office) -> None:
    with_money(here, PRICE)
    one = asker(here, model_error(), said())
    one.gate = asyncio.Event()
    asking = [asyncio.create_task(consult(question(one, f"e{n}"), here.desk)) for n in range(4)]
    await until_asked(one, 1)
    await settle_down()
    with_nothing_left = here.desk.purse
    assert with_nothing_left is not None
    with_nothing_left.spend(PRICE, here.clock.now())
    one.gate.set()
    done = await asyncio.gather(*asking)
    assert all(isinstance(each, OutOfBudget) for each in done)
    assert (len(one.asked), here.desk.flights) == (1, {})


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
    desk = dataclasses.replace(here.desk, answers=FakeAnswers(), now=clock.now, timer=clock.timer)
    office_of_today = dataclasses.replace(here, desk=desk)
    limit = calls_a_day * PRICE - PRICE / 3
    purse, one = with_money(office_of_today, limit), asker(here, cache_ttl=1.0)
    for number, (text, minutes) in enumerate(deliveries):
        clock.passes(minutes * 60)
        await consult(question(one, f"e{number}", text), office_of_today.desk)
    assert all(usd <= max(limit, Decimal(0)) + PRICE for usd in purse.spent.values())
    assert sum(purse.spent.values()) == len(one.asked) * PRICE


# ---- What becomes of the task ----


def test_a_deferral_without_a_task_cannot_be_read() -> None:
    with pytest.raises(UnreadableError, match="neither a verdict nor an escalation"):
        _ = Deferred(cause="budget", not_before=MIDNIGHT, reason="budget").task


async def test_a_task_waits_for_the_next_day_and_counts_how_often_it_has(here: Office) -> None:
    first = defer(verdict(event()), "worker", here.desk)
    assert (first.not_before, first.task.budget_deferrals, first.escalation) == (MIDNIGHT, 1, None)
    assert first.verdict == dataclasses.replace(verdict(event()), budget_deferrals=1)
    here.clock.at = MIDNIGHT
    again = defer(first.task, "worker", here.desk)
    assert (again.not_before, again.task.budget_deferrals) == (MIDNIGHT + timedelta(days=1), 2)


async def test_a_reasoners_task_waits_with_all_that_came_before(here: Office) -> None:
    escalation = await escalated(here, refusal())
    waiting = defer(escalation, "reasoner", here.desk)
    assert waiting.verdict is None
    assert waiting.escalation == dataclasses.replace(escalation, budget_deferrals=1)


def test_the_reason_names_the_tier_and_the_day(here: Office) -> None:
    here.clock.at = datetime(2026, 11, 1, 23, 59, tzinfo=UTC)
    for reason in (spent("reasoner", here.desk), defer(verdict(event()), "reasoner", here.desk).reason):
        assert reason == "budget: this partition's share of the reasoners' money for 2026-11-01 is spent"


@pytest.mark.parametrize("tier", ["worker", "reasoner"])
async def test_a_task_that_fails_for_want_of_money_says_so_last(here: Office, tier: Any) -> None:
    task: Verdict | Escalation = verdict(event()) if tier == "worker" else await escalated(here, refusal())
    result = unaffordable(task, tier, here.desk, ("refused: no",))
    assert (result.state, result.tier, result.answer, result.call_id) == ("failed", tier, None, None)
    assert (result.origin, result.handler, result.intent) == (event().origin, task.handler, "order")
    assert result.reasons == ("refused: no", spent(tier, here.desk))


async def test_a_workers_answer_that_is_accepted_after_all_is_its_own_and_marked(here: Office) -> None:
    escalation = await escalated(here, said({"number": 7}, 0.1))
    result = accepted(escalation, here.desk, ("unsure: 0.1",))
    assert result is not None
    assert escalation.attempt is not None
    assert (result.state, result.tier, result.handler) == ("answered", "worker", "extract")
    assert (result.answer, result.call_id) == ('{"number": 7}', escalation.attempt.call_id)
    assert result.reasons == ("unsure: 0.1", f"{spent('reasoner', here.desk)}; the worker's answer is accepted")


async def test_where_the_worker_gave_no_answer_there_is_none_to_accept(here: Office) -> None:
    assert accepted(await escalated(here, refusal()), here.desk, ()) is None
    resolve = here.pipeline.reasoners["resolve"]
    direct = escalate(verdict(event(), "resolve", action="reason"), resolve, here.desk, "routed", "order", None)
    assert accepted(direct, here.desk, ()) is None
