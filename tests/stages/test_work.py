"""WORK: a worker's answer is accepted, or its task is escalated."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.calibration.calibrators import Temperature
from streams.calling.confidence import ConfidenceScorer
from streams.calling.threshold import ThresholdPolicy
from streams.core.errors import ConfigError
from streams.core.messages import Call, Deferred, Escalation, Finding, Message, Result, Score
from streams.stages.escalate import reasoner_task
from streams.stages.over_budget import spent
from tests.harness.confidence import PRICE, PRICED, FakeWatches, broke, calibration, with_money
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
    verdict,
)

WITHOUT_REASONER = PIPELINE.partition("[reasoners")[0].replace('open-ended = "reasoners.resolve"', "")


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


async def worked(here: Office, turn: Turn, worker: str = "extract") -> list[Message]:
    here.backends[worker].script = [turn]
    return await here.work(verdict(event(), worker))


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


@pytest.mark.parametrize(
    "turn", [refusal(), said("yes", 0.1), broken_schema(), model_error("rejected", retryable=False)]
)
async def test_without_a_reasoner_the_event_has_failed_and_says_why(tmp_path: Path, turn: Turn) -> None:
    here = office(tmp_path, WITHOUT_REASONER)
    messages = await worked(here, turn)
    result, call = the(Result, messages), the(Call, messages)
    assert (result.state, result.tier, result.answer) == ("failed", "worker", None)
    assert result.reasons == (call.decision_reason,)
    assert call.decision == "failed"


async def test_every_try_is_emitted_and_only_the_last_is_decided_on(here: Office) -> None:
    here.backends["extract"].script = [model_error(), said("yes", 0.9)]
    messages = await here.work(verdict(event(), "extract"))
    assert [call.decision for call in messages if isinstance(call, Call)] == ["retried", "accepted"]


@pytest.mark.parametrize("action", ["ignore", "duplicate", "reason"])
async def test_a_verdict_that_leads_elsewhere_causes_nothing(here: Office, action: str) -> None:
    assert await here.work(verdict(event(), "", action=action)) == []


async def test_a_worker_that_is_gone_is_the_operators_to_put_back(here: Office) -> None:
    with pytest.raises(ConfigError, match="no worker 'gone'"):
        await here.work(verdict(event(), "gone"))


async def test_the_parent_of_a_workers_call_is_the_call_that_chose_its_route(here: Office) -> None:
    rules = Finding(listener="rules", label=None, call_id="rules-call")
    intent = Finding(listener="intent", label="order", confidence=0.9, call_id="intent-call")
    messages = await here.work(verdict(event(), findings=(rules, intent)))
    assert the(Call, messages).parent_call_id == "intent-call"


async def test_a_worker_sees_of_the_event_what_it_asked_for(here: Office) -> None:
    of = event(text="hello", data='{"customer": 7}')
    await here.work(verdict(of, "extract"))
    await here.work(verdict(of, "answer"))
    assert [dict(here.backends[name].asked[0].data) for name in ("extract", "answer")] == [{}, {"customer": 7}]


async def test_an_identical_task_of_another_event_is_answered_from_the_store(here: Office) -> None:
    await here.work(verdict(event("e1"), "answer"))
    messages = await here.work(verdict(event("e2"), "answer"))
    assert the(Call, messages).cache_hit
    assert the(Result, messages).origin.event_id == "e2"
    assert len(here.backends["answer"].asked) == 1


async def test_an_identical_task_that_was_refused_is_escalated_from_the_store(here: Office) -> None:
    here.backends["answer"].script = [refusal()]
    await here.work(verdict(event("e1"), "answer"))
    messages = await here.work(verdict(event("e2"), "answer"))
    assert the(Call, messages).cache_hit
    assert the(Escalation, messages).reason == "refused"


async def test_another_threshold_decides_again_on_the_stored_answer(here: Office, tmp_path: Path) -> None:
    here.backends["extract"].script = [said("yes", 0.79)]
    await here.work(verdict(event("e1"), "extract"))
    lenient = office(tmp_path, PIPELINE.replace("threshold = 0.8", "threshold = 0.7"))
    lenient.answers.kept = here.answers.kept
    messages = await lenient.work(verdict(event("e2"), "extract"))
    assert the(Result, messages).answer == '"yes"'
    assert lenient.backends["extract"].asked == []


async def test_unsure_attempts_alike_are_one_task_for_the_reasoner(here: Office) -> None:
    fingerprints = set()
    for number, confidence in enumerate((0.1, 0.2)):
        here.backends["extract"].script = [said("yes", confidence)]
        of = verdict(event(f"e{number}"), "extract")
        here.answers.kept.clear()
        fingerprints.add(the(Escalation, await here.work(of)).fingerprint)
    assert len(fingerprints) == 1


# ---- Calibrated confidence ----

CALIBRATION = calibration(Temperature(2.0))


@pytest.fixture
def gated(here: Office) -> Office:
    """An office whose worker's confidence is calibrated, with a watch over it."""
    handler = here.pipeline.workers["extract"]
    assert handler.confidence is not None
    config = dataclasses.replace(handler.confidence, sources=("verbalized",), artifact=CALIBRATION, threshold=0.75)
    gate = ThresholdPolicy(
        configs={"extract": dataclasses.replace(config, fallback=1.0)},
        watches=FakeWatches(),
        partitions=1,
        report=lambda *_: None,
    )
    scorer = ConfidenceScorer(config=config, functions={}, timeout=1.0)
    here.thresholds, here.scorers = gate, {"extract": scorer}
    return here


