"""REASON: the last word."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from streams.core.errors import ConfigError
from streams.core.messages import Call, Escalation, Message, Result, Verdict
from streams.stages.listen import listen
from streams.stages.reason import reason
from streams.stages.work import work
from tests.stages.support import (
    PIPELINE,
    START,
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


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


async def no_image(image: str) -> int:
    raise AssertionError(image)


async def escalated(here: Office, event_id: str = "e1") -> Escalation:
    """What a worker that refuses causes."""
    here.askers["extract"].script = [refusal()]
    return the(Escalation, await work(verdict(event(event_id), "extract"), START, here.pipeline, here.desk))


async def reasoned(here: Office, turn: Turn) -> list[Message]:
    here.askers["resolve"].script = [turn]
    return await reason(await escalated(here), START, here.pipeline, here.desk)


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
        (model_error("unauthorized", retryable=False), "reasoner failed: unauthorized: It is busy."),
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
    (task,) = here.askers["resolve"].asked
    assert task.text == "hello"
    assert task.reason == "refused: missing_information: no order number"
    assert task.attempt is not None
    assert (task.attempt.handler, task.attempt.refusal_reason) == ("extract", "no order number")


async def test_the_reasoners_call_follows_from_the_workers(here: Office) -> None:
    escalation = await escalated(here)
    assert escalation.attempt is not None
    messages = await reason(escalation, START, here.pipeline, here.desk)
    assert the(Call, messages).parent_call_id == escalation.attempt.call_id


async def test_an_event_routed_directly_has_no_attempt_before(here: Office) -> None:
    here.askers["intent"].script = [said("open-ended", 0.9)]
    messages = await listen(event(), START, here.pipeline, here.desk, no_image)
    assert the(Verdict, messages).action == "reason"
    result = await reason(the(Escalation, messages), START, here.pipeline, here.desk)
    (task,) = here.askers["resolve"].asked
    assert (task.attempt, task.reason) == (None, "routed: open-ended")
    assert the(Result, result).reasons == ("routed: open-ended",)
    assert the(Call, result).parent_call_id is None


async def test_a_reasoner_is_paid_once_for_an_event_and_anew_for_another(here: Office) -> None:
    first, second = await escalated(here, "e1"), await escalated(here, "e2")
    assert first.fingerprint == second.fingerprint
    done = [await reason(one, START, here.pipeline, here.desk) for one in (first, second, first)]
    assert done[0] == done[2]
    assert len(here.askers["resolve"].asked) == 2
    assert not any(the(Call, messages).cache_hit for messages in done)


async def test_an_escalation_of_an_older_pipeline_is_stored_under_the_version_that_answers_it(
    here: Office, tmp_path: Path
) -> None:
    older = await escalated(here)
    newer = office(tmp_path, PIPELINE.replace('task = "resolve"', 'task = "resolve"\nmax_tokens = 7'))
    call = the(Call, await reason(older, START, newer.pipeline, newer.desk))
    assert call.handler_version == newer.pipeline.reasoners["resolve"].version
    assert call.fingerprint != older.fingerprint
    assert call.fingerprint == (await escalated(newer)).fingerprint


async def test_a_reasoner_that_is_gone_is_the_operators_to_put_back(here: Office) -> None:
    gone = dataclasses.replace(await escalated(here), handler="gone")
    with pytest.raises(ConfigError, match="no reasoner 'gone'"):
        await reason(gone, START, here.pipeline, here.desk)
