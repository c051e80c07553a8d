"""The limit on a judge's cost."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from streams.panels.judge.money import JudgeMoney
from tests.builders import START

D = Decimal


async def test_a_call_that_may_cost_too_much_is_not_made() -> None:
    money = JudgeMoney(D("1.00"))
    money.spend(D("0.95"), START)
    assert await money.reserve(D("0.05"))
    money.release(D("0.05"))
    assert not await money.reserve(D("0.06"))


async def test_a_call_waits_while_another_holds_what_it_may_not_cost() -> None:
    money = JudgeMoney(D("1.00"))
    assert await money.reserve(D("0.60"))
    waiting = asyncio.create_task(money.reserve(D("0.60")))
    await asyncio.sleep(0)
    assert not waiting.done()
    money.release(D("0.60"))
    money.spend(D("0.10"), START)  # before the one that waits can look
    assert await waiting


async def test_a_call_that_waited_is_refused_if_the_other_cost_what_it_could() -> None:
    money = JudgeMoney(D("1.00"))
    assert await money.reserve(D("0.60"))
    waiting = asyncio.create_task(money.reserve(D("0.60")))
    await asyncio.sleep(0)
    money.release(D("0.60"))
    money.spend(D("0.60"), START)
    assert not await waiting


async def test_once_a_call_is_refused_a_cheaper_one_is_too() -> None:
    money = JudgeMoney(D("1.00"))
    assert not await money.reserve(D("1.01"))
    assert not await money.reserve(D("0.01"))
