"""A model's limits: which calls may start, when, and what the end of a call changes for the others."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from streams.calling.limited import LONGEST_HOLD, Bounded, CallPermit, ModelLimits
from streams.calling.record import Audited
from streams.calling.request import Reply
from streams.calling.task import Task
from streams.core.breaker import Breaker, BreakerPolicy
from streams.core.errors import PROVIDER_FAULTS, ModelError
from streams.core.rate import RateLimit
from streams.core.retry_budget import RetryBudget
from tests.harness.stages import Clock, FakeBackend, backend, model_error, office, request, said

UNKNOWN = (None, None)


@dataclass
class RememberingObserver:
    """Remembers what limits report."""

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


def limits(clock: Clock, limit: RateLimit | None = None, share: float = 0.5) -> tuple[ModelLimits, RememberingObserver]:
    seen = RememberingObserver()
    one = ModelLimits(
        model_key="m",
        timer=clock.timer,
        sleep=clock.sleep,
        limit=limit or RateLimit(),
        breaker=Breaker(BreakerPolicy(latest=3, least=3, rest=2.0)),
        retries=RetryBudget(share),
        observer=seen,
    )
    return one, seen


async def acquired(one: ModelLimits, size: int = 0) -> CallPermit:
    permit = await one.acquire("answer", size, lambda: math.inf)
    assert isinstance(permit, CallPermit)
    return permit


async def refused(one: ModelLimits) -> ModelError:
    error = await one.acquire("answer", 0, lambda: math.inf)
    assert isinstance(error, ModelError)
    return error


async def ends(
    one: ModelLimits, error: ModelError | None = None, tokens: tuple[int | None, int | None] = UNKNOWN
) -> None:
    """A call that is made and has ended."""
    one.release(await acquired(one), error, tokens)


async def test_without_limits_every_call_starts_at_once() -> None:
    clock = Clock()
    one, seen = limits(clock)
    for _ in range(50):
        await ends(one)
    assert (clock.slept, seen.waits) == ([], [])


async def test_calls_over_the_limit_wait_and_the_waiting_is_reported() -> None:
    clock = Clock()
    one, seen = limits(clock, RateLimit.of(30, None, None))
    for _ in range(7):
        await ends(one)
    assert clock.timer() == pytest.approx(4.0)
    assert seen.waits == pytest.approx([2.0, 2.0])


async def test_the_first_to_wait_starts_first() -> None:
    clock, order = Clock(), list[int]()
    one, _ = limits(clock, RateLimit.of(6, None, None))

    async def call(number: int) -> None:
        await acquired(one)
        order.append(number)

    await asyncio.gather(*map(call, range(6)))
    assert order == list(range(6))


async def test_a_rate_limit_with_a_retry_after_holds_back_the_others_for_a_minute_at_most() -> None:
    for asked, held in ((12.0, 12.0), (3600.0, LONGEST_HOLD)):
        clock = Clock()
        one, _ = limits(clock)
        await ends(one, model_error("rate_limited", after=asked))
        await acquired(one)
        assert clock.timer() == pytest.approx(held)


async def test_another_errors_retry_after_is_its_own_calls_business() -> None:
    clock = Clock()
    one, _ = limits(clock)
    await ends(one, model_error("overloaded", after=12.0))
    await acquired(one)
    assert clock.timer() == 0


@pytest.mark.parametrize("error_type", sorted(PROVIDER_FAULTS))
async def test_the_providers_faults_open_the_breaker_and_no_call_is_made(error_type: str) -> None:
    clock = Clock()
    one, seen = limits(clock)
    for _ in range(3):
        await ends(one, model_error(error_type))
    error = await refused(one)
    assert (error.error_type, error.retryable, error.retry_after) == ("circuit_open", True, 2.0)
    assert seen.states == ["closed", "closed", "open"]
    clock.passes(2)
    await ends(one)
    assert seen.states == ["closed", "closed", "open", "half-open", "closed"]


@pytest.mark.parametrize("error", [None, model_error("bad_request", retryable=False), model_error("rejected")])
async def test_refusals_and_bad_requests_show_that_the_provider_is_there(error: ModelError | None) -> None:
    one, seen = limits(Clock())
    for _ in range(20):
        await ends(one, error)
    assert set(seen.states) == {"closed"}


async def test_a_call_that_is_cut_off_leaves_the_trial_to_another() -> None:
    clock = Clock()
    one, _ = limits(clock)
    for _ in range(3):
        await ends(one, model_error())
    clock.passes(2)
    trial = await acquired(one)
    assert (await refused(one)).error_type == "circuit_open"
    one.cancel(trial)
    await acquired(one)


async def test_calls_that_are_cut_off_use_up_no_limit() -> None:
    clock = Clock()
    one, _ = limits(clock, RateLimit.of(6, 600, None))
    for _ in range(100):
        one.cancel(await acquired(one, 50))
    assert clock.timer() == 0


async def test_calls_that_are_cut_off_earn_no_retries() -> None:
    one, _ = limits(Clock(), share=0.5)
    before = one.retries.balance
    for _ in range(100):
        one.cancel(await acquired(one))
    assert one.retries.balance == before


async def test_a_call_that_waits_when_the_breaker_opens_is_refused() -> None:
    clock = Clock()
    one, _ = limits(clock, RateLimit.of(60, None, None))
    under_way = [await acquired(one) for _ in range(13)][-3:]

    async def sleep(seconds: float) -> None:
        clock.passes(seconds)
        for given in under_way:
            one.release(given, model_error(), UNKNOWN)

    one.sleep = sleep
    assert (await refused(one)).error_type == "circuit_open"


async def test_no_call_waits_past_the_deadline() -> None:
    clock = Clock()
    one, _ = limits(clock, RateLimit.of(6, None, None))
    await acquired(one)
    error = await one.acquire("answer", 0, lambda: 3.5 - clock.timer())
    assert isinstance(error, ModelError)
    assert (error.error_type, error.retryable) == ("deadline", False)
    assert clock.timer() == pytest.approx(3.5)


async def test_tokens_that_were_not_used_let_the_next_call_start_earlier() -> None:
    clock = Clock()
    one, _ = limits(clock, RateLimit.of(None, 600, None))
    given = await acquired(one, 100)

    async def sleep(seconds: float) -> None:
        clock.passes(seconds)
        one.release(given, None, (10, 1))

    one.sleep = sleep
    await acquired(one, 90)
    assert clock.timer() == pytest.approx(1.0)


async def test_retries_are_made_as_long_as_the_budget_lasts_and_both_are_reported() -> None:
    one, seen = limits(Clock(), share=0.5)
    allowed = [one.may_retry() for _ in range(12)]
    assert allowed == [True] * 10 + [False] * 2
    await ends(one)
    await ends(one)
    assert (one.may_retry(), one.may_retry()) == (True, False)
    assert seen.retries == ["made"] * 10 + ["refused"] * 2 + ["made", "refused"]


class CountingModel:
    """A backend that remembers how many calls it had at once."""

    def __init__(self, one: FakeBackend) -> None:
        self.callee, self.size = one.callee, one.size
        self.now = self.most = 0

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Reply:  # noqa: ARG002
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return said()


@pytest.mark.parametrize("slots", [(2, 9), (9, 2)], ids=["handler", "model"])
async def test_a_handler_and_its_model_take_only_so_many_calls_at_once(tmp_path: Path, slots: tuple[int, int]) -> None:
    here = office(tmp_path)
    one = backend(here)
    counting = CountingModel(one)
    caller = Bounded(Audited(counting, here.records), slots=tuple(map(asyncio.Semaphore, slots)))
    done = await asyncio.gather(*(caller.call(request(one, f"e{number}")) for number in range(8)))
    assert (counting.most, len(done)) == (2, 8)
