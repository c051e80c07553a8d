"""The contract of a caller, which every wrapper keeps around any other, and so does every chain of them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from streams.calling.batched import ForBatch, FromBatch
from streams.calling.budgeted import Budgeted
from streams.calling.cached import Cached, Coalesced
from streams.calling.caller import Callee, Caller, CallWrapper
from streams.calling.chain import EXACT
from streams.calling.fallback import Fallback
from streams.calling.limited import Bounded, Limited
from streams.calling.prompted import PromptedModel
from streams.calling.record import Audited
from streams.calling.request import CallOutcome, CallRequest, OutOfBudget
from streams.calling.retried import Retried
from streams.calling.self_consistent import SelfConsistent
from streams.core.errors import ConfigError
from streams.core.messages import BatchReply, Call
from streams.panels.judge.money import JudgeMoney, WithinLimit
from streams.replay.batch_record import BatchedCall
from streams.replay.counted import Counted
from streams.replay.in_batch import InBatch
from tests.harness.confidence import FakeBudget
from tests.harness.fakes.model import FakeModel
from tests.harness.stages import (
    FakeBackend,
    Office,
    Turn,
    backend,
    model_error,
    office,
    request,
    said,
    settle_down,
    until_asked,
    with_limits,
)

Wrap = Callable[[Caller, FakeBackend, Office], Caller]
RICH = Decimal(1_000_000)


def fallback(caller: Caller, one: FakeBackend, here: Office) -> Caller:
    spare = FakeBackend(dataclasses.replace(one.handler, version="spare"), [model_error(retryable=False)])
    return Fallback(caller, other=Audited(spare, here.records), answers=here.services.answers)


def retried(caller: Caller, one: FakeBackend, here: Office) -> Caller:
    now, sleep, jitter = here.clock.now, here.clock.sleep, here.services.jitter
    return Retried(caller, limits=one.limits, has_fallback=False, now=now, sleep=sleep, jitter=jitter)


def limited(caller: Caller, one: FakeBackend, here: Office) -> Caller:
    assert one.limits is not None
    return Limited(caller, limits=one.limits, records=here.records, size=one.size)


def budgeted(caller: Caller, one: FakeBackend, here: Office) -> Caller:
    return Budgeted(caller, budget=FakeBudget(RICH), records=here.records, size=one.size)


def coalesced(caller: Caller, _: FakeBackend, here: Office) -> Caller:
    services = here.services
    return Coalesced(caller, answers=services.answers, in_flight=services.in_flight, now=here.clock.now)


def model_of(one: FakeBackend, here: Office) -> PromptedModel:
    prompting = here.pipeline.workers["answer"].prompting
    assert prompting is not None
    return PromptedModel(callee=one.callee, prompting=prompting, language_model=FakeModel(model_error()))


class AllPass:
    """Batches in the place of a replay's: none of them takes a call."""

    async def reply(self, call: BatchedCall) -> BatchReply:
        """Leave it to the ordinary API."""
        return BatchReply(end="passed", queued_at=call.queued_at)

    def settle(self, _: BatchedCall) -> None:
        """Nothing is reserved."""


def whole_chain(caller: Caller, one: FakeBackend, here: Office) -> Caller:
    for wrap in (budgeted, limited, WRAPPERS["Bounded"], retried, fallback, coalesced, WRAPPERS["Cached"]):
        caller = wrap(caller, one, here)
    return caller


WRAPPERS: dict[str, Wrap] = {
    "SelfConsistent": lambda caller, _, here: SelfConsistent(caller, samples=3, agree=EXACT, records=here.records),
    "Cached": lambda caller, _, here: Cached(caller, answers=here.services.answers),
    "Coalesced": coalesced,
    "Fallback": fallback,
    "Retried": retried,
    "Bounded": lambda caller, *_: Bounded(caller, slots=(asyncio.Semaphore(20),)),
    "Limited": limited,
    "Budgeted": budgeted,
    "WithinLimit": lambda caller, *_: WithinLimit(caller, money=JudgeMoney(RICH), most=lambda _: Decimal(1)),
    "ForBatch": lambda caller, _, here: ForBatch(caller, budget=None, now=here.clock.now),
    "FromBatch": lambda caller, one, here: FromBatch(
        caller, model=model_of(one, here), records=here.records, budgeted=None
    ),
    "InBatch": lambda caller, one, here: InBatch(
        caller, batches=cast(Any, AllPass()), model=model_of(one, here), records=here.records, before=lambda *_: None
    ),
    "Counted": lambda caller, *_: Counted(caller, before=lambda *_: None),
}
wrapped = pytest.mark.parametrize("wrap", [*WRAPPERS.values(), whole_chain], ids=[*WRAPPERS, "the whole chain"])


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


