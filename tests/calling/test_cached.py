"""The store and the calls in flight: which calls are made and paid, and their records."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.calling.request import CallOutcome
from streams.calling.retried import LONGEST_BACKOFF
from streams.calling.task import Task
from streams.core.errors import ConfigError, HandlerError, ModelError
from streams.core.escalation import Threshold
from streams.core.fingerprint import call_id
from streams.core.messages import Call
from tests.harness.stages import (
    START,
    Clock,
    FakeAnswers,
    FakeBackend,
    Office,
    Turn,
    backend,
    broken_schema,
    model_error,
    office,
    refusal,
    request,
    said,
    settle_down,
    until_asked,
    with_records,
)

PRICE = Decimal("0.0015")  # 1,000 tokens in and 100 out


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


# ---- One call and its record ----


async def test_a_call_is_recorded_with_all_that_is_known_of_it(here: Office) -> None:
    slow = backend(here, said("yes", 0.9))
    here.clock.passes(2.5)
    done = await here.ask(slow, parent="listener-call")
    assert done.attempt.answer == '"yes"'
    assert (done.attempt.raw_confidence, done.attempt.confidence) == (0.9, 0.9)
    (call,) = done.calls
    expected = {
        "call_id": done.attempt.call_id,
        "parent_call_id": "listener-call",
        "tier": "worker",
        "handler": "answer",
        "handler_version": slow.handler.version,
        "pipeline": here.pipeline.hash,
        "operation": "chat",
        "provider": "fake",
        "request_model": "m",
        "response_model": "m-1",
        "system_prompt": "be brief",
        "prompt": "hello?",
        "response": '"yes"',
        "input_tokens": 1000,
        "output_tokens": 100,
        "cost_usd": PRICE,
        "saved_usd": None,
        "priced_as": "m",
        "cache_hit": False,
        "queue_seconds": 2.5,
        "duration_seconds": 0.0,
        "finish_reason": "end_turn",
        "status": "answered",
        "decision": "found",
        "attempt": 1,
        "response_id": "msg-1",
    }
    assert {name: getattr(call, name) for name in expected} == expected


async def test_a_call_that_took_time_says_how_long(here: Office) -> None:
    class Slow(FakeBackend):
        async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Any:
            here.clock.passes(3)
            return await super().ask(task, sample, within)

    slow = Slow(here.pipeline.workers["answer"], [said()])
    (call,) = (await here.ask(slow)).calls
    assert (call.started_at, call.duration_seconds) == (START, 3.0)


async def test_an_unknown_price_makes_the_cost_unknown_and_never_zero(here: Office) -> None:
    for priced_as in (None, "unheard-of"):
        one = backend(here, cache="off")
        one.priced_as = priced_as
        assert (await here.ask(one)).calls[-1].cost_usd is None


async def test_plain_code_costs_nothing(here: Office) -> None:
    one = backend(here)
    one.free, one.priced_as = True, None
    assert (await here.ask(one)).calls[-1].cost_usd == 0


async def test_only_the_last_call_carries_the_decision(here: Office) -> None:
    done = await here.ask(backend(here, [model_error(), said()]))
    first, last = here.records.decided(done, "accepted", "enough", Threshold(0.5, "artifact"))
    assert (first.decision, last.decision) == ("retried", "accepted")
    assert (last.decision_reason, last.threshold, last.calibration) == ("enough", 0.5, "artifact")
    assert first.calibration is None


# ---- The store ----


@pytest.mark.parametrize("policy", ["shared", "own"])
@pytest.mark.parametrize("turn", [said(), refusal(), broken_schema()])
async def test_the_same_event_delivered_again_emits_its_record_unchanged(here: Office, policy: str, turn: Turn) -> None:
    one = backend(here, turn, cache=policy)
    first = await here.ask(one)
    here.clock.passes(1_000_000)
    assert await here.ask(one) == first
    assert len(one.asked) == 1


@pytest.mark.parametrize("turn", [said("yes", 0.9), refusal()])
async def test_another_events_identical_task_is_a_hit_at_no_cost_with_the_saving_noted(
    here: Office, turn: Turn
) -> None:
    one = backend(here, turn)
    first = await here.ask(one)
    here.clock.passes(60)
    hit = await here.ask(one, "e2", parent="other-parent")
    assert len(one.asked) == 1
    (call,) = hit.calls
    assert (call.cache_hit, call.cost_usd, call.saved_usd) == (True, Decimal(0), PRICE)
    assert (call.input_tokens, call.output_tokens, call.duration_seconds, call.response_id) == (0, 0, 0.0, None)
    assert (call.origin.event_id, call.parent_call_id) == ("e2", "other-parent")
    own_id = call_id("live", "e2", "worker", "answer", 1, fingerprint=call.fingerprint)
    assert call.call_id == hit.attempt.call_id == own_id
    assert call.started_at == here.clock.at
    assert call.response == first.calls[0].response
    assert dataclasses.replace(hit.attempt, call_id="") == dataclasses.replace(first.attempt, call_id="")


async def test_a_hit_of_a_hit_still_notes_what_the_first_call_cost(here: Office) -> None:
    one = backend(here)
    for event_id in ("e1", "e2", "e3"):
        done = await here.ask(one, event_id)
    assert (done.calls[-1].saved_usd, len(one.asked)) == (PRICE, 1)


async def test_an_answer_of_its_own_never_serves_another_event(here: Office) -> None:
    one = backend(here, cache="own")
    for event_id in ("e1", "e2"):
        (call,) = (await here.ask(one, event_id)).calls
        assert (call.cache_hit, call.cost_usd) == (False, PRICE)
    assert len(one.asked) == 2


async def test_an_answer_of_its_own_outlives_an_identical_task_of_another_event(here: Office) -> None:
    one = backend(here, cache="own")
    first = await here.ask(one, "e1")
    await here.ask(one, "e2")
    assert await here.ask(one, "e1") == first
    assert len(one.asked) == 2


async def test_with_the_cache_off_nothing_is_stored_and_everything_asked(here: Office) -> None:
    one = backend(here, cache="off")
    await here.ask(one)
    await here.ask(one)
    assert (len(one.asked), here.answers.kept) == (2, {})


async def test_an_answer_serves_others_until_its_time_to_live_is_over(here: Office) -> None:
    one = backend(here, cache_ttl=3600.0)
    await here.ask(one, "e1")
    here.clock.passes(3599)
    assert (await here.ask(one, "e2")).calls[-1].cache_hit
    here.clock.passes(1)
    assert not (await here.ask(one, "e3")).calls[-1].cache_hit
    assert (await here.ask(one, "e4")).calls[-1].cache_hit
    assert len(one.asked) == 2


async def test_what_failed_is_not_stored(here: Office) -> None:
    one = backend(here, [model_error(retryable=False), said()])
    assert (await here.ask(one)).attempt.status == "failed"
    assert here.answers.kept == {}
    assert (await here.ask(one)).attempt.status == "answered"


async def test_an_invalid_answer_does_not_serve_others(here: Office) -> None:
    one = backend(here, [broken_schema(), said()])
    await here.ask(one, "e1")
    other = await here.ask(one, "e2")
    assert (other.attempt.status, other.calls[-1].cache_hit) == ("answered", False)


async def test_another_input_or_another_version_is_asked_again(here: Office) -> None:
    one = backend(here)
    await here.ask(one, "e1")
    await here.ask(one, "e2", text="another")
    newer = FakeBackend(dataclasses.replace(one.handler, version="newer"), [said()])
    await here.ask(newer, "e3")
    assert (len(one.asked), len(newer.asked)) == (2, 1)


async def test_handlers_alike_share_answers_and_keep_their_names(here: Office) -> None:
    one = backend(here)
    twin = FakeBackend(dataclasses.replace(one.handler, name="twin"), [said()])
    first = await here.ask(one)
    second = await here.ask(twin)
    assert len(twin.asked) == 0
    assert (second.attempt.handler, second.calls[-1].handler) == ("twin", "twin")
    assert second.calls[-1].call_id not in {call.call_id for call in first.calls}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.sampled_from(["shared", "own", "off"]),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(0, 40)), max_size=12),
)
async def test_deliveries_in_any_order_are_paid_for_as_the_policy_says(
    here: Office, policy: str, deliveries: list[tuple[str, str, int]]
) -> None:
    """Deliveries are (event, text, minutes that pass before); an event's text makes part of its id."""
    clock, answers = Clock(), FakeAnswers()
    there = with_records(dataclasses.replace(here, clock=clock, answers=answers), now=clock.now, timer=clock.timer)
    one, paid, records = backend(here, cache=policy, cache_ttl=3600.0), 0, dict[str, tuple[Call, ...]]()
    stored: dict[str, tuple[str, float]] = {}
    for name, text, minutes in deliveries:
        clock.passes(minutes * 60)
        event_id, age = name + text, clock.timer()
        owner, at = stored.get(text if policy == "shared" else event_id, ("", 0.0))
        known = policy != "off" and owner == event_id
        fresh = policy == "shared" and owner != "" and age - at < 3600
        done = await there.ask(one, event_id, text)
        if known:
            assert done.calls == records[event_id]
        elif not fresh:
            paid += 1
            stored[text if policy == "shared" else event_id] = (event_id, age)
            records[event_id] = done.calls
        assert done.calls[-1].cache_hit == (fresh and not known)
        assert len(one.asked) == paid