@pytest.mark.parametrize(("stated", "decision"), [(0.9, "accepted"), (0.8, "escalated")])
async def test_a_call_is_decided_by_the_calibrated_confidence_and_names_the_calibration(
    gated: Office, stated: float, decision: str
) -> None:
    call = the(Call, await worked(gated, said("yes", stated)))
    assert (call.decision, call.threshold, call.calibration) == (decision, 0.75, CALIBRATION.id)
    assert (call.raw_confidence, call.confidence) == (stated, CALIBRATION.calibrator(stated))
    assert call.sources == (Score(label="verbalized", probability=stated),)


async def test_a_refusal_is_escalated_under_the_same_calibration(gated: Office) -> None:
    call = the(Call, await worked(gated, refusal()))
    assert (call.decision, call.threshold, call.calibration) == ("escalated", 0.75, CALIBRATION.id)


async def test_once_the_calibration_has_expired_every_decision_says_so(gated: Office) -> None:
    for number in range(200):
        gated.backends["extract"].script = [said(number, 0.05)]
        await gated.work(verdict(event(f"e{number}", f"text {number}")))
    gated.backends["extract"].script = [said("yes", 0.99)]
    messages = await gated.work(verdict(event("new", "new")))
    call, escalation = the(Call, messages), the(Escalation, messages)
    assert (call.decision, call.threshold, call.calibration) == ("escalated", 1.0, None)
    assert call.decision_reason.endswith("; the calibration no longer holds, so its fallback is asked for")
    assert escalation.detail.endswith("so its fallback is asked for")
    gated.backends["extract"].script = [said("sure", 1.0)]
    sure = await gated.work(verdict(event("sure", "sure")))
    assert the(Call, sure).decision_reason.endswith("so its fallback is asked for")


async def test_a_task_that_comes_again_and_again_does_not_change_the_scores(gated: Office) -> None:
    gated.backends["extract"].script = [said("yes", 0.97)]
    for number in range(300):
        messages = await gated.work(verdict(event(f"e{number}")))
        call = the(Call, messages)
        assert (call.cache_hit, call.calibration) == (number > 0, CALIBRATION.id)
    assert len(gated.backends["extract"].asked) == 1