def built(wrap: Wrap, here: Office, *turns: Turn) -> tuple[Caller, FakeBackend]:
    """The wrapper around the innermost caller, and the backend of that."""
    one = backend(here, turns or [said()])
    with_limits(here, one)
    return wrap(Audited(one, here.records), one, here), one


def all_is_released(one: FakeBackend, here: Office) -> bool:
    assert one.limits is not None
    return here.services.in_flight == {} and one.limits.breaker.state == "closed"


def test_every_wrapper_is_held_to_the_contract() -> None:
    assert {one.__name__ for one in CallWrapper.__subclasses__()} == set(WRAPPERS)


@wrapped
async def test_the_callee_is_passed_through(here: Office, wrap: Wrap) -> None:
    inner = Inner(backend(here).callee)
    one = backend(here)
    with_limits(here, one)
    assert wrap(inner, one, here).callee is inner.callee


@wrapped
async def test_an_outcome_has_the_record_of_its_attempt_last(here: Office, wrap: Wrap) -> None:
    caller, one = built(wrap, here)
    done = await caller.call(request(one))
    assert isinstance(done, CallOutcome)
    assert done.attempt.status == "answered"
    assert done.calls[-1].call_id == done.attempt.call_id
    assert len({call.call_id for call in done.calls}) == len(done.calls)


@wrapped
async def test_a_failure_of_the_model_is_an_outcome(here: Office, wrap: Wrap) -> None:
    caller, one = built(wrap, here, model_error("timeout", retryable=False))
    done = await caller.call(request(one))
    assert isinstance(done, CallOutcome)
    assert done.attempt.status == "failed"
    assert done.calls[-1].call_id == done.attempt.call_id


@dataclasses.dataclass
class Inner:
    """Remembers the requests; there is no money for them."""

    callee: Callee
    calls: tuple[Call, ...] = ()
    asked: list[CallRequest] = dataclasses.field(default_factory=list)

    async def call(self, asked: CallRequest) -> OutOfBudget:
        """The calls made before the money ran out."""
        self.asked.append(asked)
        return OutOfBudget(self.calls)


@wrapped
async def test_without_money_the_calls_made_before_are_kept_and_nothing_is_stored(here: Office, wrap: Wrap) -> None:
    before = await here.ask(backend(here), "before")
    here.answers.kept.clear()
    one = backend(here)
    with_limits(here, one)
    inner = Inner(one.callee, before.calls)
    done = await wrap(inner, one, here).call(request(one))
    assert isinstance(done, OutOfBudget)
    assert {call.call_id for call in done.calls} == {call.call_id for call in before.calls}
    assert here.answers.kept == {}
    assert all_is_released(one, here)


@wrapped
async def test_the_request_reaches_the_inner_caller_with_its_event_its_task_and_its_number(
    here: Office, wrap: Wrap
) -> None:
    one = backend(here)
    with_limits(here, one)
    inner = Inner(one.callee)
    asked = dataclasses.replace(request(one, "e7", "a text", "parent"), round=2, tried=3)
    await wrap(inner, one, here).call(asked)
    assert inner.asked
    assert {dataclasses.replace(got, sample=0).call_id(one.handler) for got in inner.asked} == {
        asked.call_id(one.handler)
    }
    assert all(dataclasses.replace(got, sample=0) == asked for got in inner.asked)


@wrapped
async def test_what_an_operator_must_correct_is_raised_and_the_next_call_is_made(here: Office, wrap: Wrap) -> None:
    caller, one = built(wrap, here)
    wrong: list[Any] = [ConfigError("It cannot be asked.")]
    one.script = [*wrong, *wrong, *wrong, said()]  # as many as the samples of one request
    with pytest.raises(ConfigError):
        await caller.call(request(one))
    assert all_is_released(one, here)
    one.script = [said()]
    assert isinstance(await caller.call(request(one)), CallOutcome)


@wrapped
async def test_a_cancelled_call_ends_at_once_and_holds_nothing_back(here: Office, wrap: Wrap) -> None:
    caller, one = built(wrap, here)
    one.gate = asyncio.Event()
    calling = asyncio.create_task(caller.call(request(one)))
    await until_asked(one, 1)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert all_is_released(one, here)
    one.gate.set()
    assert isinstance(await caller.call(request(one)), CallOutcome)


@wrapped
async def test_calls_at_the_same_time_each_get_their_own_answer(here: Office, wrap: Wrap) -> None:
    caller, one = built(wrap, here)
    one.gate = asyncio.Event()
    names = [f"e{number}" for number in range(10)]
    calling = [asyncio.create_task(caller.call(request(one, name, f"text of {name}"))) for name in names]
    await settle_down()
    one.gate.set()
    done = await asyncio.gather(*calling)
    assert [each.calls[-1].origin.event_id for each in done] == names
    assert len({each.attempt.call_id for each in done if isinstance(each, CallOutcome)}) == len(names)
    assert all_is_released(one, here)