# ---- In flight ----


async def test_identical_tasks_in_flight_are_asked_once(here: Office) -> None:
    one = backend(here)
    one.gate = asyncio.Event()
    waiting = [asyncio.create_task(here.ask(one, f"e{n}")) for n in range(50)]
    await until_asked(one, 1)
    await settle_down()
    one.gate.set()
    done = await asyncio.gather(*waiting)
    assert len(one.asked) == 1
    assert sum(consultation.calls[-1].cost_usd or 0 for consultation in done) == PRICE
    assert [consultation.calls[-1].cache_hit for consultation in done].count(True) == 49
    assert len({consultation.attempt.call_id for consultation in done}) == 50
    assert here.services.in_flight == {}
    assert await here.ask(one, "e0") == done[0], "the store has the record of the event that paid"


async def test_different_tasks_in_flight_do_not_wait_for_each_other(here: Office) -> None:
    one = backend(here)
    one.gate = asyncio.Event()
    waiting = [asyncio.create_task(here.ask(one, f"e{n}", f"text {n}")) for n in range(5)]
    await until_asked(one, 5)
    one.gate.set()
    await asyncio.gather(*waiting)
    assert here.services.in_flight == {}


async def test_the_same_event_twice_in_flight_is_asked_once_and_gives_one_record(here: Office) -> None:
    for policy in ("shared", "own"):
        one = backend(here, cache=policy)
        one.gate = asyncio.Event()
        twice = [asyncio.create_task(here.ask(one, text=policy)) for _ in range(2)]
        await until_asked(one, 1)
        one.gate.set()
        first, second = await asyncio.gather(*twice)
        assert (first, len(one.asked)) == (second, 1)


