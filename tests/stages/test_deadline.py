"""Past its deadline an event ends as failed, and says why."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from streams.core.messages import Call, Deferred, Escalation, Event, Finding, Message, Result, Sighting, Verdict
from streams.core.routing import UNSURE
from streams.models.listeners.image import ImageFeatures
from streams.replay.drive import as_replayed
from streams.stages.deadline import overdue, too_late
from streams.stages.listen import conclude
from tests.harness.confidence import PRICED, broke, with_money
from tests.harness.stages import (
    START,
    FakeImages,
    Office,
    Turn,
    event,
    model_error,
    office,
    refusal,
    said,
    the,
    verdict,
)

WHY = "deadline: it was to be done by 2026-11-01 12:01:00 UTC"
LAX = PRICED.replace('unsure = "workers.answer"', 'unsure = "ignore"')


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


def timed(event_id: str = "e1", seconds: float = 60) -> Event:
    return dataclasses.replace(event(event_id), deadline=START + timedelta(seconds=seconds))


async def worked(here: Office, turn: Turn, of: Event | None = None) -> list[Message]:
    here.backends["extract"].script = [turn]
    return await here.work(verdict(of or timed()))


def test_an_event_is_overdue_from_its_deadline_on_and_never_without_one() -> None:
    assert [overdue(timed(), START + timedelta(seconds=s)) for s in (59.9, 60, 61)] == [False, True, True]
    assert not overdue(event(), START + timedelta(days=10_000))
    assert too_late(timed()) == WHY


# ---- WORK ----


async def test_in_time_a_worker_is_asked_and_given_the_time_that_is_left(here: Office) -> None:
    here.clock.passes(20)
    assert the(Result, await worked(here, said("yes", 0.9))).state == "answered"
    assert here.backends["extract"].within == [40.0]


async def test_past_the_deadline_no_model_is_asked_and_the_event_has_failed(here: Office) -> None:
    here.clock.passes(60)
    messages = await worked(here, said("yes", 0.9))
    result, call = the(Result, messages), the(Call, messages)
    assert (result.state, result.tier, result.answer) == ("failed", "worker", None)
    assert WHY in result.reasons
    assert result.call_id == call.call_id
    assert (call.error_type, call.cost_usd, call.decision) == ("deadline", Decimal(0), "failed")
    assert here.backends["extract"].asked == []


@pytest.mark.parametrize("turn", [refusal(), said("perhaps", 0.1), model_error("bad_request", retryable=False)])
async def test_what_fell_short_too_late_for_a_reasoner_ends_with_both_reasons(here: Office, turn: Turn) -> None:
    class Slow(type(here.backends["extract"])):  # type: ignore[misc]
        async def ask(self, task: object, sample: int = 0, within: float = 0) -> object:
            here.clock.passes(within)
            return await super().ask(task, sample, within)

    own = here.backends["extract"]
    slow = Slow(own.handler, own.script)
    here.backends["extract"] = slow
    here.backends["extract"] = slow
    messages = await worked(here, turn)
    result = the(Result, messages)
    assert result.state == "failed"
    assert len(result.reasons) == 2
    assert result.reasons[1] == WHY
    assert not any(isinstance(one, Escalation) for one in messages)


async def test_a_stored_answer_is_served_past_the_deadline(here: Office) -> None:
    first = await worked(here, said("yes", 0.9))
    here.clock.passes(600)
    again = await worked(here, said("no", 0.9))
    assert the(Call, again) == the(Call, first)
    assert the(Result, again).state == "answered"


async def test_a_task_does_not_wait_for_money_past_its_deadline(tmp_path: Path) -> None:
    poor = broke(tmp_path, "worker")
    result = the(Result, await worked(poor, said()))
    assert result.state == "failed"
    assert [reason.partition(":")[0] for reason in result.reasons] == ["budget", "deadline"]
    long = timed(seconds=10 * 86_400)
    assert the(Deferred, await worked(poor, said(), long)).task.event == long


# ---- REASON ----


async def escalated(here: Office, of: Event) -> Escalation:
    return the(Escalation, await worked(here, refusal(), of))


async def test_past_the_deadline_no_reasoner_is_asked(here: Office) -> None:
    task = await escalated(here, timed())
    assert task.event == timed()
    here.clock.passes(60)
    messages = await here.reason(task)
    result = the(Result, messages)
    assert (result.state, result.tier, result.reasons[-1]) == ("failed", "reasoner", WHY)
    assert here.backends["resolve"].asked == []
    assert the(Call, messages).error_type == "deadline"


async def test_a_reasoner_does_not_wait_for_money_past_the_deadline(tmp_path: Path) -> None:
    task = await escalated(office(tmp_path, PRICED), timed())
    poor = broke(tmp_path, "reasoner")
    result = the(Result, await poor.reason(task))
    assert [one.partition(":")[0] for one in result.reasons] == ["refused", "budget", "deadline"]


# ---- LISTEN ----


async def heard(here: Office, of: Event) -> list[Message]:
    return await here.listen(of)


async def test_the_deadline_travels_with_the_event(here: Office) -> None:
    assert the(Verdict, await heard(here, timed())).event.deadline == START + timedelta(seconds=60)


async def test_an_event_that_no_listener_could_look_at_in_time_is_not_ignored(tmp_path: Path) -> None:
    here = office(tmp_path, LAX)
    assert the(Result, await heard(here, timed())).state == "ignored"
    here.clock.passes(60)
    result = the(Result, await heard(here, timed("e2")))
    assert (result.state, result.reasons, result.tier) == ("failed", (WHY,), "listener")
    assert the(Result, await heard(here, event("e3"))).state == "ignored"


def test_an_event_that_was_recognised_as_nothing_is_ignored_however_late(here: Office) -> None:
    here.clock.passes(600)
    finding = Finding(listener="rules", label="nothing", confidence=1.0, call_id="c")
    result = the(Result, conclude(timed(), (finding,), here.pipeline, here.records))
    assert (result.state, result.intent) == ("ignored", "nothing")
    assert result.intent != UNSURE


async def test_an_image_sent_to_its_owner_keeps_its_deadline(here: Office) -> None:
    image = dataclasses.replace(timed(), kind="image", image="0" * 64)
    messages = await here.listen(image, FakeImages({"0" * 64: ImageFeatures(64, bytes(1024))}))
    assert the(Sighting, messages).event.deadline == image.deadline


# ---- In a replay ----


def test_a_replay_sets_no_deadline(tmp_path: Path) -> None:
    here = office(tmp_path, 'deadline = "10m"\n' + PRICED.lstrip())
    assert here.pipeline.spec.deadline == 600
    assert as_replayed(here.pipeline).spec.deadline is None


async def test_the_deadline_is_not_part_of_a_task(here: Office) -> None:
    with_money(here, Decimal(1))
    first = the(Call, await worked(here, said("yes", 0.9), timed("e1")))
    second = the(Call, await worked(here, said("yes", 0.9), timed("e2", 90)))
    third = the(Call, await worked(here, said("yes", 0.9), event("e3")))
    assert first.fingerprint == second.fingerprint == third.fingerprint
