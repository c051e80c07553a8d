"""The table of topics."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from streams.core import messages as m
from streams.core.topics import ACTION_HEADER, BY_NAME, DEFERRED, TOPICS, headers_of, is_for, topic_of
from tests.builders import ORIGIN, START, event

EVENT = event()
VERDICT = m.Verdict(
    event=EVENT, findings=(), intents=("order",), confidence=None, action="work", handler="extract", fingerprint="f1",
    pipeline="p", decided_at=START,
)  # fmt: skip
ESCALATION = m.Escalation(
    event=EVENT,
    intents=("order",),
    handler="resolve",
    reason="routed",
    fingerprint="f2",
    pipeline="p",
    decided_at=START,
)
RESULT = m.Result(
    origin=ORIGIN, state="answered", tier="worker", handler="extract", intent="order", pipeline="p", decided_at=START
)


def key(message: m.Message) -> str | None:
    return topic_of(message).key(message)


def test_every_message_has_one_topic_and_a_deferral_one_for_each_cause() -> None:
    others = [spec.message for spec in TOPICS if spec.message is not m.Deferred]
    assert {*others, m.Deferred} == set(get_args(m.Message))
    assert len(set(others)) == len(others)
    assert len(BY_NAME) == len(others) + len(DEFERRED) == len(TOPICS)


@pytest.mark.parametrize("cause", get_args(m.DeferralCause))
def test_a_deferral_goes_to_the_topic_of_its_cause(cause: m.DeferralCause) -> None:
    waiting = m.Deferred(cause=cause, escalation=ESCALATION, not_before=START, reason="r")
    assert topic_of(waiting).name == f"deferred-{cause}"


def test_identical_tasks_meet_in_one_partition() -> None:
    assert (key(VERDICT), key(ESCALATION)) == ("f1", "f2")


def test_what_is_about_one_event_keeps_its_order() -> None:
    sighting = m.Sighting(event=EVENT, listener="seen", image_hash="0" * 16, findings=())
    by_budget = m.Deferred(cause="budget", escalation=ESCALATION, not_before=START, reason="budget")
    by_provider = m.Deferred(cause="provider", escalation=ESCALATION, not_before=START, reason="overloaded")
    outcome = m.Outcome(
        origin=ORIGIN, state="ignored", tier="listener", handler="", intent="nothing", pipeline="p", settled_at=START
    )
    call = m.Call(
        origin=ORIGIN, call_id="c", tier="worker", handler="h", handler_version="v", pipeline="p", operation="chat",
        provider="x", request_model="m", started_at=START, status="answered", decision="accepted",
    )  # fmt: skip
    label = m.Label(event_id="e1", label="order", labelled_at=START)
    judgement = m.Judgement(event_id="e1", call_id="c", judge="j", question="q", verdict="good", judged_at=START)
    letter = m.DeadLetter(
        dead_letter_id="d", run="live", topic="events", partition=0, offset=7, payload=b"", payload_size=0,
        payload_sha256="", reason="empty", detail="", error_class="X", event_id="e1", event_time=START,
    )  # fmt: skip
    assert {key(x) for x in (sighting, by_budget, by_provider, RESULT, outcome, call, label, judgement, letter)} == {
        "e1"
    }


def test_an_event_keeps_the_producers_id_as_its_key_or_none() -> None:
    assert key(m.RawEvent(id="mail-7", text="x")) == "mail-7"
    assert key(m.RawEvent(text="x")) is None


def test_the_owner_of_the_images_is_alone_and_panels_keep_their_order() -> None:
    assert {spec.name: spec.partitions for spec in TOPICS if spec.partitions is not None} == {"images": 1, "panels": 1}


@pytest.mark.parametrize("action", get_args(m.Action))
def test_a_verdict_is_for_the_workers_if_its_header_says_so(action: m.Action) -> None:
    headers = headers_of(dataclasses.replace(VERDICT, action=action))
    assert is_for("verdicts", [("traceparent", b"00"), *headers]) == (action == "work")


@pytest.mark.parametrize("value", [b"", b"\xff", b"WORK", b"later"])
def test_a_verdict_whose_header_is_absent_or_unknown_is_decoded(value: bytes) -> None:
    assert is_for("verdicts", [])
    assert is_for("verdicts", [("traceparent", b"ignore"), (ACTION_HEADER, value)])


@pytest.mark.parametrize("topic", [name for name in BY_NAME if name != "verdicts"])
def test_every_record_of_the_other_topics_is_for_their_stages(topic: str) -> None:
    assert is_for(topic, [(ACTION_HEADER, b"ignore")])
    assert headers_of(RESULT) == headers_of(ESCALATION) == []