async def test_events_that_share_nothing_do_not_wait_for_each_other(here: Office) -> None:
    one = backend(here, cache="own")
    one.gate = asyncio.Event()
    waiting = [asyncio.create_task(here.ask(one, f"e{n}")) for n in range(3)]
    await until_asked(one, 3)
    one.gate.set()
    await asyncio.gather(*waiting)


async def test_when_a_call_is_cut_off_one_of_those_waiting_asks_for_all(here: Office) -> None:
    one = backend(here)
    one.gate = asyncio.Event()
    cut = asyncio.create_task(here.ask(one, "cut"))
    await until_asked(one, 1)
    waiting = [asyncio.create_task(here.ask(one, f"e{n}")) for n in range(10)]
    await settle_down()
    cut.cancel()
    await until_asked(one, 2)
    await settle_down()
    one.gate.set()
    done = await asyncio.gather(*waiting)
    assert cut.cancelled()
    assert {consultation.attempt.status for consultation in done} == {"answered"}
    assert (len(one.asked), here.services.in_flight) == (2, {})


async def test_one_that_waits_and_is_cut_off_harms_no_other(here: Office) -> None:
    one = backend(here)
    one.gate = asyncio.Event()
    first = asyncio.create_task(here.ask(one, "e1"))
    await until_asked(one, 1)
    cut, other = (asyncio.create_task(here.ask(one, name)) for name in ("cut", "e2"))
    await settle_down()
    cut.cancel()
    await settle_down()
    one.gate.set()
    assert (await first).calls[-1].cost_usd == PRICE
    assert (await other).calls[-1].cache_hit
    assert cut.cancelled()