async def test_a_source_that_breaks_is_escalated_and_recorded(here: Office) -> None:
    def breaks(*_: object) -> float:
        raise KeyError("number")

    handler = here.pipeline.workers["extract"]
    assert handler.confidence is not None
    config = dataclasses.replace(handler.confidence, sources=("verbalized", "desk:f"))
    scorer = ConfidenceScorer(config=config, functions={"desk:f": breaks}, timeout=1.0)
    here.scorers = {"extract": scorer}
    messages = await worked(here, said("yes", 0.99))
    call = the(Call, messages)
    assert (the(Escalation, messages).reason, call.confidence, call.status) == ("unsure", None, "answered")
    assert call.error == "desk:f raised KeyError: 'number'"


# ---- Several samples ----

SAMPLED = PIPELINE.replace("threshold = 0.8", 'threshold = 0.6\nconfidence = "self-consistency"\nsamples = 3')


async def test_several_samples_are_asked_where_the_file_says_so_and_their_agreement_decides(tmp_path: Path) -> None:
    here = office(tmp_path, SAMPLED)
    config = here.pipeline.workers["extract"].confidence
    assert config is not None
    here.scorers = {"extract": ConfidenceScorer(config=config, functions={}, timeout=1.0)}
    here.backends["extract"].script = [said("a"), said("b"), said("b")]
    messages = await here.work(verdict(event()))
    calls = [message for message in messages if isinstance(message, Call)]
    assert [call.decision for call in calls] == ["sampled", "sampled", "accepted"]
    assert calls[-1].sources == (Score(label="self-consistency", probability=2 / 3),)
    assert (the(Result, messages).answer, the(Result, messages).call_id) == ('"b"', calls[-1].call_id)
    here.backends["extract"].script = [said("a")] * 3 + [said("a"), said("b"), said("c")]
    unsure = await here.work(verdict(event("e2", "another")))
    assert the(Escalation, unsure).detail == "confidence 0.333 under 0.600"


async def test_samples_agree_by_the_comparison_of_the_file(tmp_path: Path) -> None:
    here = office(tmp_path, SAMPLED.replace("samples = 3", 'samples = 3\ncorrect = "numeric"'))
    here.backends["extract"].script = [said("it is 7"), said("7.0"), said("8")]
    attempt = the(Escalation, await here.work(verdict(event()))).attempt
    assert attempt is not None
    assert attempt.sources == (Score(label="self-consistency", probability=2 / 3),)


# ---- Exploration ----


def exploring(directory: Path, share: float, text: str = PIPELINE) -> Office:
    return office(directory, text.replace("threshold = 0.8", f"threshold = 0.8\nexplore = {share}"))


async def test_with_a_share_of_1_the_reasoner_is_asked_about_every_accepted_answer_as_well(tmp_path: Path) -> None:
    here = exploring(tmp_path, 1.0)
    messages = await worked(here, said({"number": 7}, 0.9))
    call, result, escalation = the(Call, messages), the(Result, messages), the(Escalation, messages)
    assert (call.decision, call.propensity, call.explored) == ("accepted", 1.0, True)
    assert (result.state, result.tier, result.answer) == ("answered", "worker", '{"number": 7}')
    assert (escalation.handler, escalation.reason) == ("resolve", "explored")
    assert escalation.attempt is not None
    assert escalation.attempt.call_id == call.call_id
    assert len(messages) == 3


async def test_without_a_share_no_accepted_answer_is_asked_about_and_none_could_have_been(here: Office) -> None:
    messages = await worked(here, said("yes", 0.9))
    assert not any(isinstance(message, Escalation) for message in messages)
    assert (the(Call, messages).propensity, the(Call, messages).explored) == (None, False)


@pytest.mark.parametrize("turn", [said("yes", 0.1), refusal(), model_error(retryable=False)])
async def test_what_is_escalated_anyhow_is_not_explored(tmp_path: Path, turn: Turn) -> None:
    messages = await worked(exploring(tmp_path, 1.0), turn)
    assert the(Escalation, messages).reason != "explored"
    assert (the(Call, messages).propensity, the(Call, messages).explored) == (None, False)


