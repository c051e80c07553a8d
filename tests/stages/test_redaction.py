"""Records are redacted; answers are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.core.messages import Call, Event, Message, Result, Sighting
from streams.core.redaction.fields import CALL_TEXTS
from streams.stages.dedupe_images import dedupe_images
from tests.harness.sensitive_texts import POLICY
from tests.harness.stages import (
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
    with_records,
)

EMAIL = "jo@x.org"


def leaking(**more: Any) -> Any:
    return dataclasses.replace(said({"reply": EMAIL}), system=f"for {EMAIL}", prompt=f"from {EMAIL}", **more)


@pytest.fixture
def here(tmp_path: Path) -> Office:
    plain = office(tmp_path, intent=leaking(), extract=leaking(), resolve=leaking())
    return with_records(plain, redaction=POLICY)


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
    assert leaks(await here.listen(question())) == []


async def test_a_worker_s_record_is_redacted_and_its_answer_is_true(here: Office) -> None:
    messages = await here.work(verdict(question()))
    assert leaks(messages) == []
    reasoned = await here.reason(next(iter(messages_of(messages))))
    assert leaks(reasoned) == []
    assert the(Result, reasoned).answer == '{"reply": "jo@x.org"}'
    assert next(calls(reasoned)).response == '{"reply": "[email]"}'


def messages_of(messages: list[Message]) -> Iterator[Any]:
    return (one for one in messages if not isinstance(one, Call))


@pytest.mark.parametrize(
    "turn", [refusal(f"only {EMAIL} knows"), model_error(f"to {EMAIL}"), said(status="invalid", error=f"'{EMAIL}'")]
)
async def test_reasons_and_errors_are_redacted_too(here: Office, turn: Any) -> None:
    here.backends["extract"].script = [turn]
    assert leaks(await here.work(verdict(question()))) == []


async def test_the_store_keeps_the_true_attempt_and_redacted_records(here: Office) -> None:
    await here.work(verdict(question()))
    (stored,) = here.answers.kept.values()
    assert stored.attempt.answer == '{"reply": "jo@x.org"}'
    assert leaks(list(stored.calls)) == []


async def test_a_record_stored_before_the_redaction_is_redacted_when_it_comes_again(here: Office) -> None:
    plain = with_records(here, redaction=None)
    await plain.work(verdict(question()))
    for event_id in ("e1", "e2"):
        again = await here.work(verdict(event(event_id, question().text)))
        assert leaks(again) == []
    assert len(here.backends["extract"].asked) == 1


async def test_the_record_of_a_comparison_of_images_is_stamped(here: Office) -> None:
    sighting = Sighting(event=event(text="", image="a" * 64), listener="seen", image_hash="0" * 16, findings=())
    messages = await dedupe_images(sighting, START, here.pipeline, here.records, FakeSeen(), FakeImages())
    assert leaks(messages) == []


async def test_fingerprints_are_those_of_the_true_input(here: Office) -> None:
    plain = with_records(here, redaction=None)
    asked = verdict(question())
    records = [next(calls(await one.work(asked))) for one in (plain, here)]
    assert records[0].fingerprint == records[1].fingerprint
    assert len(here.backends["extract"].asked) == 1
