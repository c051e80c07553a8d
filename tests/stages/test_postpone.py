"""A reasoner whose provider failed is asked again later, some times; then its event has failed with every reason."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from streams.core.errors import PROVIDER_FAULTS, HandlerError
from streams.core.messages import Call, Escalation, Event, Message, Postponed, Result
from streams.replay.drive import as_replayed
from streams.stages.escalate import escalate
from streams.stages.reason import reason
from tests.stages.support import (
    PIPELINE,
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
AWAY = model_error("overloaded")


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path, LATER)


def escalated(here: Office, of: Event | None = None) -> Escalation:
    reasoner = here.pipeline.reasoners["resolve"]
    routed = verdict(of or event(), "resolve", "open-ended", action="reason")
    return escalate(routed, reasoner, here.desk, "routed", "open-ended", None)


async def reasoned(here: Office, task: Escalation, turn: Turn) -> list[Message]:
    here.askers["resolve"].script = [turn]
    return await reason(task, here.clock.at, here.pipeline, here.desk)


def last_call(messages: list[Message]) -> Call:
    return [one for one in messages if isinstance(one, Call)][-1]


@pytest.mark.parametrize("error_type", sorted(PROVIDER_FAULTS))
async def test_a_providers_fault_puts_the_task_off(here: Office, error_type: str) -> None:
    task = escalated(here)
    messages = await reasoned(here, task, model_error(error_type))
    later = the(Postponed, messages)
    assert later.not_before == here.clock.at + timedelta(seconds=60)
    assert later.reason == f"{error_type}: It is busy."
    assert later.escalation == dataclasses.replace(task, failures=(later.reason,))
    assert not any(isinstance(one, Result) for one in messages)
    assert (last_call(messages).decision, last_call(messages).status) == ("postponed", "failed")


@pytest.mark.parametrize(
    "turn",
    [refusal(), broken_schema(), model_error("bad_request", retryable=False), HandlerError("It raised.", "Mend it.")],
)
async def test_what_asking_again_would_not_change_has_failed(here: Office, turn: Turn) -> None:
    messages = await reasoned(here, escalated(here), turn)
    assert the(Result, messages).state == "failed"
    assert not any(isinstance(one, Postponed) for one in messages)


async def test_it_is_put_off_as_often_as_the_pipeline_says_and_then_fails_with_every_reason(here: Office) -> None:
    task, rounds, ids = escalated(here), 0, list[str]()
    while True:
        messages = await reasoned(here, task, model_error("overloaded"))
        ids += [one.call_id for one in messages if isinstance(one, Call)]
        later = [one for one in messages if isinstance(one, Postponed)]
        if not later:
            break
        task, rounds = later[0].escalation, rounds + 1
    result = the(Result, messages)
    assert rounds == 2
    assert result.state == "failed"
    assert result.reasons == ("routed: open-ended", *["reasoner failed: overloaded: It is busy."] * 3)
    assert len(set(ids)) == len(ids) == 9, "three rounds of three tries, each a row of its own"


async def test_an_answer_in_a_later_round_is_the_result_and_is_not_paid_twice(here: Office) -> None:
    task = the(Postponed, await reasoned(here, escalated(here), AWAY)).escalation
    first = await reasoned(here, task, said("At last."))
    result = the(Result, first)
    assert (result.state, result.answer) == ("answered", '"At last."')
    assert result.reasons == ("routed: open-ended", "reasoner failed: overloaded: It is busy.")
    asked = len(here.askers["resolve"].asked)
    assert the(Call, await reasoned(here, task, said("Another."))) == the(Call, first)
    assert len(here.askers["resolve"].asked) == asked


async def test_the_first_escalation_delivered_again_after_the_answer_is_not_paid_either(here: Office) -> None:
    task = escalated(here)
    later = the(Postponed, await reasoned(here, task, AWAY)).escalation
    await reasoned(here, later, said("At last."))
    asked = len(here.askers["resolve"].asked)
    assert the(Result, await reasoned(here, task, said("Another."))).answer == '"At last."'
    assert len(here.askers["resolve"].asked) == asked


async def test_a_task_is_not_put_off_past_its_deadline(here: Office) -> None:
    soon = dataclasses.replace(event(), deadline=here.clock.at + timedelta(seconds=30))
    result = the(Result, await reasoned(here, escalated(here, soon), AWAY))
    assert result.state == "failed"
    assert result.reasons == (
        "routed: open-ended",
        "reasoner failed: overloaded: It is busy.",
        "deadline: it was to be done by 2026-11-01 12:00:30 UTC",
    )


async def test_an_explored_answer_that_fails_is_not_asked_for_again(here: Office) -> None:
    explored = dataclasses.replace(escalated(here), reason="explored")
    messages = await reasoned(here, explored, AWAY)
    assert {type(one) for one in messages} == {Call}


async def test_a_round_of_waiting_for_money_and_one_for_the_provider_are_two_rounds(here: Office) -> None:
    task = dataclasses.replace(escalated(here), deferrals=1, failures=("overloaded: It is busy.",))
    call = last_call(await reasoned(here, task, said()))
    assert call.attempt == 2 * 16 + 1


async def test_in_a_replay_nothing_is_put_off(here: Office) -> None:
    here.pipeline = as_replayed(here.pipeline)
    assert the(Result, await reasoned(here, escalated(here), AWAY)).state == "failed"


async def test_long_reasons_are_cut(here: Office) -> None:
    error = model_error()
    error.args = ("x" * 5000,)
    assert len(the(Postponed, await reasoned(here, escalated(here), error)).escalation.failures[0]) == 300


def test_it_is_put_off_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    policy = office(tmp_path).pipeline.spec.retry_later
    assert (policy.wait, policy.times) == (300.0, 3)