async def test_without_a_reasoner_nothing_is_explored(tmp_path: Path) -> None:
    messages = await worked(exploring(tmp_path, 1.0, WITHOUT_REASONER), said("yes", 0.9))
    assert (the(Call, messages).propensity, the(Call, messages).explored, len(messages)) == (None, False, 2)


async def test_about_the_share_asked_for_is_explored_and_an_event_is_drawn_alike_each_time(tmp_path: Path) -> None:
    here = exploring(tmp_path, 0.3)
    here.backends["extract"].script = [said("yes", 0.9)]

    async def explored() -> list[str]:
        chosen = []
        for number in range(1000):
            messages = await here.work(verdict(event(f"e{number}")))
            call = next(message for message in messages if isinstance(message, Call))
            assert call.propensity == 0.3
            assert call.explored == any(isinstance(message, Escalation) for message in messages)
            chosen += [call.origin.event_id] if call.explored else []
        return chosen

    first = await explored()
    assert abs(len(first) - 300) < 60  # four standard deviations
    here.answers.kept.clear()
    assert await explored() == first


async def test_a_reasoner_cannot_distinguish_an_explored_task_from_an_unsure_one(tmp_path: Path) -> None:
    lenient, strict = exploring(tmp_path, 1.0), office(tmp_path, PIPELINE.replace("threshold = 0.8", "threshold = 1.0"))
    one, other = [the(Escalation, await worked(here, said("yes", 0.9))) for here in (lenient, strict)]
    assert (one.reason, other.reason) == ("explored", "unsure")
    assert one.fingerprint == other.fingerprint
    resolve = lenient.pipeline.reasoners["resolve"]
    assert reasoner_task(one, resolve).input() == reasoner_task(other, resolve).input()
    assert reasoner_task(one, resolve).reason == "unsure"


# ---- Money ----


@pytest.mark.parametrize("at_limit", [None, "defer"])
async def test_without_money_a_task_waits_for_the_next_day(tmp_path: Path, at_limit: str | None) -> None:
    here = broke(tmp_path, "worker", at_limit)
    (deferred,) = await here.work(verdict(event()))
    assert isinstance(deferred, Deferred)
    assert deferred.verdict == dataclasses.replace(verdict(event()), budget_deferrals=1)
    assert deferred.not_before == datetime(2026, 11, 2, tzinfo=UTC)
    assert here.backends["extract"].asked == []


async def test_a_deferred_task_is_worked_on_when_there_is_money_again(tmp_path: Path) -> None:
    here = broke(tmp_path, "worker")
    (deferred,) = await here.work(verdict(event()))
    assert isinstance(deferred, Deferred)
    with_money(here, PRICE)
    here.backends["extract"].script = [said("yes", 0.9)]
    assert deferred.verdict is not None
    assert the(Result, await here.work(deferred.verdict)).answer == '"yes"'


async def test_without_money_a_task_fails_where_the_file_says_so(tmp_path: Path) -> None:
    here = broke(tmp_path, "worker", "fail")
    (result,) = await here.work(verdict(event()))
    assert isinstance(result, Result)
    assert (result.state, result.tier, result.reasons) == ("failed", "worker", (spent("worker", here.records),))


async def test_the_calls_made_before_the_money_was_spent_are_emitted_with_the_deferral(tmp_path: Path) -> None:
    here = broke(tmp_path, "worker", text=PRICED.replace("threshold = 0.8", 'confidence = "self-consistency"'))
    with_money(here, 2 * PRICE)
    messages = await here.work(verdict(event()))
    assert [(message.sample, message.decision) for message in messages[:-1] if isinstance(message, Call)] == [
        (0, "sampled"),
        (1, "sampled"),
    ]
    assert [type(message) for message in messages] == [Call, Call, Deferred]
