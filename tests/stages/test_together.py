"""Several calls at once: none is left behind."""

from __future__ import annotations

import asyncio

import pytest

from streams.stages.together import together


async def after(seconds: float, result: str, ended: list[str]) -> str:
    await asyncio.sleep(seconds)
    ended.append(result)
    return result


async def fails() -> str:
    raise ZeroDivisionError


async def test_results_come_in_order_whoever_is_first() -> None:
    ended: list[str] = []
    assert await together([after(0.02, "slow", ended), after(0.0, "quick", ended)]) == ["slow", "quick"]
    assert ended == ["quick", "slow"]
    assert await together([]) == []


async def test_where_one_fails_the_others_end_before_that_is_told() -> None:
    ended: list[str] = []
    with pytest.raises(ZeroDivisionError):
        await together([fails(), after(0.02, "paid for", ended)])
    assert ended == ["paid for"]
