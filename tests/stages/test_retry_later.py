"""A reasoner whose provider failed is asked again later, some times; then its event has failed with every reason."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from streams.calling.limited import ModelLimits
from streams.core.errors import OPERATOR_FAULTS, OUTAGES, PROVIDER_FAULTS, HandlerError, ServiceError
from streams.core.messages import Call, Deferred, Escalation, Event, Message, Result, Verdict
from streams.replay.drive import as_replayed
from streams.stages.escalate import escalate
from tests.harness.stages import (
    PIPELINE,
    FakeBackend,
    Office,
    Turn,
    broken_schema,
    event,
    model_error,
    office,
    refusal,
    said,
    the,
    verdict,
)

LATER = PIPELINE + "\n[retry_later]\nwait = 60\ntimes = 2\n"
AWAY = model_error("server_error")


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path, LATER)


def escalated(here: Office, of: Event | None = None) -> Escalation:
    reasoner = here.pipeline.reasoners["resolve"]
    routed = verdict(of or event(), "resolve", "open-ended", action="reason")
    return escalate(routed, reasoner, here.records, "routed", "open-ended", None)


async def reasoned(here: Office, task: Escalation, turn: Turn) -> list[Message]:
    here.backends["resolve"].script = [turn]
    return await here.reason(task)


def last_call(messages: list[Message]) -> Call:
    return [one for one in messages if isinstance(one, Call)][-1]


def put_off(messages: list[Message]) -> Escalation:
    """The one task that goes on later."""
    task = the(Deferred, messages).task
    assert isinstance(task, Escalation)
    return task


@pytest.mark.parametrize("error_type", sorted(PROVIDER_FAULTS - OUTAGES))
async def test_a_providers_fault_puts_the_task_off(here: Office, error_type: str) -> None:
    task = escalated(here)
    messages = await reasoned(here, task, model_error(error_type))
    later = the(Deferred, messages)
    assert later.not_before == here.clock.at + timedelta(seconds=60)
    assert later.reason == f"{error_type}: It is busy."
    assert later.escalation == dataclasses.replace(task, failures=(later.reason,))
    assert not any(isinstance(one, Result) for one in messages)
    assert (last_call(messages).decision, last_call(messages).status) == ("deferred", "failed")


@pytest.mark.parametrize("error_type", sorted(OUTAGES))
async def test_an_outage_puts_the_task_off_for_as_long_as_it_lasts(here: Office, error_type: str) -> None:
    task, ids = escalated(here), list[str]()
    for _ in range(50):
        messages = await reasoned(here, task, model_error(error_type, retryable=False))
        ids += [one.call_id for one in messages if isinstance(one, Call)]
        task = put_off(messages)
    assert (task.failures, task.outages) == ((), 50)
    assert len(set(ids)) == len(ids) == 50, "each round is a row of its own"
    result = the(Result, await reasoned(here, task, said("At last.")))
    assert (result.state, result.answer) == ("answered", '"At last."')
    assert result.reasons == ("routed: open-ended", "put off 50 times by an outage")


@pytest.mark.parametrize("error_type", ["server_error", "timeout", "unreachable", "bad_reply", "bad_request"])
async def test_what_may_be_the_events_fault_counts_only_while_the_handlers_other_calls_are_answered(
    here: Office, error_type: str
) -> None:
    one = here.backends["resolve"]
    one.limits = ModelLimits(model_key="m", timer=here.clock.timer, sleep=here.clock.sleep)
    broken = model_error(error_type, retryable=False)
    task = escalated(here)
    for _ in range(5):
        task = put_off(await reasoned(here, task, broken))
        here.clock.passes(60)
    assert (task.failures, task.outages) == ((), 5)
    for number in range(2):
        here.clock.passes(60)
        await reasoned(here, escalated(here, event(f"other-{number}")), said())
        task = put_off(await reasoned(here, task, broken))
    assert (len(task.failures), task.outages) == (2, 5)
    here.clock.passes(60)
    await reasoned(here, escalated(here, event("other-2")), said())
    assert the(Result, await reasoned(here, task, broken)).state == "failed"


@pytest.mark.parametrize("error_type", ["too_large", "rejected"])
async def test_what_is_known_to_be_the_events_fault_ends_it_at_once(here: Office, error_type: str) -> None:
    here.backends["resolve"].limits = ModelLimits(model_key="m", timer=here.clock.timer, sleep=here.clock.sleep)
    messages = await reasoned(here, escalated(here), model_error(error_type, retryable=False))
    assert the(Result, messages).state == "failed"


async def test_an_outage_of_the_own_model_is_one_though_its_fallback_failed_by_the_events_fault(here: Office) -> None:
    one = here.backends["resolve"]
    one.fallback = FakeBackend(one.handler, [model_error("too_large", retryable=False)], model="spare")
    task = put_off(await reasoned(here, escalated(here), model_error("unauthorized", retryable=False)))
    assert (task.failures, task.outages) == ((), 1)


@pytest.mark.parametrize("error_type", sorted(OUTAGES))
async def test_a_worker_without_a_reasoner_waits_as_well(tmp_path: Path, error_type: str) -> None:
    alone = PIPELINE.split("[reasoners.resolve]", maxsplit=1)[0].replace('"reasoners.resolve"', '"workers.answer"')
    here = office(tmp_path, alone)
    of, ids = verdict(event(), "answer", "question"), list[str]()
    for _ in range(20):
        here.backends["answer"].script = [model_error(error_type, retryable=False)]
        messages = await here.work(of)
        ids += [one.call_id for one in messages if isinstance(one, Call)]
        task = the(Deferred, messages).task
        assert isinstance(task, Verdict)
        of = task
    assert (of.outages, len(set(ids))) == (20, 20)
    here.backends["answer"].script = [said("At last.")]
    assert the(Result, await here.work(of)).answer == '"At last."'


async def test_a_worker_without_a_reasoner_that_fails_too_often_has_failed_with_every_reason(tmp_path: Path) -> None:
    alone = LATER.split("[reasoners.resolve]", maxsplit=1)[0].replace('"reasoners.resolve"', '"workers.answer"')
    here = office(tmp_path, alone + "\n[retry_later]\nwait = 60\ntimes = 1\n")
    here.backends["answer"].script = [AWAY]
    messages = await here.work(verdict(event(), "answer", "question"))
    task = the(Deferred, messages).task
    assert isinstance(task, Verdict)
    result = the(Result, await here.work(task))
    assert result.state == "failed"
    assert result.reasons == ("worker failed: server_error: It is busy.", "failed: server_error: It is busy.")


@pytest.mark.parametrize("error_type", sorted(OPERATOR_FAULTS))
async def test_a_replay_stops_at_what_an_operator_must_correct(here: Office, error_type: str) -> None:
    here.pipeline = as_replayed(here.pipeline)
    with pytest.raises(ServiceError, match="resolve cannot ask its model"):
        await reasoned(here, escalated(here), model_error(error_type, retryable=False))


@pytest.mark.parametrize(
    "turn",
    [refusal(), broken_schema(), model_error("bad_request", retryable=False), HandlerError("It raised.", "Mend it.")],
)
async def test_what_asking_again_would_not_change_has_failed(here: Office, turn: Turn) -> None:
    messages = await reasoned(here, escalated(here), turn)
    assert the(Result, messages).state == "failed"
    assert not any(isinstance(one, Deferred) for one in messages)


async def test_it_is_put_off_as_often_as_the_pipeline_says_and_then_fails_with_every_reason(here: Office) -> None:
    task, rounds, ids = escalated(here), 0, list[str]()
    while True:
        messages = await reasoned(here, task, AWAY)
        ids += [one.call_id for one in messages if isinstance(one, Call)]
        later = [one for one in messages if isinstance(one, Deferred)]
        if not later:
            break
        task, rounds = put_off(messages), rounds + 1
    result = the(Result, messages)
    assert rounds == 2
    assert result.state == "failed"
    assert result.reasons == ("routed: open-ended", *["reasoner failed: server_error: It is busy."] * 3)
    assert len(set(ids)) == len(ids) == 9, "three rounds of three tries, each a row of its own"


async def test_an_answer_in_a_later_round_is_the_result_and_is_not_paid_twice(here: Office) -> None:
    task = put_off(await reasoned(here, escalated(here), AWAY))
    first = await reasoned(here, task, said("At last."))
    result = the(Result, first)
    assert (result.state, result.answer) == ("answered", '"At last."')
    assert result.reasons == ("routed: open-ended", "reasoner failed: server_error: It is busy.")
    asked = len(here.backends["resolve"].asked)
    assert the(Call, await reasoned(here, task, said("Another."))) == the(Call, first)
    assert len(here.backends["resolve"].asked) == asked


async def test_the_first_escalation_delivered_again_after_the_answer_is_not_paid_either(here: Office) -> None:
    task = escalated(here)
    later = put_off(await reasoned(here, task, AWAY))
    await reasoned(here, later, said("At last."))
    asked = len(here.backends["resolve"].asked)
    assert the(Result, await reasoned(here, task, said("Another."))).answer == '"At last."'
    assert len(here.backends["resolve"].asked) == asked


async def test_a_task_is_not_put_off_past_its_deadline(here: Office) -> None:
    soon = dataclasses.replace(event(), deadline=here.clock.at + timedelta(seconds=30))
    result = the(Result, await reasoned(here, escalated(here, soon), AWAY))
    assert result.state == "failed"
    assert result.reasons == (
        "routed: open-ended",
        "reasoner failed: server_error: It is busy.",
        "deadline: it was to be done by 2026-11-01 12:00:30 UTC",
    )


async def test_an_explored_answer_that_fails_is_not_asked_for_again(here: Office) -> None:
    explored = dataclasses.replace(escalated(here), reason="explored")
    messages = await reasoned(here, explored, AWAY)
    assert {type(one) for one in messages} == {Call}


async def test_a_round_of_waiting_for_money_and_one_for_the_provider_are_two_rounds(here: Office) -> None:
    task = dataclasses.replace(escalated(here), budget_deferrals=1, failures=("overloaded: It is busy.",))
    call = last_call(await reasoned(here, task, said()))
    assert call.attempt == 2 * 16 + 1


async def test_in_a_replay_nothing_is_put_off(here: Office) -> None:
    here.pipeline = as_replayed(here.pipeline)
    assert the(Result, await reasoned(here, escalated(here), AWAY)).state == "failed"


async def test_long_reasons_are_cut(here: Office) -> None:
    error = model_error("server_error")
    error.args = ("x" * 5000,)
    assert len(put_off(await reasoned(here, escalated(here), error)).failures[0]) == 300


def test_it_is_put_off_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    policy = office(tmp_path).pipeline.spec.retry_later
    assert policy is not None
    assert (policy.wait, policy.times) == (300.0, 3)
