"""No field of any record or row of the audit holds what a policy hides."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adapters.clickhouse import TABLES, row_of
from streams.core.messages import Call, DeadLetter, Event, Finding, Header, Judgement, Label, Origin, Outcome, Verdict
from streams.core.redaction.fields import CALL_TEXTS, LATE_TEXTS, ROW_TEXTS, STAMPED, redacted, redacted_row
from tests.harness.sensitive_texts import EMAILS, PLANTED, POLICY, said_in, texts_with

AT = datetime(2026, 11, 1, tzinfo=UTC)
ORIGIN = Origin(
    event_id="e1", run="live", event_time=AT, trace_id="t", topic="events", partition=0, offset=0, data_subject="s"
)


def call(text: str = "", **more: Any) -> Call:
    usual: dict[str, Any] = {"decision": "accepted", "status": "answered", "started_at": AT}
    usual |= dict.fromkeys(CALL_TEXTS, text)
    return Call(
        origin=ORIGIN, call_id="c" * 32, tier="worker", handler="answer", handler_version="v", pipeline="p",
        operation="chat", provider="m", request_model="m", **usual | more,
    )  # fmt: skip


def messages(text: str) -> list[Any]:
    """One message of each kind that becomes a row in the sink, with a text wherever a text can be."""
    finding = Finding(listener="intent", label=text, confidence=0.9, call_id="c" * 32)
    event = Event(origin=ORIGIN, kind="text", text=text, data=text)
    data = text.encode()
    return [
        Verdict(event=event, findings=(finding,), intents=(text,), confidence=0.9, action="work", handler="answer",
                fingerprint="f", pipeline="p", decided_at=AT),
        Outcome(origin=ORIGIN, state="answered", tier="worker", handler="answer", intent=text, answer=text,
                reasons=(f"refused: {text}",), pipeline="p", settled_at=AT),
        DeadLetter(dead_letter_id="d" * 32, run="live", topic="events", partition=0, offset=0, key=data,
                   headers=(Header(key="from", value=data),), payload=data, payload_size=9, payload_sha256="s",
                   reason="bad_event", detail=text, error_class="UnreadableError", event_id="e1", event_time=AT),
        Label(event_id="e1", label=text, labelled_at=AT),
        Judgement(event_id="e1", call_id="c", judge="ann", question="right?", verdict=text, comment=text, judged_at=AT),
    ]  # fmt: skip


def everything(row: dict[str, Any]) -> str:
    return "".join(said_in(text) for value in row.values() for text in flat(value))


def flat(value: Any) -> list[str]:
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in flat(item)]
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)]


@settings(max_examples=50)
@given(st.data(), PLANTED)
def test_nothing_planted_survives_in_any_column_of_any_row(data: st.DataObject, secret: str) -> None:
    for message in messages(data.draw(texts_with(secret))):
        table = TABLES[type(message)]
        row = row_of(message)
        assert secret in everything(row)
        assert secret not in everything(redacted_row(table, row, POLICY))


@given(st.data(), PLANTED)
def test_nothing_planted_survives_in_the_record_of_a_call(data: st.DataObject, secret: str) -> None:
    record = redacted(call(data.draw(texts_with(secret))), POLICY)
    assert secret not in everything(row_of(record))
    assert record.redaction == POLICY.id


def test_every_row_a_sink_writes_is_known_here() -> None:
    assert {TABLES[type(message)] for message in messages("")} == set(ROW_TEXTS)


@pytest.mark.parametrize("message", messages("Nothing to hide."), ids=lambda one: type(one).__name__)
def test_a_row_without_anything_to_hide_is_only_stamped(message: Any) -> None:
    table, row = TABLES[type(message)], row_of(message)
    assert redacted_row(table, row, POLICY) == row | ({"redaction": POLICY.id} if table in STAMPED else {})


def test_a_payload_that_is_no_text_is_looked_at_byte_by_byte() -> None:
    row = {"payload": b"\xc3\x01\xff\x00\x20jo@x.org\x00\xfe"}
    assert redacted_row("dead_letters_rows", row, POLICY)["payload"] == b"\xc3\x01\xff\x00\x20[email]\x00\xfe"


def test_a_record_that_was_redacted_has_only_its_late_texts_looked_at_again() -> None:
    once = redacted(call("jo@x.org"), POLICY)
    stamped = dataclasses.replace(once, error="to jo@x.org", decision_reason="refused: jo@x.org", prompt="ann@x.org")
    again = redacted(stamped, POLICY)
    assert (again.error, again.decision_reason, again.prompt) == ("to [email]", "refused: [email]", "ann@x.org")
    assert set(LATE_TEXTS) < set(CALL_TEXTS)


@given(EMAILS)
def test_a_record_of_another_policy_is_redacted_anew(email: str) -> None:
    record = redacted(call(email, redaction="older-1"), POLICY)
    assert (record.prompt, record.redaction) == ("[email]", POLICY.id)


def test_what_is_not_there_stays_unknown() -> None:
    record = redacted(dataclasses.replace(call(), response=None, error=None), POLICY)
    assert (record.response, record.error, record.prompt) == (None, None, "")
