"""WORK: a worker's answer is accepted, or its task is escalated."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.core.errors import ConfigError
from streams.core.messages import Call, Escalation, Finding, Message, Result
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

WITHOUT_REASONER = PIPELINE.partition("[reasoners")[0].replace('open-ended = "reasoners.resolve"', "")


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


async def worked(here: Office, turn: Turn, worker: str = "extract") -> list[Message]:
    here.askers[worker].script = [turn]
    return await work(verdict(event(), worker), START, here.pipeline, here.desk)


async def test_a_sure_answer_is_the_result(here: Office) -> None:
    messages = await worked(here, said({"number": 7}, 0.8))
    result, call = the(Result, messages), the(Call, messages)
    assert (result.state, result.tier, result.handler, result.intent) == ("answered", "worker", "extract", "order")
    assert (result.answer, result.reasons, result.call_id) == ('{"number": 7}', (), call.call_id)
    assert (call.decision, call.threshold) == ("accepted", 0.8)
    assert call.decision_reason == "confidence 0.800 reaches 0.800"
    assert len(messages) == 2


async def test_without_a_threshold_any_answer_is_the_result(here: Office) -> None:
    assert the(Result, await worked(here, said("yes"), "answer")).answer == '"yes"'


@pytest.mark.parametrize(
    ("turn", "reason", "detail"),
    [
        (refusal(), "refused", "missing_information: no order number"),
        (said("yes", 0.79), "unsure", "confidence 0.790 under 0.800"),
        (said("yes", None), "unsure", "confidence unknown, 0.800 is asked for"),
        (broken_schema(), "invalid", "schema: $.number: 'x'"),
        (model_error("bad_request", retryable=False), "failed", "bad_request: It is busy."),
    ],
    ids=["refusal", "low confidence", "unknown confidence", "broken schema", "failure"],
)
async def test_what_falls_short_is_escalated_with_the_attempt_and_the_reason(
    here: Office, turn: Turn, reason: str, detail: str
) -> None:
    messages = await worked(here, turn)
    escalation, call = the(Escalation, messages), the(Call, messages)
    assert (escalation.handler, escalation.reason, escalation.detail) == ("resolve", reason, detail)
    assert escalation.attempt is not None
    assert escalation.attempt.call_id == call.call_id
    assert (call.decision, call.decision_reason) == ("escalated", f"{reason}: {detail}")
    assert len(messages) == 2


@pytest.mark.parametrize("turn", [refusal(), said("yes", 0.1), broken_schema(), model_error(retryable=False)])
async def test_without_a_reasoner_the_event_has_failed_and_says_why(tmp_path: Path, turn: Turn) -> None:
    here = office(tmp_path, WITHOUT_REASONER)
    messages = await worked(here, turn)
    result, call = the(Result, messages), the(Call, messages)
    assert (result.state, result.tier, result.answer) == ("failed", "worker", None)
    assert result.reasons == (call.decision_reason,)
    assert call.decision == "failed"


async def test_every_try_is_emitted_and_only_the_last_is_decided_on(here: Office) -> None:
    here.askers["extract"].script = [model_error(), said("yes", 0.9)]
    messages = await work(verdict(event(), "extract"), START, here.pipeline, here.desk)
    assert [call.decision for call in messages if isinstance(call, Call)] == ["retried", "accepted"]


@pytest.mark.parametrize("action", ["ignore", "duplicate", "reason"])
async def test_a_verdict_that_leads_elsewhere_causes_nothing(here: Office, action: str) -> None:
    assert await work(verdict(event(), "", action=action), START, here.pipeline, here.desk) == []


async def test_a_worker_that_is_gone_is_the_operators_to_put_back(here: Office) -> None:
    with pytest.raises(ConfigError, match="no worker 'gone'"):
        await work(verdict(event(), "gone"), START, here.pipeline, here.desk)


async def test_the_parent_of_a_workers_call_is_the_call_that_chose_its_route(here: Office) -> None:
    rules = Finding(listener="rules", label=None, call_id="rules-call")
    intent = Finding(listener="intent", label="order", confidence=0.9, call_id="intent-call")
    messages = await work(verdict(event(), findings=(rules, intent)), START, here.pipeline, here.desk)
    assert the(Call, messages).parent_call_id == "intent-call"


async def test_a_worker_sees_of_the_event_what_it_asked_for(here: Office) -> None:
    of = event(text="hello", data='{"customer": 7}')
    await work(verdict(of, "extract"), START, here.pipeline, here.desk)
    await work(verdict(of, "answer"), START, here.pipeline, here.desk)
    assert [dict(here.askers[name].asked[0].data) for name in ("extract", "answer")] == [{}, {"customer": 7}]


async def test_an_identical_task_of_another_event_is_answered_from_the_store(here: Office) -> None:
    await work(verdict(event("e1"), "answer"), START, here.pipeline, here.desk)
    messages = await work(verdict(event("e2"), "answer"), START, here.pipeline, here.desk)
    assert the(Call, messages).cache_hit
    assert the(Result, messages).origin.event_id == "e2"
    assert len(here.askers["answer"].asked) == 1


async def test_an_identical_task_that_was_refused_is_escalated_from_the_store(here: Office) -> None:
    here.askers["answer"].script = [refusal()]
    await work(verdict(event("e1"), "answer"), START, here.pipeline, here.desk)
    messages = await work(verdict(event("e2"), "answer"), START, here.pipeline, here.desk)
    assert the(Call, messages).cache_hit
    assert the(Escalation, messages).reason == "refused"


async def test_another_threshold_decides_anew_on_the_stored_answer(here: Office, tmp_path: Path) -> None:
    here.askers["extract"].script = [said("yes", 0.79)]
    await work(verdict(event("e1"), "extract"), START, here.pipeline, here.desk)
    lenient = office(tmp_path, PIPELINE.replace("threshold = 0.8", "threshold = 0.7"))
    lenient.answers.kept = here.answers.kept
    messages = await work(verdict(event("e2"), "extract"), START, lenient.pipeline, lenient.desk)
    assert the(Result, messages).answer == '"yes"'
    assert lenient.askers["extract"].asked == []


async def test_unsure_attempts_alike_are_one_task_for_the_reasoner_whatever_was_missing(here: Office) -> None:
    fingerprints = set()
    for number, confidence in enumerate((0.1, 0.2)):
        here.askers["extract"].script = [said("yes", confidence)]
        of = verdict(event(f"e{number}"), "extract")
        here.answers.kept.clear()
        fingerprints.add(the(Escalation, await work(of, START, here.pipeline, here.desk)).fingerprint)
    assert len(fingerprints) == 1
