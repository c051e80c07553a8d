"""What is recorded is redacted; what is answered is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.core.messages import Call, Event, Message, Result, Sighting
from streams.core.redaction.fields import CALL_TEXTS
from streams.stages.listen import listen
from streams.stages.match import match
from streams.stages.reason import reason
from streams.stages.work import work
from tests.harness.sensitive_texts import POLICY
from tests.stages.support import (
    START,
    FakeImages,
    FakeSeen,
    Office,
    event,
    model_error,
    office,
    refusal,
    said,
    the,
    verdict,
)

EMAIL = "jo@x.org"


def leaking(**more: Any) -> Any:
    return dataclasses.replace(said({"reply": EMAIL}), system=f"for {EMAIL}", prompt=f"from {EMAIL}", **more)


@pytest.fixture
def here(tmp_path: Path) -> Office:
    plain = office(tmp_path, intent=leaking(), extract=leaking(), resolve=leaking())
    return dataclasses.replace(plain, desk=dataclasses.replace(plain.desk, redaction=POLICY))


def calls(messages: list[Message]) -> Iterator[Call]:
    return (one for one in messages if isinstance(one, Call))


def leaks(messages: list[Message]) -> list[str]:
    records = list(calls(messages))
    assert records
    assert {one.redaction for one in records} == {POLICY.id}
    return [name for one in records for name in CALL_TEXTS if EMAIL in (getattr(one, name) or "")]


def question() -> Event:
    return event(text=f"write to {EMAIL}")


async def test_a_listener_s_record_is_redacted(here: Office) -> None:
    assert leaks(await listen(question(), START, here.pipeline, here.desk, FakeImages())) == []


async def test_a_worker_s_record_is_redacted_and_its_answer_is_true(here: Office) -> None:
    messages = await work(verdict(question()), START, here.pipeline, here.desk)
    assert leaks(messages) == []
    reasoned = await reason(next(iter(messages_of(messages))), START, here.pipeline, here.desk)
    assert leaks(reasoned) == []
    assert the(Result, reasoned).answer == '{"reply": "jo@x.org"}'
    assert next(calls(reasoned)).response == '{"reply": "[email]"}'


def messages_of(messages: list[Message]) -> Iterator[Any]:
    return (one for one in messages if not isinstance(one, Call))


@pytest.mark.parametrize(
    "turn", [refusal(f"only {EMAIL} knows"), model_error(f"to {EMAIL}"), said(status="invalid", error=f"'{EMAIL}'")]
)
async def test_reasons_and_errors_are_redacted_too(here: Office, turn: Any) -> None:
    here.askers["extract"].script = [turn]
    assert leaks(await work(verdict(question()), START, here.pipeline, here.desk)) == []


async def test_the_store_keeps_the_true_attempt_and_redacted_records(here: Office) -> None:
    await work(verdict(question()), START, here.pipeline, here.desk)
    (stored,) = here.answers.kept.values()
    assert stored.attempt.answer == '{"reply": "jo@x.org"}'
    assert leaks(list(stored.calls)) == []


async def test_a_record_stored_before_the_redaction_is_redacted_when_it_comes_again(here: Office) -> None:
    plain = dataclasses.replace(here.desk, redaction=None)
    await work(verdict(question()), START, here.pipeline, plain)
    for event_id in ("e1", "e2"):
        again = await work(verdict(event(event_id, question().text)), START, here.pipeline, here.desk)
        assert leaks(again) == []
    assert len(here.askers["extract"].asked) == 1


async def test_the_record_of_a_comparison_of_images_is_stamped(here: Office) -> None:
    sighting = Sighting(event=event(text="", image="a" * 64), listener="seen", image_hash="0" * 16, findings=())
    messages = await match(sighting, START, here.pipeline, here.desk, FakeSeen(), FakeImages())
    assert leaks(messages) == []


async def test_fingerprints_are_those_of_the_true_input(here: Office) -> None:
    plain = dataclasses.replace(here.desk, redaction=None)
    asked = verdict(question())
    records = [next(calls(await work(asked, START, here.pipeline, desk))) for desk in (plain, here.desk)]
    assert records[0].fingerprint == records[1].fingerprint
    assert len(here.askers["extract"].asked) == 1
