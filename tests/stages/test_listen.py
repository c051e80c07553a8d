"""LISTEN: one event, what the listeners say, one route."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from streams.core.errors import UnreadableError
from streams.core.fingerprint import task_fingerprint
from streams.core.messages import Call, Escalation, Event, Message, Result, Score, Sighting, Verdict
from streams.models.listeners.image import ImageFeatures
from tests.harness.confidence import PRICE, broke, with_money
from tests.harness.stages import FakeImages, Office, Turn, event, model_error, office, refusal, said, the, until_asked

IMAGE, THUMBNAIL = "a" * 64, bytes(32 * 32)


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


async def heard(here: Office, of: Event, **scripts: Turn) -> list[Message]:
    for name, turn in scripts.items():
        here.backends[name].script = [turn]
    return await here.listen(of, FakeImages({IMAGE: ImageFeatures(0xFF, THUMBNAIL)}))


async def test_an_intent_with_a_worker_becomes_a_verdict_alone(here: Office) -> None:
    messages = await heard(here, event(), intent=said("order", 0.9))
    verdict = the(Verdict, messages)
    assert (verdict.action, verdict.handler, verdict.intents, verdict.confidence) == (
        "work",
        "extract",
        ("order",),
        0.9,
    )
    assert [type(message) for message in messages] == [Call, Call, Verdict]
    assert [finding.listener for finding in verdict.findings] == ["rules", "intent"]
    assert verdict.pipeline == here.pipeline.hash


async def test_open_ended_work_goes_to_the_reasoner_directly(here: Office) -> None:
    messages = await heard(here, event(), intent=said("open-ended", 0.9))
    verdict, escalation = the(Verdict, messages), the(Escalation, messages)
    assert (verdict.action, verdict.handler) == ("reason", "resolve")
    assert (escalation.handler, escalation.reason, escalation.detail) == ("resolve", "routed", "open-ended")
    assert escalation.attempt is None


async def test_nothing_of_interest_ends_at_once(here: Office) -> None:
    messages = await heard(here, event(), rules=said("nothing", 1.0))
    verdict, result = the(Verdict, messages), the(Result, messages)
    assert (verdict.action, verdict.handler) == ("ignore", "")
    assert (result.state, result.tier, result.handler, result.intent) == ("ignored", "listener", "rules", "nothing")
    assert result.call_id == next(call.call_id for call in messages if isinstance(call, Call))


async def test_an_event_no_listener_knows_is_unsure(here: Office) -> None:
    verdict = the(Verdict, await heard(here, event()))
    assert (verdict.intents, verdict.handler, verdict.confidence) == (("unsure",), "answer", None)


async def test_a_finding_under_the_threshold_is_nothing_found(here: Office) -> None:
    verdict = the(Verdict, await heard(here, event(), intent=said("order", 0.49)))
    assert verdict.intents == ("unsure",)
    assert [(finding.label, finding.confidence) for finding in verdict.findings] == [(None, None), (None, 0.49)]
    assert the(Verdict, await heard(here, event(), intent=said("order", 0.5))).intents == ("order",)


async def test_with_a_threshold_an_unknown_confidence_is_nothing_found(here: Office) -> None:
    assert the(Verdict, await heard(here, event(), intent=said("order"))).intents == ("unsure",)


async def test_a_listener_may_give_its_scores(here: Office) -> None:
    answer = {"label": "order", "confidence": 0.75, "scores": {"order": 0.75, "question": 0.25}}
    finding = the(Verdict, await heard(here, event(), intent=said(answer))).findings[1]
    assert (finding.label, finding.confidence) == ("order", 0.75)
    assert finding.scores == (Score(label="order", probability=0.75), Score(label="question", probability=0.25))


async def test_what_64_bits_round_over_1_in_a_listeners_scores_is_1(here: Office) -> None:
    answer = {"label": "order", "confidence": 1.0000000000000002, "scores": {"order": 1.0000000000000002}}
    finding = the(Verdict, await heard(here, event(), intent=said(answer))).findings[1]
    assert (finding.confidence, finding.scores) == (1.0, (Score(label="order", probability=1.0),))


async def test_a_listener_that_fails_or_refuses_finds_nothing_and_the_others_are_heard(here: Office) -> None:
    messages = await heard(here, event(), rules=model_error(retryable=False), intent=said("order", 0.9))
    assert the(Verdict, messages).intents == ("order",)
    failed = next(call for call in messages if isinstance(call, Call) and call.handler == "rules")
    assert (failed.status, failed.decision, failed.error_type) == ("failed", "failed", "overloaded")
    assert the(Verdict, await heard(here, event("e2"), rules=refusal(), intent=said("order", 0.9))).intents == (
        "order",
    )


async def test_the_calls_say_what_was_found_and_what_was_asked_for(here: Office) -> None:
    messages = await heard(here, event(), intent=said("order", 0.9))
    decisions = [(c.decision, c.decision_reason, c.threshold) for c in messages if isinstance(c, Call)]
    assert decisions == [("found", "found nothing", None), ("found", "found order", 0.5)]


async def test_a_listener_sees_only_the_kinds_of_event_it_is_for(here: Office) -> None:
    await heard(here, event(text="", image=IMAGE))
    assert (len(here.backends["rules"].asked), len(here.backends["intent"].asked)) == (0, 1)


async def test_an_image_goes_to_the_owner_of_the_images_with_what_the_others_saw(here: Office) -> None:
    messages = await heard(here, event(text="", image=IMAGE), intent=said("photo", 0.9))
    sighting = the(Sighting, messages)
    assert (sighting.listener, sighting.image_hash) == ("seen", "00000000000000ff")
    assert sighting.thumbnail == THUMBNAIL
    assert [finding.label for finding in sighting.findings] == ["photo"]
    assert not any(isinstance(message, Verdict) for message in messages)


async def test_an_image_that_cannot_be_read_costs_no_call_that_would_go_without_a_record(here: Office) -> None:
    with pytest.raises(UnreadableError):
        await here.listen(event(text="", image=IMAGE))
    assert here.backends["intent"].asked == []


async def test_the_verdict_carries_the_fingerprint_of_the_workers_task(here: Office) -> None:
    one = the(Verdict, await heard(here, event("e1", data='{"a": 1}'), intent=said("order", 0.9)))
    other = the(Verdict, await heard(here, event("e2", data='{"a": 2}')))
    assert one.fingerprint == other.fingerprint  # the worker sees the text alone
    task: dict[str, object] = {"text": "my order", "data": {}, "image": None, "reason": None}
    assert one.fingerprint == task_fingerprint(here.pipeline.workers["extract"].version, task)


async def test_listeners_are_asked_at_the_same_time(here: Office) -> None:
    gate = asyncio.Event()
    for name in ("rules", "intent"):
        here.backends[name].gate = gate
    listening = asyncio.create_task(heard(here, event()))
    for _ in range(20):
        await asyncio.sleep(0)
    assert [len(here.backends[name].asked) for name in ("rules", "intent")] == [1, 1]
    gate.set()
    await listening


@pytest.mark.parametrize("instant", [("rules",), ("intent",), ("rules", "intent")], ids=", ".join)
async def test_listeners_keep_the_order_of_the_file_when_some_never_wait(
    here: Office, instant: tuple[str, ...]
) -> None:
    for name in instant:
        here.backends[name].instant = True
    messages = await heard(here, event(), rules=said("question", 0.9), intent=said("order", 0.9))
    assert [finding.label for finding in the(Verdict, messages).findings] == ["question", "order"]
    assert [message.handler for message in messages if isinstance(message, Call)] == ["rules", "intent"]


async def test_the_same_event_gives_the_same_ids_each_time(here: Office) -> None:
    first, second = [await heard(here, event(), intent=said("order", 0.9)) for _ in range(2)]
    assert first == second


# ---- Money ----


async def test_a_listener_out_of_money_finds_nothing_and_the_others_are_heard(tmp_path: Path) -> None:
    here = broke(tmp_path, "listener")
    here.backends["rules"].free = True
    messages = await heard(here, event(), rules=said("question", 1.0), intent=said("order", 0.9))
    found = the(Verdict, messages)
    assert (found.intents, found.handler) == (("question",), "answer")
    assert [(finding.listener, finding.label) for finding in found.findings] == [
        ("rules", "question"),
        ("intent", None),
    ]
    assert [message.handler for message in messages if isinstance(message, Call)] == ["rules"]
    assert here.backends["intent"].asked == []


async def test_an_event_no_listener_could_be_asked_about_is_unsure(tmp_path: Path) -> None:
    (found,) = await heard(broke(tmp_path, "listener"), event(), intent=said("order", 0.9))
    assert isinstance(found, Verdict)
    assert found.intents == ("unsure",)
    assert len({finding.call_id for finding in found.findings}) == 2


async def test_the_tries_a_listener_made_before_its_money_was_spent_are_recorded(tmp_path: Path) -> None:
    here = broke(tmp_path, "listener")
    here.backends["rules"].free = True
    budget = with_money(here, PRICE)
    one = here.backends["intent"]
    one.gate = asyncio.Event()
    listening = asyncio.create_task(heard(here, event(), intent=model_error()))
    await until_asked(one, 1)
    budget.spend(PRICE, here.clock.now())
    one.gate.set()
    messages = await listening
    tries = [message for message in messages if isinstance(message, Call) and message.handler == "intent"]
    assert [(call.decision, call.error_type) for call in tries] == [("retried", "overloaded")]
    assert the(Verdict, messages).intents == ("unsure",)
