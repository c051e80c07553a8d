"""A lane: who is let in to a model, when, and what the end of a call changes for the others."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

import pytest

from streams.core.breaker import Breaker, BreakerPolicy
from streams.core.errors import PROVIDER_FAULTS, ModelError
from streams.core.rate import RateLimit
from streams.core.retry_budget import RetryBudget
from streams.stages.lane import LONGEST_HOLD, Lane
from tests.stages.support import Clock, model_error

UNKNOWN = (None, None)


@dataclass
class Told:
    """Remembers what a lane tells."""

    states: list[str] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def breaker(self, model_key: str, state: str) -> None:
        assert model_key == "m"
        self.states.append(state)

    def retry(self, model_key: str, fate: str) -> None:
        assert model_key == "m"
        self.retries.append(fate)

    def held(self, model_key: str, seconds: float) -> None:
        assert model_key == "m"
        self.waits.append(seconds)


def lane(clock: Clock, limit: RateLimit | None = None, share: float = 0.5) -> tuple[Lane, Told]:
    told = Told()
    one = Lane(
        model_key="m",
        timer=clock.timer,
        sleep=clock.sleep,
        limit=limit or RateLimit(),
        breaker=Breaker(BreakerPolicy(latest=3, least=3, rest=2.0)),
        retries=RetryBudget(share),
        telling=told,
    )
    return one, told


def ends(one: Lane, error: ModelError | None = None, tokens: tuple[int | None, int | None] = UNKNOWN) -> None:
    """A call that is made and has ended."""
    one.leave(one.enter(0), error, tokens)


async def admitted(one: Lane, size: int = 0, left: float = math.inf) -> ModelError | None:
    return await one.admit(size, lambda: left)


async def test_without_limits_every_call_is_let_in_at_once() -> None:
    clock = Clock()
    one, told = lane(clock)
    for _ in range(50):
        assert await admitted(one) is None
        ends(one)
    assert (clock.slept, told.waits) == ([], [])


async def test_calls_over_the_limit_wait_and_the_waiting_is_told() -> None:
    clock = Clock()
    one, told = lane(clock, RateLimit.of(30, None, None))
    for _ in range(7):
        assert await admitted(one) is None
        ends(one)
    assert clock.timer() == pytest.approx(4.0)
    assert told.waits == pytest.approx([2.0, 2.0])


async def test_whoever_waits_first_is_let_in_first() -> None:
    clock, order = Clock(), list[int]()
    one, _ = lane(clock, RateLimit.of(6, None, None))

    async def call(number: int) -> None:
        assert await one.admit(0, lambda: math.inf) is None
        one.enter(0)
        order.append(number)

    await asyncio.gather(*map(call, range(6)))
    assert order == list(range(6))


async def test_a_rate_limit_with_a_retry_after_holds_back_the_others_for_a_minute_at_most() -> None:
    for asked, held in ((12.0, 12.0), (3600.0, LONGEST_HOLD)):
        clock = Clock()
        one, _ = lane(clock)
        ends(one, model_error("rate_limited", after=asked))
        assert await admitted(one) is None
        assert clock.timer() == pytest.approx(held)


async def test_another_errors_retry_after_is_its_own_calls_business() -> None:
    clock = Clock()
    one, _ = lane(clock)
    ends(one, model_error("overloaded", after=12.0))
    assert await admitted(one) is None
    assert clock.timer() == 0


@pytest.mark.parametrize("error_type", sorted(PROVIDER_FAULTS))
async def test_the_providers_faults_open_the_breaker_and_no_call_is_made(error_type: str) -> None:
    clock = Clock()
    one, told = lane(clock)
    for _ in range(3):
        ends(one, model_error(error_type))
    refused = await admitted(one)
    assert refused is not None
    assert (refused.error_type, refused.retryable, refused.retry_after) == ("circuit_open", True, 2.0)
    assert told.states == ["closed", "closed", "open"]
    clock.passes(2)
    assert await admitted(one) is None
    ends(one)
    assert told.states == ["closed", "closed", "open", "half-open", "closed"]


@pytest.mark.parametrize("error", [None, model_error("bad_request", retryable=False), model_error("rejected")])
async def test_refusals_and_bad_requests_show_that_the_provider_is_there(error: ModelError | None) -> None:
    one, told = lane(Clock())
    for _ in range(20):
        ends(one, error)
    assert set(told.states) == {"closed"}


async def test_a_call_that_is_cut_off_leaves_the_trial_to_another() -> None:
    clock = Clock()
    one, _ = lane(clock)
    for _ in range(3):
        ends(one, model_error())
    clock.passes(2)
    assert await admitted(one) is None
    trial = one.enter(0)
    refused = await admitted(one)
    assert refused is not None
    assert refused.error_type == "circuit_open"
    one.abandon(trial)
    assert await admitted(one) is None


async def test_calls_that_are_cut_off_use_up_no_limit() -> None:
    clock = Clock()
    one, _ = lane(clock, RateLimit.of(6, 600, None))
    for _ in range(100):
        assert await admitted(one, 50) is None
        one.abandon(one.enter(50))
    assert clock.timer() == 0


async def test_whoever_waits_when_the_breaker_opens_is_turned_away() -> None:
    clock = Clock()
    one, _ = lane(clock, RateLimit.of(60, None, None))
    for _ in range(10):
        one.enter(0)
    under_way = [one.enter(0) for _ in range(3)]

    async def sleep(seconds: float) -> None:
        clock.passes(seconds)
        for given in under_way:
            one.leave(given, model_error(), UNKNOWN)

    one.sleep = sleep
    refused = await admitted(one)
    assert refused is not None
    assert refused.error_type == "circuit_open"


async def test_nobody_waits_past_the_deadline() -> None:
    clock = Clock()
    one, _ = lane(clock, RateLimit.of(6, None, None))
    one.enter(0)
    refused = await one.admit(0, lambda: 3.5 - clock.timer())
    assert refused is not None
    assert (refused.error_type, refused.retryable) == ("deadline", False)
    assert clock.timer() == pytest.approx(3.5)


async def test_tokens_that_were_not_used_let_the_next_call_in_earlier() -> None:
    clock = Clock()
    one, _ = lane(clock, RateLimit.of(None, 600, None))
    assert await admitted(one, 100) is None
    given = one.enter(100)

    async def sleep(seconds: float) -> None:
        clock.passes(seconds)
        one.leave(given, None, (10, 1))

    one.sleep = sleep
    assert await admitted(one, 90) is None
    assert clock.timer() == pytest.approx(1.0)


async def test_retries_are_made_as_long_as_the_budget_lasts_and_both_are_told() -> None:
    one, told = lane(Clock(), share=0.5)
    allowed = [one.may_retry() for _ in range(12)]
    assert allowed == [True] * 10 + [False] * 2
    ends(one)
    ends(one)
    assert (one.may_retry(), one.may_retry()) == (True, False)
    assert told.retries == ["made"] * 10 + ["refused"] * 2 + ["made", "refused"]
