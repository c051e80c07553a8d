"""REASON: the last word."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.core.errors import ConfigError
from streams.core.messages import Call, Deferred, Escalation, Message, Result, Verdict
from tests.harness.confidence import PRICE, PRICED, broke, with_money
from tests.harness.stages import (
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
    until_asked,
    verdict,
)


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


async def escalated(here: Office, event_id: str = "e1") -> Escalation:
    """Return the messages that a refusing worker causes."""
    here.backends["extract"].script = [refusal()]
    return the(Escalation, await here.work(verdict(event(event_id), "extract")))


async def reasoned(here: Office, turn: Turn) -> list[Message]:
    here.backends["resolve"].script = [turn]
    return await here.reason(await escalated(here))


async def test_the_reasoners_answer_is_the_result_with_the_reason_it_was_asked(here: Office) -> None:
    messages = await reasoned(here, said("We have found your order."))
    result, call = the(Result, messages), the(Call, messages)
    assert (result.state, result.tier, result.handler, result.intent) == ("answered", "reasoner", "resolve", "order")
    assert result.answer == '"We have found your order."'
    assert result.reasons == ("refused: missing_information: no order number",)
    assert (call.decision, call.call_id) == ("accepted", result.call_id)


@pytest.mark.parametrize(
    ("turn", "why"),
    [
        (refusal("nobody knows"), "reasoner refused: missing_information: nobody knows"),
        (broken_schema(), "reasoner invalid: schema: $.number: 'x'"),
        (model_error("rejected", retryable=False), "reasoner failed: rejected: It is busy."),
    ],
)
async def test_what_the_reasoner_cannot_do_has_failed_for_both_reasons(here: Office, turn: Turn, why: str) -> None:
    messages = await reasoned(here, turn)
    result = the(Result, messages)
    assert (result.state, result.tier, result.answer) == ("failed", "reasoner", None)
    assert result.reasons == ("refused: missing_information: no order number", why)
    assert (the(Call, messages).decision, the(Call, messages).decision_reason) == ("failed", why)


async def test_the_reasoner_sees_the_task_the_attempt_and_the_reason(here: Office) -> None:
    await reasoned(here, said())
    (task,) = here.backends["resolve"].asked
    assert task.text == "my order"
    assert task.reason == "refused: missing_information: no order number"
    assert task.attempt is not None
    assert (task.attempt.handler, task.attempt.refusal_reason) == ("extract", "no order number")


async def test_the_reasoners_call_follows_from_the_workers(here: Office) -> None:
    escalation = await escalated(here)
    assert escalation.attempt is not None
    messages = await here.reason(escalation)
    assert the(Call, messages).parent_call_id == escalation.attempt.call_id


async def test_an_event_routed_directly_has_no_attempt_before(here: Office) -> None:
    here.backends["intent"].script = [said("open-ended", 0.9)]
    messages = await here.listen(event())
    assert the(Verdict, messages).action == "reason"
    result = await here.reason(the(Escalation, messages))
    (task,) = here.backends["resolve"].asked
    assert (task.attempt, task.reason) == (None, "routed: open-ended")
    assert the(Result, result).reasons == ("routed: open-ended",)
    assert the(Call, result).parent_call_id is None


async def test_a_reasoner_is_paid_once_for_an_event_and_again_for_another(here: Office) -> None:
    first, second = await escalated(here, "e1"), await escalated(here, "e2")
    assert first.fingerprint == second.fingerprint
    done = [await here.reason(one) for one in (first, second, first)]
    assert done[0] == done[2]
    assert len(here.backends["resolve"].asked) == 2
    assert not any(the(Call, messages).cache_hit for messages in done)


async def test_an_escalation_of_an_older_pipeline_is_stored_under_the_version_that_answers_it(
    here: Office, tmp_path: Path
) -> None:
    older = await escalated(here)
    newer = office(tmp_path, PIPELINE.replace('task = "resolve"', 'task = "resolve"\nmax_tokens = 7'))
    call = the(Call, await newer.reason(older))
    assert call.handler_version == newer.pipeline.reasoners["resolve"].version
    assert call.fingerprint != older.fingerprint
    assert call.fingerprint == (await escalated(newer)).fingerprint


async def test_a_reasoner_that_is_gone_is_the_operators_to_put_back(here: Office) -> None:
    gone = dataclasses.replace(await escalated(here), handler="gone")
    with pytest.raises(ConfigError, match="no reasoner 'gone'"):
        await here.reason(gone)


# ---- Exploration ----


async def explored(directory: Path) -> Escalation:
    """Return the escalation of an accepted answer where all are explored."""
    all_of_them = office(directory, PIPELINE.replace("threshold = 0.8", "threshold = 0.8\nexplore = 1.0"))
    all_of_them.backends["extract"].script = [said("yes", 0.9)]
    escalation = the(Escalation, await all_of_them.work(verdict(event())))
    assert escalation.reason == "explored"
    return escalation


@pytest.mark.parametrize("turn", [said("Better."), refusal("nobody knows"), broken_schema()])
async def test_what_a_reasoner_says_of_an_accepted_answer_is_for_the_audit_alone(
    here: Office, tmp_path: Path, turn: Turn
) -> None:
    here.backends["resolve"].script = [turn]
    messages = await here.reason(await explored(tmp_path))
    assert [type(message) for message in messages] == [Call]
    assert the(Call, messages).decision == "explored"


async def test_the_tries_of_an_explored_task_are_recorded_too(here: Office, tmp_path: Path) -> None:
    here.backends["resolve"].script = [model_error(), said("Better.")]
    messages = await here.reason(await explored(tmp_path))
    assert [message.decision for message in messages if isinstance(message, Call)] == ["retried", "explored"]
    assert len(messages) == 2


# ---- Money ----

SPENT = "budget: this partition's share of the reasoners' money for 2026-11-01 is spent"


def without_limit(here: Office) -> Office:
    """The same office, with all the money it needs."""
    return dataclasses.replace(here, services=dataclasses.replace(here.services, budget=None))


async def without_money(directory: Path, at_limit: str | None, turn: Turn) -> tuple[Escalation, list[Message]]:
    """Return an escalation of this turn, and the messages it causes in a tier whose money is spent."""
    here = broke(directory, "reasoner", at_limit)
    rich = without_limit(here)
    here.backends["extract"].script = [turn]
    escalation = the(Escalation, await rich.work(verdict(event())))
    messages = await here.reason(escalation)
    assert here.backends["resolve"].asked == []
    return escalation, messages


@pytest.mark.parametrize(
    ("at_limit", "turn"),
    [(None, refusal()), ("defer", said("yes", 0.1)), ("accept", refusal()), ("accept", broken_schema())],
    ids=["by default", "as the file says", "refused, so nothing to accept", "invalid, so nothing to accept"],
)
async def test_without_money_an_escalation_waits_for_the_next_day(
    tmp_path: Path, at_limit: str | None, turn: Turn
) -> None:
    escalation, (deferred,) = await without_money(tmp_path, at_limit, turn)
    assert isinstance(deferred, Deferred)
    assert deferred.escalation == dataclasses.replace(escalation, budget_deferrals=1)
    assert (deferred.not_before, deferred.reason) == (datetime(2026, 11, 2, tzinfo=UTC), SPENT)


async def test_without_money_the_workers_answer_is_accepted_where_the_file_says_so(tmp_path: Path) -> None:
    escalation, (result,) = await without_money(tmp_path, "accept", said("yes", 0.1))
    assert isinstance(result, Result)
    assert (result.state, result.tier, result.handler, result.answer) == ("answered", "worker", "extract", '"yes"')
    assert result.reasons == (
        "unsure: confidence 0.100 under 0.800",
        f"{SPENT}; the worker's answer is accepted",
    )
    assert escalation.attempt is not None
    assert result.call_id == escalation.attempt.call_id


async def test_without_money_an_escalation_fails_for_both_reasons_where_the_file_says_so(tmp_path: Path) -> None:
    _, (result,) = await without_money(tmp_path, "fail", refusal())
    assert isinstance(result, Result)
    assert (result.state, result.tier, result.handler) == ("failed", "reasoner", "resolve")
    assert result.reasons == ("refused: missing_information: no order number", SPENT)


@pytest.mark.parametrize("at_limit", ["defer", "accept", "fail"])
async def test_without_money_an_explored_task_is_let_go_for_its_event_has_its_answer(
    tmp_path: Path, at_limit: str
) -> None:
    escalation = await explored(tmp_path)
    poor = broke(tmp_path, "reasoner", at_limit)
    assert await poor.reason(escalation) == []


async def test_what_was_answered_before_is_served_without_money(tmp_path: Path) -> None:
    here = broke(tmp_path, "reasoner")
    rich = without_limit(here)
    here.backends["extract"].script = [refusal()]
    escalation = the(Escalation, await rich.work(verdict(event())))
    first = await rich.reason(escalation)
    assert await here.reason(escalation) == first


async def test_the_tries_made_before_the_money_was_spent_are_emitted_with_the_deferral(tmp_path: Path) -> None:
    here = broke(tmp_path, "reasoner")
    escalation = dataclasses.replace(await escalated(office(tmp_path, PRICED)), budget_deferrals=3)
    budget = with_money(here, PRICE)
    here.backends["resolve"].script = [model_error()]
    here.backends["resolve"].gate = asyncio.Event()
    reasoning = asyncio.create_task(here.reason(escalation))
    await until_asked(here.backends["resolve"], 1)
    budget.spend(PRICE, here.clock.now())
    here.backends["resolve"].gate.set()
    messages = await reasoning
    assert [message.decision for message in messages if isinstance(message, Call)] == ["retried"]
    assert the(Deferred, messages).task.budget_deferrals == 4