async def test_when_a_call_fails_each_that_waited_tries_for_itself(here: Office) -> None:
    one = backend(here, [model_error(retryable=False), said()])
    one.gate = asyncio.Event()
    first = asyncio.create_task(here.ask(one, "e1"))
    await until_asked(one, 1)
    waiting = [asyncio.create_task(here.ask(one, f"w{n}")) for n in range(3)]
    await settle_down()
    one.gate.set()
    one.gate = asyncio.Event()
    assert (await first).attempt.status == "failed"
    await until_asked(one, 4)
    one.gate.set()
    assert {(await one_waiting).attempt.status for one_waiting in waiting} == {"answered"}
    assert here.services.in_flight == {}


async def test_what_the_operator_has_to_fix_reaches_its_own_event_only(here: Office) -> None:
    class Wrong(FakeBackend):
        async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Any:
            answer = await super().ask(task, sample, within)
            if len(self.asked) == 1:
                raise ConfigError("It cannot be asked.")
            return answer

    one = Wrong(here.pipeline.workers["answer"], [said()])
    one.gate = asyncio.Event()
    first, second = (asyncio.create_task(here.ask(one, name)) for name in ("e1", "e2"))
    await until_asked(one, 1)
    await settle_down()
    one.gate.set()
    with pytest.raises(ConfigError):
        await first
    assert (await second).attempt.status == "answered"
    assert here.services.in_flight == {}


# ---- Retries ----


async def retried(here: Office, errors: list[ModelError], **policy: Any) -> tuple[FakeBackend, CallOutcome]:
    one = backend(here, [*errors, said()], **policy)
    return one, await here.ask(one)


async def test_each_try_is_recorded_under_an_id_of_its_own(here: Office) -> None:
    one, done = await retried(here, [model_error("timeout"), model_error("overloaded")], retries=2)
    assert len(one.asked) == 3
    assert [(call.attempt, call.status, call.decision, call.error_type) for call in done.calls] == [
        (1, "failed", "retried", "timeout"),
        (2, "failed", "retried", "overloaded"),
        (3, "answered", "found", None),
    ]
    task = request(one).fingerprint
    assert [call.call_id for call in done.calls] == [
        call_id("live", "e1", "worker", "answer", n, fingerprint=task) for n in (1, 2, 3)
    ]
    assert done.attempt.call_id == done.calls[-1].call_id
    assert [call.response_id for call in done.calls] == [None, None, "msg-1"]
    assert [call.error for call in done.calls] == [*["It is busy. (request req-e)"] * 2, None]


async def test_the_tries_of_a_redelivered_event_are_all_emitted_again(here: Office) -> None:
    one, done = await retried(here, [model_error()])
    assert await here.ask(one) == done
    assert len(done.calls) == 2


async def test_when_the_retries_are_used_up_the_attempt_has_failed(here: Office) -> None:
    one, done = await retried(here, [model_error()] * 5, retries=2)
    assert len(one.asked) == 3
    assert (done.attempt.status, done.attempt.error_type) == ("failed", "overloaded")
    assert [call.decision for call in done.calls] == ["retried", "retried", "failed"]
    assert done.calls[-1].cost_usd is None


async def test_an_error_that_will_not_pass_is_not_retried(here: Office) -> None:
    one, done = await retried(here, [model_error("bad_request", retryable=False)])
    assert (len(one.asked), done.attempt.error_type, here.clock.slept) == (1, "bad_request", [])


async def test_a_broken_function_is_not_retried(here: Office) -> None:
    one = backend(here, [HandlerError("It raised.", "Mend it."), said()])
    done = await here.ask(one)
    assert (len(one.asked), done.attempt.status, done.attempt.error_type) == (1, "failed", "handler_error")
    assert done.attempt.error == "It raised. Mend it."


async def test_the_providers_wish_to_wait_is_honoured(here: Office) -> None:
    await retried(here, [model_error("rate_limited", after=12.5)])
    assert here.clock.slept == [12.5]


async def test_a_wish_shorter_than_the_backoff_does_not_hurry_the_retry(here: Office) -> None:
    await retried(here, [model_error(after=0.01)])
    assert here.clock.slept == [0.5]


async def test_the_backoff_doubles_up_to_its_limit(here: Office) -> None:
    await retried(here, [model_error()] * 10, retries=10)
    assert here.clock.slept == [0.5, 1, 2, 4, 8, 16, *[LONGEST_BACKOFF] * 4]


async def test_the_backoff_is_spread_so_that_not_all_come_back_at_once(tmp_path: Path) -> None:
    hasty = office(tmp_path, jitter=lambda: 0.0)
    await retried(hasty, [model_error()])
    assert hasty.clock.slept == [0.25]
